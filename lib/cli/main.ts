// What every command does around its own work: parse, help, signals, errors, the exit code. A script imports what it
// acts with only when it acts, so that --help answers at once.
import { basename } from 'node:path'
import { failureFrom } from '../system/errors.ts'
import { type Command, helpOf, type Option, parse, takeOn, type Values } from './options.ts'
import type { Input } from '../remote/host.ts'
import { say } from '../system/progress.ts'
import { paint, print, startTerminal, useColours } from './terminal.ts'
import { interruption, listenForSignals } from '../system/signals.ts'
import { prepareProcess } from '../system/prepare_process.ts'
import { listenToCaller } from './relayed_signals.ts'

/** Prints an error for people; gives the exit code that tells its cause. */
export function report(error: unknown): number {
  const failure = failureFrom(error)
  if (failure) {
    say.line(`${paint.red('error:')} ${failure.message}`)
    if (failure.hint) say.line(`${paint.cyan('hint:')} ${failure.hint}`)
    if (process.env.DEBUG) say.line(String((error as Error).stack))
    return failure.exitCode
  }
  say.line(
    `${paint.red('error:')} this is a bug in the scripts: ${error instanceof Error ? error.stack : String(error)}`,
  )
  return 1
}

/**
 * Runs a command with its command line, here or on the server that --on names; the exit code is 0, or what its Failure
 * says.
 */
export async function main<Options extends Record<string, Option>>(
  command: Command<Options>,
  run: (values: Values<Options>, words: string[]) => Promise<number | void>,
  argv = process.argv.slice(2),
) {
  try {
    startTerminal()
    prepareProcess()
    const { Chalk } = await import('chalk')
    useColours(level => new Chalk({ level }))
    const { on, rest } = command.local ? { on: undefined, rest: argv } : takeOn(argv)
    const { values, words } = parse(command, rest)
    if (values.help) return print(helpOf(command, process.stdout.columns))
    if (process.env.AVRIL_STEERED) listenToCaller()
    listenForSignals()
    const isElsewhere = on !== undefined || (!command.local && !command.ofMachine && (await isDistant()))
    const there = isElsewhere
      ? (command.elsewhere?.(values, on?.host, rest) ?? runElsewhere(on?.host, rest, command.input))
      : run(values, words)
    process.exitCode = (await there) ?? 0
  } catch (error) {
    process.exitCode = report(error)
  }
  // All that was begun has ended by now; whatever lives on all the same must not keep this process.
  if (interruption.aborted) process.exit()
}

// What a command needs is on the db node of a Swarm, and there alone.
const isDistant = async () => {
  const { distantDb } = await import('../docker/swarm.ts')
  const address = distantDb()
  if (address !== undefined) say.detail(`the db node of this Swarm is ${address}: this runs there`)
  return address !== undefined
}

const runElsewhere = async (host: string | undefined, argv: string[], input: Input | undefined) => {
  const { runThere } = await import('../remote/run_there.ts')
  return runThere(host, basename(process.argv[1] ?? '', '.ts'), argv, input)
}
