// Runs a script on a server as if it were here: what it prints, what it is asked, how it ends.
import { randomUUID } from 'node:crypto'
import { isatty } from 'node:tty'
import { noteCall, tellOfLostCalls } from './pending_calls.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { type Host, type Input, openHost, scriptThere } from './host.ts'
import { attempt } from '../system/run.ts'
import { terminal } from '../system/environment.ts'
import { checkInterruption, interruption, shielded } from '../system/signals.ts'
import { NO_CONNECTION, ssh } from '../ssh/commands.ts'
import { interactive, relay } from '../system/interactive.ts'

// What the other side is told of the terminal here: it has none of its own, unless a person talks to it.
const terminalEnv = () => {
  const { NO_COLOR = '', DEBUG = '' } = process.env
  return Object.fromEntries(
    Object.entries({ AVRIL_TERMINAL: terminal ? '1' : '', NO_COLOR, DEBUG }).filter(([, value]) => value !== ''),
  )
}

const END = `grep -lzxF -- "AVRIL_CALL=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | xargs -r kill -INT`

/** Its standard input is data, so nothing can be said to it that way: a signal is brought by a call of its own. */
const runWithData = async (host: Host, script: string, argv: string[]) => {
  const call = randomUUID()
  const code = await interactive(scriptThere(host, false, { ...terminalEnv(), AVRIL_CALL: call }, script, argv))
  if (interruption.aborted) await shielded(() => attempt(ssh(host.name, { batch: true }, END, call)))
  return code
}

const run = (host: Host, script: string, argv: string[], input: Input) => {
  if (input !== 'none' && isatty(0) && isatty(1))
    return interactive(scriptThere(host, true, terminalEnv(), script, argv))
  return input === 'data' ? runWithData(host, script, argv) : relayed(host, script, argv).then(({ code }) => code)
}

const relayed = (host: Host, script: string, argv: string[], options = {}) =>
  relay(scriptThere(host, false, { ...terminalEnv(), AVRIL_STEERED: '1' }, script, argv), options)

/**
 * Connects to a host (without a name DEPLOY_HOST), and says how calls to it ended that did not come back. Throws a
 * Failure (69) with the reason when it cannot be reached.
 */
export async function reach(on: string | undefined) {
  const host = await openHost(on)
  tellOfLostCalls(host)
  return host
}

/** Notes the call until it has come back. Throws a Failure (69) when the connection is lost. */
const noted = async <T extends number | { code: number }>(
  host: Host,
  script: string,
  what: string[],
  call: () => Promise<T>,
) => {
  const done = noteCall(host, [script, ...what].join(' ').slice(0, 200))
  const result = await call()
  if ((typeof result === 'number' ? result : result.code) === NO_CONNECTION)
    throw new Failure(`the connection to ${host.name} was lost while ${script}.ts was running there`, {
      exitCode: EXIT.unreachable,
      hint:
        'what it had begun there ends in order: before its switch a deploy goes back, after it it is finished. ' +
        `status.ts --on ${host.name} shows it; the next call says how it ended`,
    })
  done()
  return result
}

/**
 * Runs a script on a host (without a name DEPLOY_HOST) with the words of a command line; gives its exit code. Throws a
 * Failure (69) with the reason when the host cannot be reached, or when the connection is lost.
 */
export async function runThere(on: string | undefined, script: string, argv: string[], input: Input = 'none') {
  const host = await reach(on)
  // What is typed for psql may be of people, and stays in no file.
  return noted(host, script, input === 'none' ? argv : [], () => run(host, script, argv, input))
}

/**
 * Runs a script on a host and gives what it prints; its words for people are shown. Throws a Failure with its exit code
 * when it fails.
 */
export async function askThere(host: Host, script: string, argv: string[]) {
  const { code, stdout } = await noted(host, script, argv, () => relayed(host, script, argv, { output: true }))
  checkInterruption()
  if (code === 0) return stdout
  throw new Failure(`${script}.ts on ${host.name} ended with ${code}`, {
    exitCode: code,
    hint: 'the lines above are its own',
  })
}
