// One shell runs command after command, and each ends as if it had been started alone.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { attemptIn } from '../../lib/docker/run_in.ts'
import { openShell } from '../../lib/system/shell_session.ts'

const shell = openShell(['sh'])

const CASES: [string, string[], { code?: number; stdout?: string; stderr?: string }, input?: string][] = [
  ['a line', ['echo', 'one'], { stdout: 'one\n' }],
  ['no end of a line', ['printf', '1'], { stdout: '1' }],
  ['nothing', ['true'], {}],
  ['a failure, with words', ['sh', '-c', 'echo why >&2; exit 7'], { code: 7, stderr: 'why\n' }],
  ['both outputs', ['sh', '-c', 'printf out; printf err >&2'], { stdout: 'out', stderr: 'err' }],
  ['a program that is missing', ['/no/such/program'], { code: 127 }],
  [
    'words that a shell would read',
    ['printf', '%s\n', "it's", '$HOME', 'a\nb', '`id`', ''],
    { stdout: "it's\n$HOME\na\nb\n`id`\n\n" },
  ],
  ['letters whose bytes mean something to a shell', ['printf', '%s', 'Èàâ€\u0081𝄞'], { stdout: 'Èàâ€\u0081𝄞' }],
  ['one that reads its standard input', ['cat'], {}],
  ['nothing on its standard input', ['cat'], {}, ''],
  ['a text on its standard input', ['cat'], { stdout: "it's\n$HOME È `id`\n\\" }, "it's\n$HOME È `id`\n\\"],
  ['much on its standard input', ['wc', '-c'], { stdout: '3000000\n' }, 'x'.repeat(3e6)],
  ['one that does not read its standard input', ['sh', '-c', 'exit 3'], { code: 3 }, 'x'.repeat(1e6)],
  ['letters of several bytes', ['printf', '%s', 'é'.repeat(100_000)], { stdout: 'é'.repeat(100_000) }],
  ['much', ['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x'], { stdout: 'x'.repeat(3e6) }],
]
for (const [what, command, { code = 0, stdout = '', stderr }, input] of CASES)
  await test(`a command with ${what}`, async () => {
    const outcome = await shell.run(command, input === undefined ? {} : { input })
    assert.equal(outcome.code, code)
    assert.equal(outcome.stdout, stdout)
    if (stderr !== undefined) assert.equal(outcome.stderr, stderr)
    assert.equal(shell.isOver(), false)
  })
shell.end()

await test('a shell that ends while it runs something says so, with what was said', async () => {
  const other = openShell(['sh'])
  const outcome = await other.run(['sh', '-c', 'echo some; kill -9 $PPID'])
  assert.equal(outcome.code, 137)
  assert.equal(outcome.stdout, 'some\n')
  assert.equal(other.isOver(), true)
})

await test('a shell that cannot be reached tells why', async () => {
  const other = openShell(['sh', '-c', 'echo no such container >&2; exit 1'])
  const { code, stderr } = await other.run(['true'])
  assert.deepEqual({ code, stderr }, { code: 1, stderr: 'no such container\n' })
  assert.equal(other.isOver(), true)
})

await test('what is given up has ended, and its shell runs nothing more', async () => {
  const other = openShell(['sh'])
  const over = new AbortController()
  const waiting = other.run(['sleep', '60'], { signal: over.signal })
  setTimeout(50).then(
    () => over.abort(),
    () => {},
  )
  assert.equal((await waiting).code, 143)
  assert.equal(other.isOver(), true)
})

await test('an open shell is used again, beside another when it is busy, and none runs a command twice', async () => {
  const place = ['env']
  const pid = async () => (await attemptIn(place, ['sh', '-c', 'echo $PPID'])).stdout
  const first = await pid()
  assert.equal(await pid(), first)
  const [one, other] = await Promise.all([pid(), pid()])
  assert.notEqual(one, other)
  const file = join(mkdtempSync(join(tmpdir(), 'shells-')), 'runs')
  assert.equal((await attemptIn(place, ['sh', '-c', `echo ran >>${file}; kill -9 $PPID`])).code, 137)
  assert.equal(readFileSync(file, 'utf8'), 'ran\n')
  assert.equal((await attemptIn(place, ['cat'], { input: 'goes on' })).stdout, 'goes on')
})
