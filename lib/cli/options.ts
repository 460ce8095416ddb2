// Options are a table: the help and the parsing both come from it.
import { wrap } from './wrap.ts'
import { parseArgs } from 'node:util'
import { messageOf, usage } from '../system/errors.ts'
import type { Input } from '../remote/host.ts'

export interface Option {
  /** the name of its value, for the help; without it the option is a switch */
  value?: string
  help: string
  /** for the scripts themselves: --help does not show it */
  hidden?: boolean
  /** what its value must look like, and the same in words: "is not …" */
  form?: readonly [pattern: RegExp, words: string]
}

export interface Command<Options extends Record<string, Option>> {
  usage: string
  summary: string
  options: Options
  /** the options that say what is to be done, if any do; --help shows them apart */
  modes?: { heading: string; names: readonly string[] }
  /** how many words may stand beside the options */
  words: [least: number, most: number]
  examples: [command: string, what: string][]
  input?: Input
  /** it always runs here, and has an option --on of its own if any */
  local?: boolean
}

export type Values<Options extends Record<string, Option>> = {
  [Name in keyof Options]: Options[Name] extends { value: string } ? string | undefined : boolean
}

const HELP: Record<'help', Option> = { help: { help: 'print this text' } }
export const ON: Option & { value: string } = {
  value: 'host',
  help: 'on a server, by ssh: an entry of ~/.ssh/config, or user@host; without a host DEPLOY_HOST of .env',
}

/** Characters that a column of texts must have: narrower, they stand below what they are about. */
const READABLE = 40

const table = (rows: [left: string, right: string][], width: number) => {
  const indent = Math.max(...rows.map(([left]) => left.length)) + 4
  return rows
    .map(([left, right]) => {
      if (width - indent < READABLE) return `  ${left}\n      ${wrap(right, width - 6).join('\n      ')}`
      return `  ${left.padEnd(indent - 2)}${wrap(right, width - indent).join(`\n${' '.repeat(indent)}`)}`
    })
    .join('\n')
}

/** The text of --help, for a terminal of so many columns. */
export function helpOf(
  { usage, summary, options, modes, examples, local }: Command<Record<string, Option>>,
  width = Infinity,
) {
  const all = { ...options, ...(local ? {} : { on: { ...ON, help: `run it ${ON.help}` } }), ...HELP }
  const shown = Object.entries(all).filter(([, { hidden }]) => !hidden)
  const rowsOf = (isMode: boolean) =>
    shown
      .filter(([name]) => (modes?.names.includes(name) ?? false) === isMode)
      .map(([name, { value, help }]): [string, string] => [
        `--${name}${value === undefined ? '' : ` <${value}>`}`,
        help,
      ])
  const parts = [
    ...summary.split('\n\n').map(paragraph => wrap(paragraph, width).join('\n')),
    `Usage: ${usage}`,
    ...(modes === undefined ? [] : [`${modes.heading}\n${table(rowsOf(true), width)}`]),
    `Options:\n${table(rowsOf(false), width)}`,
    `Examples:\n${table(examples, width)}`,
  ]
  return parts.join('\n\n')
}

/** Reads the words of a command line; throws a usage Failure (64) for anything that the table does not know. */
export function parse<Options extends Record<string, Option>>(command: Command<Options>, argv: string[]) {
  const entries = Object.entries({ ...command.options, ...HELP })
  const config = Object.fromEntries(
    entries.map(([name, option]) => [
      name,
      { type: 'value' in option && option.value ? ('string' as const) : ('boolean' as const) },
    ]),
  )
  const { values, positionals } = read(argv, config, command.usage)
  for (const [name, option] of entries) {
    const value = values[name]
    if (value === '') throw usage(`--${name} is empty: it takes a ${option.value}`, `usage: ${command.usage}`)
    const [pattern, words] = option.form ?? []
    if (typeof value === 'string' && pattern?.test(value) === false)
      throw usage(`--${name} ${JSON.stringify(value)} is not ${words}`, `usage: ${command.usage}`)
  }
  const [least, most] = command.words
  if (!values.help && (positionals.length < least || positionals.length > most))
    throw usage(
      positionals.length < least ? 'something is missing' : `too many words: ${positionals.slice(most).join(' ')}`,
      `usage: ${command.usage}`,
    )
  const complete = Object.fromEntries(
    entries.map(([name, option]) => [name, values[name] ?? ('value' in option ? undefined : false)]),
  )
  return { values: complete as Values<Options> & { help: boolean }, words: positionals }
}

const read = (args: string[], options: Record<string, { type: 'string' | 'boolean' }>, usageLine: string) => {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw usage(messageOf(error).split('. ')[0] ?? '', `usage: ${usageLine}`)
  }
}

const isOn = (word: string | undefined) => word === '--on' || word?.startsWith('--on=') === true

/** How many words an --on at this place takes: a host may stand after it. */
const lengthOfOn = (argv: string[], at: number) =>
  argv[at] === '--on' && argv[at + 1]?.startsWith('-') === false ? 2 : 1

/**
 * For a command that hands words on to another program: the command line with a "--" before the first word that is none
 * of its own options.
 */
export function handOn(own: string[], argv: string[]) {
  let first = 0
  while (own.includes(argv[first] ?? '') || isOn(argv[first])) first += lengthOfOn(argv, first)
  return first >= argv.length || argv[first] === '--' ? argv : argv.toSpliced(first, 0, '--')
}

/** Takes "--on host", "--on=host" or "--on" alone ('' then) out of a command line; after "--" nothing is looked at. */
export function takeOn(argv: string[]): { on: string | undefined; rest: string[] } {
  const end = argv.indexOf('--')
  const at = argv.findIndex((word, index) => isOn(word) && (end === -1 || index < end))
  if (at === -1) return { on: undefined, rest: argv }
  const length = lengthOfOn(argv, at)
  if (argv.slice(at + length, end === -1 ? undefined : end).some(isOn)) throw usage('--on is given twice')
  return { on: length === 2 ? argv[at + 1] : argv[at]?.slice('--on='.length), rest: argv.toSpliced(at, length) }
}
