// A picture of one or more runs of the load generator, one panel above another on the same scales: what was answered
// and what failed in each second, with the phases of the rollout. Its background is its own: it can be read on a dark
// page too.
import { escape, INK, LINE, line, MUTED, rect, spread, text, ticks } from './svg.ts'

/** In seconds on the panel's time axis. */
export interface Phase {
  label: string
  from: number
  to: number
}

export interface Panel {
  title: string
  /** how long the load ran */
  seconds: number
  /** a report's: one point for each 100 ms */
  timeline: readonly { answered: number; failed: number }[]
  phases: readonly Phase[]
}

export interface Chart {
  title: string
  /** one sentence under the title: what was done, on what */
  note: string
  panels: readonly Panel[]
}

const WIDTH = 900
const LEFT = 56
const EDGE = WIDTH - 24
const HEADER = 84
const PANEL = 262
const ABOVE_PLOT = 74
const PLOT = 150
const FOOTER = 58
const STRIP = 9
const LETTER = 6.2
// One lost request among 250 would be half a pixel.
const LEAST_FAILED = 3
const POINTS_PER_SECOND = 10

// Wong's palette (Nature Methods 8, 441), which people with any colour vision can tell apart; failures are hatched as
// well.
const ANSWERED = '#56b4e9'
const FAILED = '#d55e00'
const HATCHED = 'url(#failed)'
const [GOOD, BAD] = ['#00684a', '#a83a00']
const BANDS = ['#6e7781', '#b1bac4']

const number = (value: number) => value.toLocaleString('en-US')

/** Requests a second in each second; the last one may be shorter, so its count is divided by what there is of it. */
export function perSecond({ timeline, seconds }: Pick<Panel, 'timeline' | 'seconds'>) {
  return Array.from({ length: Math.ceil(timeline.length / POINTS_PER_SECOND) }, (_, second) => {
    const points = timeline.slice(second * POINTS_PER_SECOND, (second + 1) * POINTS_PER_SECOND)
    const width = Math.min(1, Math.max(seconds - second, 0.1))
    const rate = (of: 'answered' | 'failed') => points.reduce((sum, point) => sum + point[of], 0) / width
    return { width, answered: rate('answered'), failed: rate('failed') }
  })
}

interface Scale {
  x: (second: number) => number
  y: (count: number) => number
  seconds: number
  top: number
  counts: number[]
}

const bands = (phases: readonly Phase[], { x, top }: Scale) => {
  const middleOf = ({ from, to }: Phase) => (x(from) + x(to)) / 2
  const labels = phases.map(phase => ({ middle: middleOf(phase), width: phase.label.length * LETTER + 10 }))
  const middles = spread(labels, LEFT, EDGE)
  const [strip, bottom] = [top - STRIP, top + PLOT]
  return phases.flatMap((phase, index) => {
    const [from, to, middle] = [x(phase.from), x(phase.to), middles[index] ?? 0]
    return [
      rect(from, strip, Math.max(1, to - from), STRIP, BANDS[index % 2] ?? LINE),
      line(from, top, from, bottom, INK, '1 3'),
      phases[index + 1]?.from === phase.to ? '' : line(to, top, to, bottom, INK, '1 3'),
      line(middle, strip - 14, middleOf(phase), strip - 1, MUTED),
      text(middle, strip - 18, phase.label, { size: 11, anchor: 'middle', fill: INK }),
    ]
  })
}

const grid = ({ x, y, seconds, top, counts }: Scale) => {
  const every = ticks(seconds / 2)[1] ?? 1
  const times = Array.from({ length: Math.floor(seconds / every) + 1 }, (_, index) => index * every)
  return [
    ...counts.map(count => line(LEFT, y(count), EDGE, y(count))),
    ...counts.map(count => text(LEFT - 8, y(count) + 4, number(count), { anchor: 'end', size: 11 })),
    ...times.map(time => text(x(time), top + PLOT + 16, number(time), { anchor: 'middle', size: 11 })),
  ]
}

const columns = (panel: Panel, { x, y }: Scale) =>
  perSecond(panel).flatMap(({ width, answered, failed }, second) => {
    const left = x(second) + 0.75
    const across = Math.max(0.5, x(second + width) - x(second) - 1.5)
    const blue = rect(left, y(answered), across, y(0) - y(answered), ANSWERED)
    const height = Math.max(LEAST_FAILED, y(0) - y(failed))
    return failed === 0 ? [blue] : [blue, rect(left, y(answered) - height, across, height, HATCHED)]
  })

const verdict = ({ timeline }: Panel) => {
  const failed = timeline.reduce((sum, point) => sum + point.failed, 0)
  const sent = timeline.reduce((sum, point) => sum + point.answered + point.failed, 0)
  return { colour: failed === 0 ? GOOD : BAD, words: `${number(failed)} of ${number(sent)} requests failed` }
}

const drawPanel = (panel: Panel, index: number, frame: Omit<Scale, 'top' | 'y'>) => {
  const title = HEADER + index * PANEL + 18
  const top = HEADER + index * PANEL + ABOVE_PLOT
  const most = frame.counts.at(-1) ?? 1
  const scale = { ...frame, top, y: (count: number) => top + PLOT - (count / most) * PLOT }
  const { colour, words } = verdict(panel)
  return [
    text(LEFT, title, panel.title, { size: 15, fill: INK, weight: 600 }),
    text(EDGE, title, words, { size: 15, fill: colour, weight: 600, anchor: 'end' }),
    ...grid(scale),
    ...columns(panel, scale),
    ...bands(panel.phases, scale),
  ]
}

const legend = (y: number) => [
  rect(LEFT, y - 10, 12, 12, ANSWERED),
  text(LEFT + 18, y, 'answered'),
  rect(LEFT + 92, y - 10, 12, 12, HATCHED),
  text(LEFT + 110, y, 'failed'),
  text(LEFT + 168, y, 'requests a second, by when they were due'),
  text(EDGE, y, 'seconds since the load started', { anchor: 'end' }),
]

const describe = ({ note, panels }: Chart) => {
  const phases = (panel: Panel) => panel.phases.map(({ label }) => label).join(', ') || 'none'
  return [note, ...panels.map(panel => `${panel.title}: ${verdict(panel).words}. Phases: ${phases(panel)}.`)].join(' ')
}

const frameOf = (height: number, chart: Chart) => [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
    'role="img"',
  ` aria-labelledby="title desc" font-family="-apple-system, 'Segoe UI', 'Liberation Sans', Helvetica, Arial, ` +
    'sans-serif">',
  `<title id="title">${escape(chart.title)}</title><desc id="desc">${escape(describe(chart))}</desc>`,
  `<defs><pattern id="failed" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">`,
  `<rect width="5" height="5" fill="${FAILED}"/><rect width="1.5" height="5" fill="#fff" ` +
    'fill-opacity="0.45"/></pattern></defs>',
  `<rect x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="8" fill="#fff" stroke="${LINE}"/>`,
  text(LEFT, 38, chart.title, { size: 20, fill: INK, weight: 600 }),
  text(LEFT, 60, chart.note),
]

/** The picture as the text of an SVG file. */
export function drawChart(chart: Chart) {
  const height = HEADER + chart.panels.length * PANEL + FOOTER
  const sums = chart.panels.flatMap(panel => perSecond(panel).map(({ answered, failed }) => answered + failed))
  const seconds = Math.max(1, ...chart.panels.map(panel => panel.seconds))
  const x = (second: number) => LEFT + (Math.min(Math.max(second, 0), seconds) / seconds) * (EDGE - LEFT)
  const scale = { x, seconds, counts: ticks(Math.max(0, ...sums)) }
  const panels = chart.panels.flatMap((panel, index) => drawPanel(panel, index, scale))
  return [...frameOf(height, chart), ...panels, ...legend(height - 24), '</svg>', ''].join('\n')
}
