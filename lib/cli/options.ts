// Options are a table: the help and the parsing both come from it.
// Long, since the table of options, its help and its parsing are one thing.
import { wrap } from './wrap.ts'
import { parseArgs } from 'node:util'
import { messageOf, usage } from '../system/errors.ts'
import type { Input } from '../remote/host.ts'

export interface Option {
  /** the name of its value, for the help; without it the option is a switch */
  value?: string
  /** it may be given several times: its value is a list */
  many?: boolean
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
  /** what --on does, where that is more than running it there; undefined: that is all */
  elsewhere?: (values: Values<Options>, host: string | undefined, argv: string[]) => Promise<number> | undefined
  /** it is about the machine that it is run on: on another node of a Swarm it does not go to the db node by itself */
  ofMachine?: boolean
  /** it always runs here, and has an option --on of its own if any */
  local?: boolean
}

export type Values<Options extends Record<string, Option>> = {
  [Name in keyof Options]: Options[Name] extends { many: boolean }
    ? string[]
    : Options[Name] extends { value: string }
      ? string | undefined
      : boolean
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
  { usage, summary, options, modes, examples, local }: Omit<Command<Record<string, Option>>, 'elsewhere'>,
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
      {
        type: 'value' in option && option.value ? ('string' as const) : ('boolean' as const),
        multiple: option.many === true,
      },
    ]),
  )
  const { values, positionals } = read(joinNegative(argv, command.options), config, command.usage)
  for (const [name, option] of entries) {
    const [pattern, words] = option.form ?? []
    for (const value of [values[name]].flat()) {
      if (value === '') throw usage(`--${name} is empty: it takes a ${option.value}`, `usage: ${command.usage}`)
      if (typeof value === 'string' && pattern?.test(value) === false)
        throw usage(`--${name} ${JSON.stringify(value)} is not ${words}`, `usage: ${command.usage}`)
    }
  }
  const [least, most] = command.words
  if (!values.help && (positionals.length < least || positionals.length > most))
    throw usage(
      positionals.length < least ? 'something is missing' : `too many words: ${positionals.slice(most).join(' ')}`,
      `usage: ${command.usage}`,
    )
  const complete = Object.fromEntries(entries.map(([name, option]) => [name, values[name] ?? absent(option)]))
  return { values: complete as Values<Options> & { help: boolean }, words: positionals }
}

const absent = (option: Option) => {
  if (option.many) return []
  return 'value' in option ? undefined : false
}

/** "--at -10min" as one word: what begins with a minus and a digit is no option. */
const joinNegative = (argv: string[], options: Record<string, Option>) => {
  const words = argv.slice()
  const end = words.indexOf('--')
  for (let at = (end === -1 ? words.length : end) - 1; at > 0; at -= 1) {
    const before = words[at - 1] ?? ''
    const takesValue = before.startsWith('--') && options[before.slice(2)]?.value !== undefined
    if (takesValue && /^-\d/.test(words[at] ?? '')) words.splice(at - 1, 2, `${before}=${words[at]}`)
  }
  return words
}

const read = (
  args: string[],
  options: Record<string, { type: 'string' | 'boolean'; multiple: boolean }>,
  usageLine: string,
) => {
  try {
    return parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw usage(messageOf(error).split('. ')[0]!, `usage: ${usageLine}`)
  }
}

const isOn = (word: string | undefined) => word === '--on' || word?.startsWith('--on=') === true

/** How many words an --on at this place takes: a host may stand after it. */
const lengthOfOn = (argv: string[], at: number) =>
  argv[at] === '--on' && argv[at + 1]?.startsWith('-') === false ? 2 : 1

/** How many words an option of these takes at this place; 0 when none stands there, or its value has not its form. */
const lengthOfOwn = (own: Record<string, Option>, argv: string[], at: number) => {
  const [, name = '', joined] = /^--([^=]+)(?:=(.*))?$/s.exec(argv[at] ?? '') ?? []
  const option = Object.hasOwn(own, name) ? own[name] : undefined
  if (option?.value === undefined) return option && joined === undefined ? 1 : 0
  const value = joined ?? argv[at + 1]
  if (value !== undefined && option.form?.[0].test(value) === false) return 0
  return joined === undefined ? 2 : 1
}

/**
 * For a command that hands words on to another program: the command line with a "--" before the first word that is none
 * of its own options.
 */
export function handOn(own: Record<string, Option>, argv: string[]) {
  const lengthAt = (at: number) => (isOn(argv[at]) ? lengthOfOn(argv, at) : lengthOfOwn({ ...HELP, ...own }, argv, at))
  let first = 0
  for (let length = lengthAt(0); length > 0; length = lengthAt(first)) first += length
  return first >= argv.length || argv[first] === '--' ? argv : argv.toSpliced(first, 0, '--')
}

/**
 * Takes "--on host", "--on=host" or "--on" alone (then without a host) out of a command line; after "--" nothing is
 * looked at.
 */
export function takeOn(argv: string[]): { on: { host: string | undefined } | undefined; rest: string[] } {
  const end = argv.indexOf('--')
  const at = argv.findIndex((word, index) => isOn(word) && (end === -1 || index < end))
  if (at === -1) return { on: undefined, rest: argv }
  const length = lengthOfOn(argv, at)
  if (argv.slice(at + length, end === -1 ? undefined : end).some(isOn)) throw usage('--on is given twice')
  const host = length === 2 ? argv[at + 1] : argv[at]?.slice('--on='.length)
  return { on: { host: host || undefined }, rest: argv.toSpliced(at, length) }
}

/** The words of a command line without these options, each of which takes a value. */
export function withoutOptions(argv: string[], names: string[]) {
  const isNamed = (word = '') => names.some(name => word === `--${name}`)
  const isJoined = (word: string) => names.some(name => word.startsWith(`--${name}=`))
  return argv.filter((word, index) => !isNamed(word) && !isJoined(word) && !isNamed(argv[index - 1]))
}
