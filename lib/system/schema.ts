// What is read from a file or another machine has the form that the code counts on, or it is said in which field not: a
// file can be damaged, and another machine can answer anything.
import * as v from 'valibot'

/** ISO 8601 */
export const time = v.pipe(
  v.string(),
  v.check(it => /^\d{4}-\d\d-\d\dT/.test(it) && !Number.isNaN(Date.parse(it)), 'is not a time'),
)

/** A whole number from 0 on. */
export const wholeNumber = v.pipe(v.number(), v.safeInteger('is not a whole number'), v.minValue(0, 'is below 0'))

export type Schema<T> = v.GenericSchema<unknown, T>

/** What was read, or in words why it is not that: "made is not a time". */
export type Read<T> = { value: T; damage?: undefined } | { value?: undefined; damage: string }

// An issue of the schema itself has the words of valibot, and what was received in them.
const wordsOf = ({ kind, received, expected, message }: v.BaseIssue<unknown>) => {
  if (kind !== 'schema') return message
  return received === 'undefined' ? 'is missing' : `should be ${expected}`
}

/** Reads a value that a schema describes from a JSON text. */
export function readJson<T>(schema: Schema<T>, text: string): Read<T> {
  if (text.trim() === '') return { damage: 'it is empty' }
  let it: unknown
  try {
    it = JSON.parse(text)
  } catch {
    return { damage: 'it is not JSON' }
  }
  const result = v.safeParse(schema, it, { abortEarly: true })
  if (result.success) return { value: result.output }
  const [issue] = result.issues
  return { damage: `${v.getDotPath(issue) ?? 'it'} ${wordsOf(issue)}`.slice(0, 200) }
}
