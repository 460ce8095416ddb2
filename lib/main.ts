// What every command does around its own work: parse, help, signals, errors, the exit code.
import { Failure } from './errors.ts'
import { helpOf, parse, type Command, type Option, type Values } from './options.ts'
import { paint, print, say } from './say.ts'
import { listenForSignals } from './signals.ts'

export const report = (error: unknown) => {
  if (error instanceof Failure) {
    say.line(`${paint.red('error:')} ${error.message}`)
    if (error.hint) say.line(`${paint.cyan('hint:')} ${error.hint}`)
    if (process.env.DEBUG) say.line(String(error.stack))
    return error.exitCode
  }
  say.line(`${paint.red('error:')} this is a bug in the scripts: ${error instanceof Error ? error.stack : String(error)}`)
  return 1
}

/** Runs a command with its command line; the exit code is 0, or what its Failure says. */
export const main = async <Options extends Record<string, Option>>(
  command: Command<Options>,
  run: (values: Values<Options>, words: string[]) => Promise<number | void>,
) => {
  try {
    const { values, words } = parse(command, process.argv.slice(2))
    if (values.help) return print(helpOf(command))
    listenForSignals()
    process.exitCode = (await run(values, words)) ?? 0
  } catch (error) {
    process.exitCode = report(error)
  }
}
