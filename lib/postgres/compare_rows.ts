// Whether tables have the rows that they should have.
import { EXIT, Failure } from '../system/errors.ts'

interface Words {
  /** the sentence to begin with; it may name how many tables differ */
  message: (differing: number) => string
  /** behind the rows that were found, and behind those that were expected: "restored", "saved" */
  found: string
  expected: string
  hint?: string
}

/**
 * Throws a Failure (65) that names the first tables whose rows are not as expected. Tables that are not expected are
 * left aside.
 */
export function compareRows(expected: Record<string, number>, found: Record<string, number>, words: Words) {
  const differing = Object.entries(expected).filter(([table, rows]) => found[table] !== rows)
  if (differing.length === 0) return
  const shown = differing
    .slice(0, 5)
    .map(([table, rows]) => `${table}: ${found[table] ?? 'no'} rows ${words.found}, ${rows} ${words.expected}`)
  throw new Failure([words.message(differing.length), ...shown].join('\n  '), { exitCode: EXIT.data, hint: words.hint })
}
