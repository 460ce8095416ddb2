// The file .env itself: its lines, and how they are changed.
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './checkout.ts'
import { replaceContent } from './files.ts'
import { readExample, readSettings } from './settings.ts'

/** Settings as they are to stand in .env: name → value; undefined: its line becomes a comment. */
export type Lines = Readonly<Record<string, string | undefined>>

export const ENV_FILE = join(root, '.env')

/** The line of a setting; where there is none, the one that the example has as a comment. */
const lineOf = (text: string, name: string) =>
  [new RegExp(`^${name}=.*$`, 'm'), new RegExp(`^#${name}=.*$`, 'm')].find(line => line.test(text))

// A function as the replacement: a "$" in a value is a "$".
const setLine = (text: string, name: string, value: string | undefined) => {
  if (value === undefined) return text.replace(new RegExp(`^(?=${name}=)`, 'm'), '#')
  const line = lineOf(text, name)
  return line ? text.replace(line, () => `${name}=${value}`) : `${text.replace(/\n*$/, '\n')}${name}=${value}\n`
}

/** A .env with these settings in it: each in its line, or, when it has none, at the end. */
export function settingsWith(text: string, values: Lines) {
  return Object.entries(values).reduce((it, [name, value]) => setLine(it, name, value), text)
}

/**
 * Changes settings of the .env that is there: at once and for good, and it stays whose it is. Throws a Failure, and
 * then it is as it was.
 */
export function changeSettings(values: Lines) {
  if (Object.keys(values).length === 0) return
  const file = realpathSync(ENV_FILE)
  const text = settingsWith(readFileSync(file, 'utf8'), values)
  readSettings(text, readExample())
  replaceContent(file, text)
}

export function hasSettings() {
  return existsSync(ENV_FILE)
}
