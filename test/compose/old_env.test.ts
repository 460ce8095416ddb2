import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Failure } from '../../lib/system/errors.ts'
import { readAsCompose, readOldSettings } from '../../lib/setup/old_env.ts'

// Lines of an old .env, what Compose 2 makes of them, and Compose 1 where that is something else.
const CASES: [string, Record<string, string>, Record<string, string>?][] = [
  ['ERL_AFLAGS=-kernel shell_history enabled', { ERL_AFLAGS: '-kernel shell_history enabled' }],
  ['A="two words" # why', { A: 'two words' }],
  ['A=a#b\nB=a #b', { A: 'a#b', B: 'a' }],
  ['A = spaced ', { A: 'spaced' }],
  ['export A=1', { A: '1' }],
  ['POSTGRES_PASSWORD=secret\nPGPASSWORD=${POSTGRES_PASSWORD}', { POSTGRES_PASSWORD: 'secret', PGPASSWORD: 'secret' }],
  ['C=c\nA=\'$B ${C} "it" \\n\'', { C: 'c', A: '$B ${C} "it" \\n' }, { C: 'c', A: '$B c "it" \\n' }],
  [String.raw`A='a\\b'`, { A: String.raw`a\\b` }, { A: String.raw`a\b` }],
  ["A='$B it'", { A: '$B it' }],
  ['A=pa$word', { A: 'pa' }, { A: 'pa$word' }],
  ['B=b\nA="pa$word $B ${B}$"', { B: 'b', A: 'pa b b$' }, { B: 'b', A: 'pa$word $B b$' }],
  [String.raw`A="x\$word"`, { A: 'x$word' }, { A: String.raw`x\$word` }],
  [String.raw`A=x\$word`, { A: 'x\\' }, { A: String.raw`x\$word` }],
  [String.raw`A='x\$word'`, { A: String.raw`x\$word` }],
  ['A=${NOPE:-default}', { A: 'default' }],
  ['A=a$$b', { A: 'a$b' }, { A: 'a$$b' }],
  ['A=a@b.c;d@e.f', { A: 'a@b.c;d@e.f' }],
  ['A=1\r\nB=2\r', { A: '1', B: '2' }],
  ['A=1\nA=2', { A: '2' }],
  ['A=', { A: '' }],
]

const withFolder = async (text: string, work: (folder: string) => void | Promise<void>) => {
  const folder = mkdtempSync(join(tmpdir(), 'old site '))
  try {
    writeFileSync(join(folder, '.env'), `${text}\n`)
    await work(folder)
    assert.equal(readFileSync(join(folder, '.env'), 'utf8'), `${text}\n`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What the real one reads. */
const readByCompose1 = (folder: string) => {
  writeFileSync(
    join(folder, 'docker-compose.yml'),
    'version: "3.6"\nservices: { a: { image: x, env_file: [./.env] } }\n',
  )
  const config = execFileSync('docker-compose', ['config'], { cwd: folder, encoding: 'utf8' })
  const { environment } = (parse(config) as { services: { a: { environment: Record<string, string> } } }).services.a
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, value.replaceAll('$$', '$')]))
}

for (const [text, settings, former] of CASES) {
  for (const major of [1, 2] as const) {
    void test(`${JSON.stringify(text)} is read as Compose ${major} does`, () =>
      withFolder(text, async folder => {
        const expected = major === 1 ? (former ?? settings) : settings
        assert.deepEqual(Object.fromEntries(await readAsCompose(folder, major)), expected)
        if (major === 1) assert.deepEqual(readByCompose1(folder), expected)
      }))
  }
}

for (const [text, said] of [
  ['FOO BAR', 'key cannot contain a space'],
  ['A="open', 'unterminated quoted value'],
  ['A=${B:?must}', 'required variable B'],
] as const) {
  void test(`${JSON.stringify(text)} is refused in the words of Compose, with 78`, () =>
    withFolder(text, async folder => {
      await assert.rejects(
        readAsCompose(folder, 2),
        (error: Failure) => error.exitCode === 78 && error.message.includes(said),
      )
    }))
}

// What cannot be read, and what is said of it: never a value. Extend it by a line.
const WRONG: [text: string, said: RegExp][] = [
  ['A=a\nPASSWORD="s3cret', /line \d/],
  ['KEY=-----BEGIN\ns3cret+x/y==\nA=b', /line 2/],
  ['DATABASE_URL=postgres://u:s3cret@h/${', /reading .* failed/],
]

for (const [text, said] of WRONG)
  void test(`${JSON.stringify(text)} cannot be read, and none of it is shown`, () =>
    withFolder(text, folder =>
      assert.rejects(readAsCompose(folder, 2), ({ message, exitCode }: Failure) => {
        assert.match(message, said)
        assert.doesNotMatch(message, /s3cret/)
        assert.equal(exitCode, 78)
        return true
      }),
    ))

void test('a .env that is no text is refused: a pipe, none, another encoding', () =>
  withFolder('A=b', async folder => {
    const refused = (words: RegExp) =>
      assert.rejects(readAsCompose(folder, 1, 'old'), ({ message, exitCode }: Failure) => {
        assert.match(message, words)
        assert.equal(exitCode, 78)
        return true
      })
    const file = join(folder, '.env')
    rmSync(file)
    await refused(/there is no old\/\.env/)
    execFileSync('mkfifo', [file])
    await refused(/there is no old\/\.env/)
    rmSync(file)
    writeFileSync(file, Buffer.from('A=b\nB=caf\xe9s\n', 'latin1'))
    await refused(/old\/\.env is not UTF-8.*line 2/)
    writeFileSync(file, 'A=b\n')
  }))

void test('before Compose 1.26 a container has what became of a value; a project that was named otherwise is found by its folder', () =>
  withFolder('A="two words" # why\nB=b', async folder => {
    const labels = Object.entries({
      project: 'other-name',
      'project.working_dir': folder,
      service: 'phoenix',
      version: '1.25.0',
    })
    const words = labels.flatMap(([name, value]) => ['--label', `com.docker.compose.${name}=${value}`])
    const image = execFileSync('docker', ['image', 'ls', '--quiet'], { encoding: 'utf8' }).split('\n')[0] ?? ''
    const made = execFileSync('docker', ['create', ...words, '--env', 'A="two words" # why', image, 'true'], {
      encoding: 'utf8',
    })
    try {
      const machine = { name: folder, host: undefined, engine: undefined, folder, top: '/', dispose: () => {} }
      const { project, settings } = await readOldSettings(machine)
      assert.deepEqual([project, Object.fromEntries(settings)], ['other-name', { A: '"two words" # why', B: 'b' }])
    } finally {
      execFileSync('docker', ['rm', made.trim()])
    }
  }))
