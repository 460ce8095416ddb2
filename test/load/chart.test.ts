import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type Chart, drawChart, perSecond } from './chart.ts'
import { spread, ticks } from './svg.ts'

const steady = (steps: number, failedAt: readonly number[] = []) =>
  Array.from({ length: steps }, (_, index) => {
    const failed = failedAt.includes(index) ? 1 : 0
    return { answered: 25 - failed, failed }
  })

const chart: Chart = {
  title: 'Before <& after>',
  note: 'A "note"',
  panels: [
    { title: 'old', seconds: 4, timeline: steady(40, [10, 11]), phases: [{ label: 'stop', from: 1, to: 1.2 }] },
    { title: 'new', seconds: 3.5, timeline: steady(35), phases: [] },
  ],
}

void test('the axis ends above the largest value, at round numbers', () => {
  deepEqual(ticks(250), [0, 100, 200, 300])
  deepEqual(ticks(200), [0, 50, 100, 150, 200])
  deepEqual(ticks(0), [0, 0.25, 0.5, 0.75, 1])
})

void test('columns are rates; a last one that is shorter is no dip', () => {
  const columns = perSecond({ timeline: steady(15), seconds: 1.5 })
  deepEqual(columns, [
    { width: 1, answered: 250, failed: 0 },
    { width: 0.5, answered: 250, failed: 0 },
  ])
  equal(perSecond({ timeline: steady(20, [3, 15, 16]), seconds: 2 })[1]?.failed, 2)
  deepEqual(perSecond({ timeline: [], seconds: 0 }), [])
})

void test('labels do not touch, and stay between the edges', () => {
  const middles = spread(
    [
      { middle: 50, width: 40 },
      { middle: 51, width: 40 },
      { middle: 98, width: 40 },
    ],
    0,
    130,
  )
  deepEqual(middles, [30, 70, 110])
  deepEqual(spread([{ middle: 50, width: 20 }], 0, 100), [50])
})

void test('each panel says how many failed, and the description says it to those who do not see it', () => {
  const svg = drawChart(chart)
  match(svg, />2 of 1,000 requests failed</)
  match(svg, />0 of 875 requests failed</)
  match(svg, /<desc id="desc">.*old: 2 of 1,000 requests failed\. Phases: stop\..*new: 0 of 875/)
  match(svg, /role="img"\s+aria-labelledby="title desc"/)
})

void test('text is escaped', () => {
  const svg = drawChart(chart)
  match(svg, /<title id="title">Before &#60;&#38; after&#62;</)
  doesNotMatch(svg, /after>|NaN|undefined|Infinity/)
})

void test('the panels share their scales', () => {
  const zeros = drawChart(chart).match(/font-size="11"[^>]*>300</g) ?? []
  equal(zeros.length, 2)
})

void test('one lost request can be seen', () => {
  const heights = [...drawChart(chart).matchAll(/height="([\d.]+)" fill="url\(#failed\)"/g)].map(([, height]) =>
    Number(height),
  )
  equal(heights.length, 2, 'one column and the legend')
  ok(heights.every(height => height >= 3))
  const clean = drawChart({ ...chart, panels: chart.panels.slice(1) }).matchAll(/fill="url\(#failed\)"/g)
  equal([...clean].length, 1, 'the legend alone')
})
