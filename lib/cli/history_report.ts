// The last deploys as a table.
import type { Entry } from '../deploy/history.ts'
import { tagOf } from '../deploy/release_text.ts'
import { minuteOf, totalTime } from '../system/format.ts'
import { paint } from './terminal.ts'

const count = (value: number) => value.toLocaleString('en-US')

/** What the visitors of a deploy got, in a few words; empty when nobody counted. */
export function visitsText({ visits }: Entry) {
  const { before, during } = visits ?? {}
  if (!during) return ''
  const p99 =
    before && before.requests > 0 ? `${before.p99.toFixed(2)} → ${during.p99.toFixed(2)}` : during.p99.toFixed(2)
  return during.requests === 0
    ? 'no requests'
    : `${count(during.failed)} of ${count(during.requests)} failed, p99 ${p99} s`
}

/** What came of it: "deployed", "failed in observe: …" */
export function resultText({ result, phase, error }: Entry) {
  return phase === undefined ? result : `${result} in ${phase}: ${error ?? ''}`
}

const columnsOf = (entry: Entry) => [
  minuteOf(entry.time),
  entry.repository,
  `${tagOf(entry.from)} → ${tagOf(entry.to)}`,
  totalTime(entry.phases ?? {}),
  visitsText(entry),
]

/** A line each, the latest last. */
export function historyText(entries: Entry[]) {
  if (entries.length === 0) return 'no deploy yet'
  const rows = entries.map(entry => ({ entry, columns: columnsOf(entry) }))
  const widths = [0, 1, 2, 3, 4].map(index => Math.max(...rows.map(({ columns }) => columns[index]?.length ?? 0)))
  const lines = rows.map(({ entry, columns }) => {
    const mark = entry.result === 'deployed' ? paint.green('✓') : paint.red('✗')
    const cells = columns.map((text, index) => text.padEnd(widths[index] ?? 0)).join('  ')
    return `${mark} ${cells}  ${resultText(entry)}${entry.rollback ? ' (rollback)' : ''}  ${entry.who}`
  })
  return ['  UTC', ...lines].join('\n')
}
