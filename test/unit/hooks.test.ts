// The hooks of the team: which are run, what they get, what their failure does, and that their time ends.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../../lib/system/errors.ts'
import { hookLines, runBefore, tellAfter, withoutHooks } from '../../lib/system/hooks.ts'
import { readIfThere } from '../../lib/system/files.ts'
import { reportTo, SILENT } from '../../lib/system/progress.ts'
import { readExample, readSettings } from '../../lib/system/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'hooks-'))
after(() => rmSync(folder, { recursive: true }))

let count = 0
/** A folder with these hooks: names and what stands in them. */
const make = (hooks: Record<string, string>, seconds = 20) => {
  const HOOKS_DIR = join(folder, `hooks ${(count += 1)}`)
  mkdirSync(HOOKS_DIR)
  for (const [name, text] of Object.entries(hooks))
    writeFileSync(join(HOOKS_DIR, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return { HOOKS_DIR, HOOK_SECONDS: seconds, WHOST: 'site.example', COMPOSE_PROJECT_NAME: 'avril' }
}

const told: string[] = []
const tell = (text: string) => void told.push(text)
reportTo({ ...SILENT, warn: tell, detail: tell })

const failureOf = async (work: Promise<unknown>) => {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof Failure, String(error))
    return error
  }
  return assert.fail('nothing was thrown')
}

void test('hooks get one JSON object each, and the working folder of the scripts; what they say is shown', async () => {
  const settings = make({ 'before-backup': 'cat >"$0.json"; echo begun', 'after-backup': 'cat >"$0.json"' })
  const hook = await runBefore('backup', settings, { prefix: 'avril' })
  await tellAfter(
    hook,
    async () => 'a-set',
    set => ({ set }),
  )
  const read = (name: string) =>
    JSON.parse(readFileSync(join(settings.HOOKS_DIR, `${name}.json`), 'utf8')) as Record<string, unknown>
  const { who, time, ...before } = read('before-backup')
  assert.deepEqual(before, {
    version: 1,
    hook: 'before-backup',
    command: 'backup',
    site: 'site.example',
    project: 'avril',
    prefix: 'avril',
  })
  assert.equal(typeof who, 'string')
  assert.ok(!Number.isNaN(Date.parse(String(time))))
  const { result, set, seconds } = read('after-backup')
  assert.deepEqual({ result, set, seconds: typeof seconds }, { result: 'done', set: 'a-set', seconds: 'number' })
  assert.ok(told.includes('begun'))
})

void test('one before that fails refuses, with 77 and its last line', async () => {
  const settings = make({ 'before-deploy': 'echo first; echo "it is Friday" >&2; exit 3' })
  const { message, exitCode } = await failureOf(runBefore('deploy', settings, {}))
  assert.match(message, /before-deploy refuses the deploy: exit code 3, it is Friday$/)
  assert.equal(exitCode, 77)
})

void test('a link that leads nowhere, and a folder that .env names and is not there, are refused (78)', async () => {
  const settings = make({})
  symlinkSync('/nowhere', join(settings.HOOKS_DIR, 'before-deploy'))
  for (const it of [settings, { ...settings, HOOKS_DIR: '/no/such/folder' }])
    assert.equal((await failureOf(runBefore('deploy', it, {}))).exitCode, 78)
})

void test('what a hook leaves behind with its output open holds up nothing', async () => {
  const settings = make({ 'before-deploy': 'env -i setsid sleep 61 & sleep 61' }, 1)
  const { message } = await failureOf(runBefore('deploy', settings, {}))
  assert.match(message, /did not end within 1 s/)
  execFileSync('pkill', ['-f', '^sleep 61$'])
})

void test('one after hears of a failure, and its own is a warning that hides nothing', async () => {
  const settings = make({ 'after-restore': 'cat >"$0.json"; exit 1' })
  const hook = await runBefore('restore', settings, {})
  const reason = new Failure('the dump is damaged\n  and a row', { exitCode: 65 })
  assert.equal(
    await failureOf(
      tellAfter(
        hook,
        () => Promise.reject(reason),
        () => ({}),
      ),
    ),
    reason,
  )
  const { result, error } = JSON.parse(readFileSync(join(settings.HOOKS_DIR, 'after-restore.json'), 'utf8')) as Record<
    string,
    string
  >
  assert.deepEqual({ result, error }, { result: 'failed', error: 'the dump is damaged' })
  assert.match(told.at(-1) ?? '', /after-restore failed: exit code 1$/)
})

void test(
  'when its time is over it is ended, with what has made itself a session of its own',
  { timeout: 30_000 },
  async () => {
    const settings = make({ 'before-deploy': 'setsid sleep 1000 & echo $! >"$0.pid"; sleep 1000' }, 5)
    const { message } = await failureOf(runBefore('deploy', settings, {}))
    assert.match(message, /refuses the deploy: it did not end within 5 s, and was ended with all that it had started$/)
    const pid = readFileSync(join(settings.HOOKS_DIR, 'before-deploy.pid'), 'utf8').trim()
    assert.match(pid, /^\d+$/, 'the hook had not begun when its time was over')
    // A busy machine ends it a moment after it was told; of one that nobody has waited for yet it is empty.
    while ((readIfThere(`/proc/${pid}/cmdline`) ?? '') !== '') await sleep(20)
  },
)

// what is done to the folder with a hook → what is said; empty when it is run all the same
const OTHERS: [name: string, change: (folder: string, hook: string) => void, said: string][] = [
  ['nothing', () => {}, ''],
  ['not executable', (_, hook) => chmodSync(hook, 0o644), 'is not executable'],
  ['writable by the group', (_, hook) => chmodSync(hook, 0o775), 'can be changed by other users'],
  ['writable by others', (_, hook) => chmodSync(hook, 0o757), 'can be changed by other users'],
  ['in a folder that others may write to', (it, _) => chmodSync(it, 0o777), 'can be changed by other users'],
  ['a folder', (_, hook) => (rmSync(hook), mkdirSync(hook)), 'it is no file'],
  [
    'a link to where others may write',
    (it, hook) => {
      const open = join(it, 'open')
      mkdirSync(open)
      chmodSync(open, 0o777)
      writeFileSync(join(open, 'x'), '#!/bin/sh\n', { mode: 0o755 })
      rmSync(hook)
      symlinkSync(join(open, 'x'), hook)
    },
    'can be changed by other users',
  ],
  ...(process.getuid?.() === 0
    ? ([['of another user', (_, hook) => chownSync(hook, 12_345, 0), 'belongs to another user']] as typeof OTHERS)
    : []),
]
for (const [name, change, said] of OTHERS)
  void test(`a hook that is ${name}: ${said || 'run'}`, async () => {
    const settings = make({ 'after-backup': 'exit 0' })
    change(settings.HOOKS_DIR, join(settings.HOOKS_DIR, 'after-backup'))
    if (said === '') return void (await runBefore('backup', settings, {}))
    const { message, exitCode } = await failureOf(runBefore('backup', settings, {}))
    assert.ok(message.includes(said), message)
    assert.equal(exitCode, 78)
  })

void test('a name that is nearly one is told; examples and helpers are not', async () => {
  told.length = 0
  await runBefore(
    'deploy',
    make({ 'pre-deploy': '', 'before-deploy.sh': '', 'before-deploy.sample': '', helper: '' }),
    {},
  )
  assert.deepEqual(told.map(text => text.replace(/^.*\/(\S+) is never run.*$/, '$1')).toSorted(), [
    'before-deploy.sh',
    'pre-deploy',
  ])
})

// what stands in .env → the folder; empty: none
const LINES: [line: string, folder: string][] = [
  ['', './hooks'],
  ['HOOKS_DIR=', ''],
  ['HOOKS_DIR=/etc/avril/hooks', '/etc/avril/hooks'],
]
for (const [line, expected] of LINES)
  void test(`${line || 'no line'} in .env: ${expected || 'no hooks'}`, () => {
    assert.equal(readSettings(`${readExample()}\n${line}\n`, readExample()).HOOKS_DIR, expected)
  })

void test('--dry-run names them with their time, and without hooks there are none', () => {
  const settings = make({ 'before-deploy': 'exit 1', 'after-deploy': '' }, 7)
  const { before, after } = hookLines('deploy', settings)
  assert.match(before.join(''), /before-deploy, 7 s at most; when it fails nothing is touched$/)
  assert.match(after.join(''), /after-deploy, 7 s at most; also when it failed$/)
  assert.deepEqual(hookLines('deploy', withoutHooks(settings)), { before: [], after: [] })
})
