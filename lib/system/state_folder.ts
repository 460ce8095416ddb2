// What the scripts have noted in .state. A file there that is damaged (a disk's fault, an editor) is said, and taken
// for none where that is safe: no command fails for it.
import { readIfThere } from './files.ts'
import { parseJson } from './shapes.ts'
import { say } from './log.ts'
import { join } from 'node:path'
import { root } from './checkout.ts'
import { fstatSync, closeSync, mkdirSync, readSync, openSync, existsSync, appendFileSync } from 'node:fs'

/** Whether a value read from a file is what was written. */
type Form<T> = (it: unknown) => it is T

const told = new Set<string>()

/** A warning that is given once, however often the file is read. */
const tellOnce = (text: string) => {
  if (!told.has(text)) say.warn(text)
  told.add(text)
}

/** What a file of the state holds; undefined when there is none, or when it is damaged, which is told. */
export const readState = <T>(name: string, isForm: Form<T>, tell = tellOnce): T | undefined => {
  const text = readIfThere(statePath(name))
  const it = parseJson(text ?? '')
  if (text === undefined || isForm(it)) return it as T | undefined
  tell(
    `${statePath(name)} is damaged (${text.trim() === '' ? 'it is empty' : 'it is not what was written there'}), so that nobody knows what it told; it is taken for none`,
  )
  return undefined
}

/** All entries of a file of lines, oldest first. Lines that are damaged are told, and left out. */
export const readLines = <T>(name: string, isForm: Form<T>): T[] => {
  const lines = (readIfThere(statePath(name)) ?? '')
    .split('\n')
    .map((text, index) => ({ text, number: index + 1, it: parseJson(text) }))
  const damaged = lines.filter(({ text, it }) => text.trim() !== '' && !isForm(it)).map(({ number }) => number)
  if (damaged.length > 0)
    tellOnce(
      `${statePath(name)} has damaged lines, which are left out: ${damaged.slice(0, 10).join(', ')}${damaged.length > 10 ? ', …' : ''}. Look at them (sed -n ${damaged[0]}p), and remove them`,
    )
  return lines.flatMap(({ it }) => (isForm(it) ? [it] : []))
}

/** Where the scripts keep what they know: lock, history, the rollout that is under way. */
const STATE = join(root, '.state')
export const statePath = (name: string) => join(STATE, name)

/** The same for who writes: the folder is made. */
export const stateFile = (name: string) => {
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
export const appendLine = (name: string, entry: object) => {
  const file = stateFile(name)
  const begin = existsSync(file) && !endsInLine(file) ? '\n' : ''
  appendFileSync(file, `${begin}${JSON.stringify(entry)}\n`, { mode: 0o600, flush: true })
}
