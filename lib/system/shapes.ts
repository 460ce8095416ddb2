// Whether what was read has the form that the code counts on: a file can be damaged, and another machine can answer
// anything.
export const isRecord = (it: unknown): it is Record<string, unknown> =>
  typeof it === 'object' && it !== null && !Array.isArray(it)
export const isText = (it: unknown): it is string => typeof it === 'string'
export const isTextOrNull = (it: unknown): it is string | null => it === null || isText(it)
/** ISO 8601 */
export const isTime = (it: unknown): it is string =>
  isText(it) && /^\d{4}-\d\d-\d\dT/.test(it) && !Number.isNaN(Date.parse(it))

/** The value in a JSON text; undefined when it is none. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
