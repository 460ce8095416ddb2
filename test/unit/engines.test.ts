// The engine of another machine that is not reached, or that never answers: nobody waits for it for ever.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, mock, test } from 'node:test'
import { listContainers } from '../../lib/docker/containers.ts'
import { engineOf } from '../../lib/ssh/engines.ts'
import { Failure } from '../../lib/system/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'avril-engines-'))
process.env.PATH = `${folder}:${process.env.PATH}`
process.env.XDG_RUNTIME_DIR = folder
after(() => rmSync(folder, { recursive: true }))
const real = AbortSignal.timeout.bind(AbortSignal)
// milliseconds: a busy machine takes its time, and who never answers is not waited for
let patience = 60_000
mock.method(AbortSignal, 'timeout', () => real(patience))

const program = (name: string, text: string) => {
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(folder, name), 0o755)
}
const failureOf = async (work: Promise<unknown>) => {
  const began = performance.now()
  const failure = await work.then(
    () => assert.fail('it was reached'),
    (error: unknown) => error,
  )
  assert.ok(failure instanceof Failure, String(failure))
  assert.ok(performance.now() - began < 50_000)
  return failure
}

const CHANGED = `cat >&2 <<'END'
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
Host key verification failed.
END
exit 255`

const table: [string, string, RegExp][] = [
  ['its host key is another', CHANGED, /^root@h cannot be reached: its host key is another one .*ssh-keygen -R h/s],
  ['its key is refused', 'echo "Permission denied (publickey)." >&2; exit 255', /it refuses the key/],
  ['no shell starts', 'exec sleep 60', /it does not answer \(time-out\)/],
  ['it forwards nothing', 'echo "Could not request local forwarding." >&2; exit 255', /AllowTcpForwarding/],
]
for (const [what, text, said] of table)
  void test(`an engine is not reached: ${what}`, async () => {
    program('ssh', text)
    patience = text.includes('sleep') ? 300 : 60_000
    const { message, hint, exitCode } = await failureOf(engineOf('root@h'))
    assert.match(`${message}; ${hint}`, said)
    assert.equal(exitCode, 69)
  })

void test('an engine that takes a question and never answers', async () => {
  program('docker', 'exec sleep 60')
  patience = 300
  const { message } = await failureOf(listContainers('avril', 'nginx', 'unix:///nowhere'))
  assert.match(message, /^asking Docker there, for 15 s at most, failed/)
})
