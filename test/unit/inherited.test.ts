import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const SYSTEM = join(import.meta.dirname, '../../lib/system')

/**
 * What a command that was called with these variables, under a umask that nobody but its owner can read by, finds: the
 * value of an expression.
 */
const within = (variables: Record<string, string>, expression: string) => {
  const program = `
    const { forgetInherited } = await import(${JSON.stringify(join(SYSTEM, 'environment.ts'))})
    const { capture } = await import(${JSON.stringify(join(SYSTEM, 'run.ts'))})
    forgetInherited()
    console.log(JSON.stringify(${expression}))`
  const words = [
    '-c',
    'umask 077; exec "$@"',
    'sh',
    process.execPath,
    '--import',
    'tsx',
    '--input-type=module',
    '--eval',
    program,
  ]
  const { stdout, stderr } = spawnSync('sh', words, { encoding: 'utf8', env: { ...process.env, ...variables } })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as unknown
}

// name, value: what would decide something
const HOSTILE: Record<string, string> = {
  GIT_DIR: '/nowhere',
  GIT_SSH_COMMAND: 'false',
  GIT_CONFIG_COUNT: '1',
  COMPOSE_FILE: '/nowhere/docker-compose.yml',
  COMPOSE_PROJECT_NAME: 'other',
  COMPOSE_PROFILES: 'debug',
  DOCKER_BUILDKIT: '0',
  DOCKER_DEFAULT_PLATFORM: 'linux/s390x',
  SOURCE_DATE_EPOCH: '0',
  ZX_PREFIX: 'exit 1;',
  BASH_ENV: '/nowhere',
  'BASH_FUNC_docker%%': '() { false; }',
  SHELLOPTS: 'xtrace',
  POSIXLY_CORRECT: '1',
  TAR_OPTIONS: '--totals',
  TZ: 'Pacific/Kiritimati',
  LANG: 'fr_FR.UTF-8',
  // Settings: of .env.example, one that is a comment there, of docker-compose.yml alone, and one of its build secrets.
  POSTGRES_DB: 'other',
  AVRIL_GIT_URL: 'https://example.org/other',
  CRISP_WEBSITE_ID: 'other',
  RNCP_API_KEY: 'other',
}

const [umask, environment] = within(
  {
    ...HOSTILE,
    LC_ALL: 'fr_FR.UTF-8',
    LANGUAGE: 'fr',
    DOCKER_HOST: 'unix:///x',
    HTTPS_PROXY: 'http://x',
    NO_COLOR: '1',
  },
  '[process.umask(), process.env]',
) as [number, Record<string, string>]

for (const name of Object.keys(HOSTILE))
  void test(`${name} of whoever calls decides nothing`, () => assert.equal(environment[name], undefined))

void test('every command works under the same umask, and reads programs in the same language', () => {
  assert.equal(umask, 0o022)
  assert.deepEqual([environment.LC_ALL, environment.LANGUAGE], ['C.UTF-8', 'C'])
})

void test('how the engine and the network are reached stays', () =>
  assert.deepEqual(
    [environment.DOCKER_HOST, environment.HTTPS_PROXY, environment.NO_COLOR],
    ['unix:///x', 'http://x', '1'],
  ))

// who calls: the variables by which bash tells whether it reads ~/.bashrc
const CALLERS: Record<string, Record<string, string>> = {
  'a cron entry': { SHLVL: '0' },
  'a deploy from a laptop': { SHLVL: '0', SSH_CLIENT: '192.0.2.1 1 22', SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22' },
}

for (const [who, variables] of Object.entries(CALLERS))
  void test(`what ~/.bashrc says is no part of a command's output: ${who}`, t => {
    const HOME = mkdtempSync(join(tmpdir(), 'avril-home-'))
    t.after(() => rmSync(HOME, { recursive: true }))
    writeFileSync(join(HOME, '.bashrc'), 'echo Welcome back\ncat() { echo another; }\n')
    assert.equal(within({ ...variables, HOME }, "await capture(['cat'], { input: 'it' })"), 'it')
  })
