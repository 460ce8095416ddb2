import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { attempt } from '../../lib/system/run.ts'
import { sleep } from '../../lib/system/signals.ts'
import { watchService } from '../../lib/docker/container_events.ts'

// The engine's events are what is written into a pipe here.
const folder = mkdtempSync(join(tmpdir(), 'avril-watch-'))
const pipe = join(folder, 'events')
writeFileSync(join(folder, 'docker'), `#!/bin/sh\nexec cat ${pipe}\n`)
chmodSync(join(folder, 'docker'), 0o755)
process.env.PATH = `${folder}:${process.env.PATH}`
after(() => rmSync(folder, { recursive: true }))

const event = (Action: string, exitCode = '') =>
  `${JSON.stringify({ Action, timeNano: Date.now() * 1e6, Actor: { ID: 'new', Attributes: { exitCode } } })}\n`

/** Watches one instance, which `tell` lets come to something. */
const watched = async (
  work: (watch: ReturnType<typeof watchService>, tell: (text: string) => Promise<unknown>) => Promise<void>,
) => {
  execFileSync('mkfifo', [pipe])
  const watch = watchService('project', 'service')
  const events = await open(pipe, 'w')
  try {
    await work(watch, text => events.write(text))
  } finally {
    await events.close()
    watch.stop()
    rmSync(pipe)
  }
}

const INSTANCE = [{ id: 'new', name: 'the-new-one' }]

// what is abandoned: work that notes what it does, and how far it may still get
const WORK: [
  what: string,
  work: (signal: AbortSignal, note: (step: string) => void) => Promise<unknown>,
  gets: string[],
][] = [
  ['a program', signal => attempt(['sleep', '60'], { signal }), []],
  ['a pause', signal => sleep(60_000, signal), []],
  [
    'a switch, which is not left half done, and what would follow it',
    async (signal, note) => {
      await attempt(['sh', '-c', 'sleep 0.3'])
      note('switched')
      signal.throwIfAborted()
      note('journal')
    },
    ['switched'],
  ],
]

for (const [action, trouble] of [
  ['die', /the-new-one ended with exit code 7/],
  ['health_status: unhealthy', /the-new-one turned unhealthy/],
] as const)
  for (const [what, work, gets] of WORK)
    void test(`${action}: the work that is guarded has ended when that is thrown (${what})`, { timeout: 10_000 }, () =>
      watched(async (watch, tell) => {
        const noted: string[] = []
        let ended = false
        const guarded = watch.guard(INSTANCE, async signal => {
          await tell(event(action, '7'))
          try {
            await work(signal, step => noted.push(step))
          } finally {
            ended = true
          }
        })
        await assert.rejects(guarded, trouble)
        assert.ok(ended, 'it goes on')
        assert.deepEqual(noted, gets)
      }),
    )

void test('of an instance that has died already no work is begun', { timeout: 10_000 }, () =>
  watched(async (watch, tell) => {
    await tell(event('die', '1'))
    await assert.rejects(watch.untilHealthy('new', 'the-new-one', 5), /ended with exit code 1/)
    await assert.rejects(
      watch.guard(INSTANCE, () => assert.fail('begun')),
      /ended with exit code 1/,
    )
  }),
)

void test('who waits for health waits no longer than anybody needs it', { timeout: 10_000 }, () =>
  watched(async watch => {
    const over = new AbortController()
    const waiting = watch.untilHealthy('new', 'the-new-one', 300, 0, over.signal)
    over.abort(new Error('another one failed'))
    await assert.rejects(waiting, /another one failed/)
  }),
)

void test('work that ends well ends so, and its own failure is its own', { timeout: 10_000 }, () =>
  watched(async (watch, tell) => {
    await tell(event('health_status: healthy'))
    await watch.guard(INSTANCE, () => Promise.resolve())
    await assert.rejects(
      watch.guard(INSTANCE, () => Promise.reject(new Error('its own'))),
      /its own/,
    )
  }),
)
