// What the scripts have noted in .state. A file there that is damaged (a disk's fault, an editor) is said, and taken
// for none where that is safe: no command fails for it.
import { readIfThere, statePath } from './files.ts'
import { parseJson } from './forms.ts'
import { say } from './say.ts'

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
