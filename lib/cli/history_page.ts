// The last deploys as one page that stands alone: for each a picture of what its visitors got.
import type { Entry } from '../deploy/history.ts'
import { tagOf } from '../deploy/release_text.ts'
import type { Timeline } from '../deploy/timeline.ts'
import { minuteOf, totalTime } from '../system/format.ts'
import { escaped, pageOf } from './page.ts'
import { resultText, visitsText } from './history_report.ts'

const WIDTH = 900
const LEFT = 60
const RIGHT = WIDTH - 16
const PLOT = 110
const GAP = 46
const HEAD = 34

// Wong's palette (Nature Methods 8, 441), which people with any colour vision can tell apart.
const INSTANCES = ['#56b4e9', '#009e73', '#cc79a7', '#e69f00', '#0072b2']
const FAILED = '#d55e00'

const STYLE = `
article { border-top: 1px solid #d1d9e0; padding: 1rem 0 } h2 { font-size: 1.1rem; margin: 0 }
.phases, .legend { color: #59636e; font-size: .85rem }
.legend span { margin-right: 1rem } .legend i { display: inline-block; width: .8em; height: .8em; margin-right: .3em }
svg { width: 100%; height: auto; margin-top: .5rem }
svg text { font-size: 11px; fill: #59636e } svg .name text { fill: #1f2328 }
.axis { stroke: #59636e; fill: none } .phase { stroke: #6e7781; stroke-dasharray: 2 3; fill: none }`

const place = (value: number) => (Math.round(value * 10) / 10).toString()

const label = (x: number, y: number, text: string, anchor = 'start') =>
  `<text x="${place(x)}" y="${place(y)}" text-anchor="${anchor}">${escaped(text)}</text>`

const mostOf = (values: number[], least: number) => values.reduce((most, value) => Math.max(most, value), least)

/** A round number at or above it. */
const roundUp = (most: number) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 0.001)))
  return ([1, 2, 5, 10].find(factor => factor * power >= most) ?? 10) * power
}

interface Frame {
  x: (second: number) => number
  length: number
}

const axes = (top: number, most: number, unit: string, { x, length }: Frame) => {
  const every = [1, 2, 5, 10, 30, 60, 300].find(step => length / step <= 15) ?? 600
  const times = Array.from({ length: Math.floor(length / every) + 1 }, (_, index) => index * every)
  return [
    `<path d="M${LEFT} ${top}V${top + PLOT}H${RIGHT}" class="axis"/>`,
    label(LEFT - 6, top + 8, String(Number(most.toPrecision(2))), 'end'),
    label(LEFT - 6, top + PLOT, '0', 'end'),
    label(LEFT, top - 6, unit),
    ...times.map(time => label(x(time), top + PLOT + 14, String(time), 'middle')),
  ]
}

const phasesOf = ({ start, phases }: Timeline, { x, length }: Frame, height: number) => {
  const shown = phases
    .map(({ phase, at }) => ({ phase, second: (at - start) / 1000 }))
    .filter(({ second }) => second >= 0 && second <= length)
  // Those that are over in a moment stand side by side, in two rows; of very many some have no room.
  const widthOf = (phase: string) => phase.length * 6.5 + 8
  const edges = [0, 0]
  return shown.flatMap(({ phase, second }, index) => {
    const row = index % 2
    const left = shown.slice(index).reduce((sum, it, at) => sum + (at % 2 === 0 ? widthOf(it.phase) : 0), 0)
    const at = Math.max(Math.min(x(second), RIGHT - left), edges[row] ?? 0, LEFT)
    const hasRoom = at + widthOf(phase) <= RIGHT
    if (hasRoom) edges[row] = at + widthOf(phase)
    return [
      `<path d="M${place(x(second))} ${HEAD}V${height}" class="phase"/>`,
      hasRoom ? `<g class="name">${label(at, row === 0 ? 12 : 26, phase)}</g>` : '',
    ]
  })
}

/**
 * Requests a second and the slowest hundredth, for each instance, with the failures and the phases. In one piece: one
 * scale.
 */
const pictureOf = (timeline: Timeline) => {
  const instances = [...new Set(timeline.seconds.map(({ instance }) => instance))]
  const colourOf = (instance: string) => INSTANCES[instances.indexOf(instance) % INSTANCES.length] ?? FAILED
  const last = timeline.phases.at(-1)?.at ?? timeline.start
  const length = mostOf(
    timeline.seconds.map(({ second }) => second + 1),
    Math.max((last - timeline.start) / 1000, 1),
  )
  const frame: Frame = { length, x: second => LEFT + ((RIGHT - LEFT) * second) / length }
  const sums = new Map<number, number>()
  for (const { second, requests } of timeline.seconds) sums.set(second, (sums.get(second) ?? 0) + requests)
  const most = roundUp(mostOf([...sums.values()], 1))
  const slowest = roundUp(
    mostOf(
      timeline.seconds.map(({ p99 }) => p99),
      0.01,
    ),
  )
  const [top, below] = [HEAD + 20, HEAD + 20 + PLOT + GAP]
  const height = below + PLOT + 24
  const width = Math.max(frame.x(1) - LEFT - 0.5, 0.5)
  const stacked = new Map<number, number>()
  const bar = (second: number, count: number, base: number, colour: string) =>
    `<rect x="${place(frame.x(second))}" y="${place(top + PLOT - ((base + count) / most) * PLOT)}" ` +
    `width="${place(width)}" height="${place((count / most) * PLOT)}" fill="${colour}"/>`
  const bars = timeline.seconds.map(({ second, instance, requests, failed }) => {
    const from = stacked.get(second) ?? 0
    stacked.set(second, from + requests)
    // One failure among hundreds would be less than a pixel.
    const seen = failed === 0 ? 0 : Math.max(failed, most / 40)
    return {
      answered: bar(second, requests, from, colourOf(instance)),
      failed: seen > 0 ? bar(second, seen, from, FAILED) : '',
    }
  })
  const dots = timeline.seconds.map(
    ({ second, instance, p99 }) =>
      `<circle cx="${place(frame.x(second + 0.5))}" cy="${place(below + PLOT - (p99 / slowest) * PLOT)}" r="2.5" ` +
      `fill="${colourOf(instance)}"/>`,
  )
  const legend = [...instances.map(name => [name, colourOf(name)] as const), ['failed', FAILED] as const].map(
    ([name, colour]) => `<span><i style="background:${colour}"></i>${escaped(name)}</span>`,
  )
  const parts = [
    ...phasesOf(timeline, frame, height - 20),
    ...axes(top, most, 'requests a second', frame),
    ...bars.map(({ answered }) => answered),
    ...bars.map(({ failed }) => failed),
    ...axes(below, slowest, 'the slowest of a hundred, s', frame),
    ...dots,
  ]
  return (
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Requests a second, failures and how long they ` +
    `took, for each instance, over the seconds of the deploy">${parts.join('')}</svg><p ` +
    `class="legend">${legend.join('')}</p>`
  )
}

const articleOf = ({ entry, timeline }: { entry: Entry; timeline: Timeline | undefined }) => {
  const good = entry.result === 'deployed'
  const phases = Object.entries(entry.phases ?? {}).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`)
  const picture =
    timeline && timeline.seconds.length > 0
      ? pictureOf(timeline)
      : '<p>No picture: nobody asked for anything, or it is not kept any more.</p>'
  const [kind, mark] = good ? ['good', '✓'] : ['bad', '✗']
  const releases = `${tagOf(entry.from)} → ${tagOf(entry.to)}`
  const facts = [releases, resultText(entry), entry.who, totalTime(entry.phases ?? {})]
  return `<article><h2 class="${kind}">${mark} ${escaped(entry.repository)} · ${escaped(minuteOf(entry.time))} UTC</h2>
<p>${facts.map(escaped).join(' · ')}</p>
<p>${escaped(visitsText(entry) || 'what visitors got was not counted')}</p>
<p class="phases">${escaped(phases.join(' · '))}</p>
${picture}</article>`
}

/** The page. */
export function historyPage(project: string, deploys: { entry: Entry; timeline: Timeline | undefined }[]) {
  const content = deploys.length === 0 ? '<p>No deploy yet.</p>' : deploys.toReversed().map(articleOf).join('\n')
  return pageOf('en', `Deploys of ${project}`, STYLE, content)
}
