// What the benchmark found, as a table for people and a document for machines.
import { paint } from '../../lib/cli/terminal.ts'
import type { Cuts } from './websocket.ts'

export interface Figure {
  /** the part of the benchmark that it comes from */
  part: string
  name: string
  value: string
  target?: string
  /** whether the target is met; undefined for what stands there for scale */
  met?: boolean
  /** without it the benchmark has failed; other targets depend on the machine */
  must?: boolean
}

/** A part's figures, and its raw numbers for --json. */
export interface Outcome {
  figures: Figure[]
  details: unknown
}

export function median(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? NaN) + (sorted[Math.floor(half)] ?? NaN)) / 2
}

/** The median of one number of each of these. */
export function medianOf<T>(list: readonly T[], number: (item: T) => number) {
  return median(list.map(number))
}

const count = (value: number) => value.toLocaleString('en-US')

/** Makes the figures of one part. */
export function figuresOf(part: string) {
  return {
    /** for scale, or as a part of a sum */
    plain: (name: string, value: string): Figure => ({ part, name, value }),
    most: (name: string, value: number, limit: number, unit: string, digits = 2): Figure => ({
      part,
      name,
      value: `${value.toFixed(digits)} ${unit}`,
      target: `≤ ${limit} ${unit}`,
      met: Number(value.toFixed(digits)) <= limit,
    }),
    noneFailed: (name: string, { failed, sent }: { failed: number; sent: number }): Figure => ({
      part,
      name,
      value: `${count(failed)} of ${count(sent)} failed`,
      target: '0',
      met: failed === 0,
      must: true,
    }),
    failed: (name: string, { failed, sent }: { failed: number; sent: number }): Figure => ({
      part,
      name,
      value: `${count(failed)} of ${count(sent)} failed`,
    }),
  }
}

/** The figures of the websocket. */
export function websocketFigures(part: string, { closed, early, messages }: Cuts): Figure[] {
  return [
    {
      part,
      name: `websocket closed before its drain time (of ${closed})`,
      value: String(early),
      target: '0',
      met: early === 0,
      must: true,
    },
    { part, name: 'messages on their way when its drain time was over', value: String(messages) },
  ]
}

const mark = ({ met }: Figure) => {
  if (met === undefined) return ' '
  return met ? paint.green('✓') : paint.red('✗')
}

/** The figures in columns. */
export function tableOf(figures: readonly Figure[]) {
  const partOf = ({ part }: Figure, index: number) => (figures[index - 1]?.part === part ? '' : part)
  const rows = figures.map((figure, index) => [partOf(figure, index), figure.name, figure.value, figure.target ?? ''])
  const head = ['', 'figure', 'value', 'target']
  // A long value without a target may stand out to the right.
  const measured = rows.filter(([, , , target], index) => target !== '' || index === 0)
  const widthOf = (list: string[][], column: number) =>
    Math.max(...[head, ...list].map(row => row[column]?.length ?? 0))
  const widths = [rows, rows, measured].map(widthOf)
  const lines = [head, ...rows].map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 8)).join('  '))
  return lines
    .map((line, index) => `${line}  ${index === 0 ? '' : mark(figures[index - 1] as Figure)}`.trimEnd())
    .join('\n')
}

/** Whether everything that must hold does. */
export function holds(figures: readonly Figure[]) {
  return figures.every(({ must, met }) => !must || met === true)
}
