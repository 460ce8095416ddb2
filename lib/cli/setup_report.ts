// What a look at the server finds, in words.
import { type Change, withoutSecret } from '../setup/old_settings.ts'
import type { Finding } from '../setup/findings.ts'
import type { TakeOver } from '../setup/old_site.ts'
import { age, size } from '../system/format.ts'
import { fold } from './wrap.ts'
import { paint } from './terminal.ts'

/** A finding of a step in words. */
export function findingText(step: string, { level, text, hint }: Finding) {
  const marks = { good: paint.green('✓'), warning: paint.yellow('!'), bad: paint.red('✗'), unknown: paint.dim('·') }
  const lines = [`${marks[level]} ${step}: ${text.replaceAll('\n', '\n    ')}`]
  if (hint && level !== 'good') lines.push(`    ${paint.dim(hint)}`)
  return lines.join('\n')
}

const changeText = ({ name, kind, value, was, why }: Change) => {
  const [before, now] = [was, value].map(it => (it === undefined ? undefined : withoutSecret(name, it) || '(empty)'))
  const values = kind === 'corrected' ? [before ?? '(not set)', now] : [kind === 'made' ? now : before]
  return `  ${kind.padEnd(9)} ${name}: ${values.filter(it => it !== undefined).join(' → ')}; ${why}`
}

const dumpsText = (dumps: TakeOver['dumps']) => {
  const lines = dumps.map(({ file, bytes, time }) => `  ${file} (${size(bytes)}, ${age(time)} old)`)
  if (lines.length === 0) return []
  const head = 'old dumps, which stay; once this site runs, tsx scripts/backup_restore.ts <file> restores one:'
  return [head, ...lines.slice(0, 20), ...(lines.length > 20 ? [`  … and ${lines.length - 20} older ones`] : [])]
}

/**
 * What becomes of an old .env: each change with its reason, and the names of what stays; and the old dumps. For a
 * terminal of `width` columns.
 */
export function takeOverText({ name, changes, dumps, override }: TakeOver, width?: number) {
  const kept = changes.filter(({ kind }) => kind === 'kept').map(({ name }) => name)
  return [
    `from ${name}/.env, which stays as it is:`,
    ...fold(
      [...changes.filter(({ kind }) => kind !== 'kept').map(changeText), `  kept      ${kept.join(', ')}`],
      12,
      width,
    ),
    ...(override
      ? [`${name}/docker-compose.override.yml is not taken over: what is still wanted goes into one of that name here`]
      : []),
    ...dumpsText(dumps),
  ].join('\n')
}
