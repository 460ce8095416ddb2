import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import { onAbort } from '../../lib/system/signals.ts'

const HOLDER = join(import.meta.dirname, '../helpers/holder.ts')

const isMarked = (pid: string, mark: string) => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)
  } catch {
    return false
  }
}

// kind of child, its moment, its program
const MOMENTS: [kind: string, moment: string, program: string][] = [
  [
    'hold',
    'ready in the moment of the signal, and deaf to SIGTERM',
    'trap "" TERM; kill -TERM $HOLDER; echo ready; cat',
  ],
  ['hold', 'ready soon after it, and deaf to SIGTERM', 'trap "" TERM; kill -TERM $HOLDER; sleep 0.3; echo ready; cat'],
  [
    'hold',
    'ready soon after Ctrl-C, and deaf to all but the end of its input',
    'trap "" TERM INT HUP; kill -INT $HOLDER; sleep 0.3; echo ready; cat',
  ],
  ['hold', 'never ready, deaf to SIGTERM and to the end of its input', 'trap "" TERM; kill -TERM $HOLDER; sleep 1000'],
  [
    'hold',
    'never ready, and its first process ends before the others',
    '(trap "" TERM; sleep 1000) & kill -TERM $HOLDER; sleep 1000',
  ],
  ['capture beside what is shielded', 'as it comes', 'kill -TERM $HOLDER; sleep 1000'],
  ['show beside what is shielded', 'as it comes', 'kill -TERM $HOLDER; sleep 1000'],
  ['attempt', 'deaf to SIGTERM', 'trap "" TERM; kill -TERM $HOLDER; sleep 1000'],
  ['follow', 'deaf to SIGTERM', 'trap "" TERM; kill -TERM $HOLDER; sleep 1000'],
]

for (const [kind, moment, program] of MOMENTS)
  void test(
    `a signal and a child of ${kind}, ${moment}: the script ends, and so does the child`,
    { timeout: 30_000 },
    async () => {
      const script = spawn(process.execPath, ['--import', 'tsx', HOLDER, kind, program], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const words: string[] = []
      script.stderr.on('data', data => words.push(String(data)))
      const timer = setTimeout(() => script.kill('SIGKILL'), 20_000)
      const [code] = (await once(script, 'exit')) as [number | null]
      clearTimeout(timer)
      assert.ok([129, 130, 143].includes(code ?? 0), `exit code ${code}: ${words.join('')}`)
      const marked = () =>
        readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && isMarked(pid, `HOLDER=${script.pid}\0`))
      // cat closes its output some microseconds before it ends, and on a busy machine that is long.
      let left = marked()
      for (const end = Date.now() + 1000; left.length > 0 && Date.now() < end; left = marked()) await wait(5)
      for (const pid of left) process.kill(Number(pid), 'SIGKILL')
      assert.deepEqual(left, [])
    },
  )

// when it is aborted; whether the call is taken back; how often it comes
const CALLS: [when: 'before' | 'after' | 'never', takenBack: boolean, calls: number][] = [
  ['before', false, 1],
  ['before', true, 0],
  ['after', false, 1],
  ['after', true, 0],
  ['never', false, 0],
]

for (const [when, takenBack, calls] of CALLS)
  void test(`what is aborted ${when} calls back ${calls} times${takenBack ? ', since the call was taken back' : ''}`, async () => {
    const controller = new AbortController()
    let called = 0
    if (when === 'before') controller.abort()
    const forget = onAbort(controller.signal, () => (called += 1))
    if (takenBack) forget()
    if (when === 'after') controller.abort()
    await setImmediate()
    assert.equal(called, calls)
  })
