// What a look at the server finds, in words.
import type { Finding } from '../setup/findings.ts'
import { paint } from './terminal.ts'

/** A finding of a step in words. */
export function findingText(step: string, { level, text, hint }: Finding) {
  const marks = { good: paint.green('✓'), warning: paint.yellow('!'), bad: paint.red('✗'), unknown: paint.dim('·') }
  const lines = [`${marks[level]} ${step}: ${text.replaceAll('\n', '\n    ')}`]
  if (hint && level !== 'good') lines.push(`    ${paint.dim(hint)}`)
  return lines.join('\n')
}
