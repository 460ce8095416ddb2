import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Failure } from '../../lib/system/errors.ts'
import { attempt, capture, follow, hold, show } from '../../lib/system/run.ts'
import { sleep } from '../../lib/system/signals.ts'

void test('a program that ends before it has read its input is no error of this one', async () => {
  assert.equal((await attempt(['true'], { input: 'x'.repeat(2e6) })).code, 0)
})

void test('what gives too much is ended, wherever it writes', async () => {
  for (const command of ['yes', 'yes >&2']) {
    const { code, stdout, stderr } = await attempt(['sh', '-c', command], { most: 1e6 })
    assert.equal(code, 143)
    assert.ok(stdout.length + stderr.length < 1e7)
  }
})

void test('what is ended has failed, though it says 0 as docker exec does', async () => {
  const { code } = await attempt(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'], {
    signal: AbortSignal.timeout(300),
  })
  assert.equal(code, 143)
})

// what must not be begun, or must end at once, when the signal that it heeds was aborted before
const ABORTED: [what: string, work: (signal: AbortSignal) => Promise<unknown>, started: number][] = [
  ['attempt', signal => attempt(['true'], { signal }), 0],
  ['capture', signal => assert.rejects(capture(['true'], { signal })), 0],
  ['show', signal => assert.rejects(show(['sleep', '60'], { signal })), 1],
  [
    'follow',
    async signal => {
      for await (const line of follow(['sleep', '60'], { signal }).lines) assert.fail(line)
    },
    1,
  ],
  ['sleep', signal => sleep(60_000, signal), 0],
]

for (const [what, work, most] of ABORTED)
  void test(`${what} heeds a signal that was aborted before`, { timeout: 10_000 }, async () => {
    let started = 0
    const count = () => void (started += 1)
    subscribe('child_process', count)
    await work(AbortSignal.abort())
    unsubscribe('child_process', count)
    assert.equal(started, most)
  })

// LANGUAGE, the command; the exit code of its Failure, and what that says
const MISSING: [language: string, command: string[], exitCode: number, words: RegExp][] = [
  ['en', ['no-such-program', 'x'], 69, /^no-such-program is not installed here$/],
  ['fr', ['no-such-program', 'x'], 69, /^no-such-program is not installed here$/],
  ['fr', ['sh', '-c', 'no-such-program'], 1, /exit code 127/],
  ['en', ['sh', '-c', 'echo command not found >&2; exit 127'], 1, /exit code 127/],
]

for (const [language, command, exitCode, words] of MISSING)
  void test(`${command.join(' ')} ends with ${exitCode} where the language is ${language}`, async () => {
    const run = () => capture(command, { env: { LC_ALL: 'C.UTF-8', LANGUAGE: language } })
    await assert.rejects(run, (error: Failure) => error.exitCode === exitCode && words.test(error.message))
  })

// what is launched and waited for by nobody
for (const command of [['sleep', '60'], ['no-such-program'], [import.meta.dirname], []])
  void test(`nobody waits for ${JSON.stringify(command)}, however it ends`, () => {
    const run = JSON.stringify(join(import.meta.dirname, '../../lib/system/run.ts'))
    const program = `(await import(${run})).launch(${JSON.stringify(command)}); console.log('done')`
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { encoding: 'utf8', timeout: 30_000 },
    )
    assert.deepEqual([status, stdout, stderr], [0, 'done\n', ''])
  })

// A stand-in for docker that writes what it is asked.
const bin = mkdtempSync(join(tmpdir(), 'avril-docker-'))
writeFileSync(join(bin, 'docker'), '#!/bin/sh\necho "$*"\n', { mode: 0o755 })
after(() => rmSync(bin, { recursive: true }))

// the words, the engine → what is asked
for (const [words, engine, asked] of [
  [['docker', 'ps'], undefined, 'ps'],
  [['docker', 'ps'], 'ssh://node-2', '--host ssh://node-2 ps'],
  [['echo', 'docker'], 'ssh://node-2', 'docker'],
] as const)
  void test(`${words.join(' ')} for ${engine ?? 'the engine of this machine'}`, async () => {
    const env = { PATH: `${bin}:${process.env.PATH}` }
    const options = engine === undefined ? {} : { engine }
    assert.equal(await capture([...words], { env, ...options }), asked)
    const { PATH } = process.env
    process.env.PATH = env.PATH
    const held = hold([...words], options)
    process.env.PATH = PATH
    const { stdout, release } = await held
    assert.equal(stdout, asked)
    await release?.()
  })
