// What the scripts have noted in .state. A file there that is damaged (a disk's fault, an editor) is said, and taken
// for none where that is safe: no command fails for it.
import { readIfThere, readOrEmpty, replaceFile } from './files.ts'
import { readJson, type Schema } from './schema.ts'
import { say } from './progress.ts'
import { join } from 'node:path'
import { root } from './checkout.ts'
import { fstatSync, closeSync, mkdirSync, readSync, openSync, existsSync, appendFileSync } from 'node:fs'

const told = new Set<string>()

/** A warning that is given once, however often the file is read. */
const tellOnce = (text: string) => {
  if (!told.has(text)) say.warn(text)
  told.add(text)
}

/** What a file of the state holds; undefined when there is none, or when it is damaged, which is told. */
export function readState<T>(name: string, schema: Schema<T>, tell = tellOnce): T | undefined {
  const text = readIfThere(statePath(name))
  if (text === undefined) return undefined
  const { value, damage } = readJson(schema, text)
  if (damage !== undefined)
    tell(`${statePath(name)} is damaged (${damage}), so that nobody knows what it told; it is taken for none`)
  return value
}

/** Notes what readState reads. Throws a Failure when it cannot. */
export function writeState(name: string, value: unknown, mode?: number) {
  replaceFile(stateFile(name), `${JSON.stringify(value)}\n`, mode)
}

/** All entries of a file of lines, oldest first. Lines that are damaged are told, and left out. */
export function readLines<T>(name: string, schema: Schema<T>): T[] {
  const lines = readOrEmpty(statePath(name))
    .split('\n')
    .map((text, index) => ({ text, number: index + 1, ...readJson(schema, text) }))
  const damaged = lines.filter(({ text, damage }) => text.trim() !== '' && damage !== undefined)
  const [first] = damaged
  if (first) {
    const numbers = damaged.slice(0, 10).map(({ number }) => number)
    tellOnce(
      `${statePath(name)} has damaged lines, which are left out: ` +
        `${numbers.join(', ')}${damaged.length > 10 ? ', …' : ''} (${first.damage}). Look at them (sed -n ` +
        `${first.number}p), and remove them`,
    )
  }
  return lines.flatMap(({ value }) => value ?? [])
}

/** Where the scripts keep what they know: lock, history, the rollout that is under way. */
const STATE = join(root, '.state')
export function statePath(name: string) {
  return join(STATE, name)
}

/** The same for who writes: the folder is made. */
export function stateFile(name: string) {
  mkdirSync(STATE, { recursive: true, mode: 0o700 })
  return statePath(name)
}
const endsInLine = (file: string) => {
  const descriptor = openSync(file, 'r')
  try {
    const last = Buffer.alloc(1)
    const bytes = readSync(descriptor, last, 0, 1, Math.max(fstatSync(descriptor).size - 1, 0))
    return bytes === 0 || last.toString() === '\n'
  } finally {
    closeSync(descriptor)
  }
}
/**
 * Adds a line of JSON to a file of the state that is only ever added to. One that a power failure has cut stays a line
 * of its own.
 */
export function appendLine(name: string, entry: object) {
  const file = stateFile(name)
  const begin = existsSync(file) && !endsInLine(file) ? '\n' : ''
  appendFileSync(file, `${begin}${JSON.stringify(entry)}\n`, { mode: 0o600, flush: true })
}
