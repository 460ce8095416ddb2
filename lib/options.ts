// Options are a table: the help and the parsing both come from it.
import { parseArgs } from 'node:util'
import { messageOf, usage } from './errors.ts'

export interface Option {
  /** the name of its value, for the help; without it the option is a switch */
  value?: string
  help: string
  /** what its value must look like */
  form?: RegExp
}

export interface Command<Options extends Record<string, Option>> {
  usage: string
  summary: string
  options: Options
  /** how many words may stand beside the options */
  words: [least: number, most: number]
  examples: [command: string, what: string][]
}

export type Values<Options extends Record<string, Option>> = {
  [Name in keyof Options]: Options[Name] extends { value: string } ? string | undefined : boolean
}

const HELP: Record<'help', Option> = { help: { help: 'print this text' } }

/** The text of --help. */
export const helpOf = ({ usage, summary, options, examples }: Command<Record<string, Option>>) => {
  const rows = Object.entries({ ...options, ...HELP }).map(([name, option]) => [
    `--${name}${'value' in option ? ` <${option.value}>` : ''}`,
    option.help,
  ])
  const table = (lines: string[][]) => {
    const width = Math.max(...lines.map(([left]) => left?.length ?? 0))
    return lines.map(([left, right]) => `  ${left?.padEnd(width)}  ${right}`).join('\n')
  }
  return `${summary}\n\nUsage: ${usage}\n\nOptions:\n${table(rows)}\n\nExamples:\n${table(examples)}`
}

/** Reads the words of a command line; throws a usage Failure (64) for anything that the table does not know. */
export const parse = <Options extends Record<string, Option>>(command: Command<Options>, argv: string[]) => {
  const entries = Object.entries({ ...command.options, ...HELP })
  const config = Object.fromEntries(
    entries.map(([name, option]) => [name, { type: 'value' in option && option.value ? ('string' as const) : ('boolean' as const) }]),
  )
  const { values, positionals } = read(argv, config, command.usage)
  for (const [name, option] of entries) {
    const value = values[name]
    if (option.form && typeof value === 'string' && !option.form.test(value))
      throw usage(`--${name} ${JSON.stringify(value)} is not a ${option.value ?? 'value'}`, `usage: ${command.usage}`)
  }
  const [least, most] = command.words
  if (!values.help && (positionals.length < least || positionals.length > most))
    throw usage(positionals.length < least ? 'something is missing' : `too many words: ${positionals.slice(most).join(' ')}`, `usage: ${command.usage}`)
  const complete = Object.fromEntries(entries.map(([name, option]) => [name, values[name] ?? ('value' in option ? undefined : false)]))
  return { values: complete as Values<Options> & { help: boolean }, words: positionals }
}

const read = (args: string[], options: Record<string, { type: 'string' | 'boolean' }>, usageLine: string) => {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw usage(messageOf(error).split('. ')[0] ?? '', `usage: ${usageLine}`)
  }
}

/** For a command that hands words on to another program: the command line with a "--" before the first word that is none of its own options. */
export const handOn = (own: string[], argv: string[]) => {
  const first = argv.findIndex(word => !own.includes(word))
  return first === -1 || argv[first] === '--' ? argv : argv.toSpliced(first, 0, '--')
}
