// The moments that people type: zones, and the hours that a clock leaves out or shows twice.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { momentText, readMoment } from '../../lib/system/site_time.ts'

const NOW = new Date('2026-11-25T13:40:00Z')

const MOMENTS: [text: string, iso: string, now?: Date][] = [
  ['2026-11-25 14:32:10', '2026-11-25T13:32:10.000Z'],
  ['2026-11-25T14:32', '2026-11-25T13:32:00.000Z'],
  ['2026-07-14 14:32:10', '2026-07-14T12:32:10.000Z'],
  ['2026-11-25 14:32:10.25', '2026-11-25T13:32:10.250Z'],
  ['14:32', '2026-11-25T13:32:00.000Z'],
  ['9:05:07', '2026-11-25T08:05:07.000Z'],
  // later than now: yesterday's
  ['14:50', '2026-11-24T13:50:00.000Z'],
  ['23:59', '2026-11-24T22:59:00.000Z'],
  // the day of Paris, not that of UTC
  ['0:30', '2026-11-25T23:30:00.000Z', new Date('2026-11-25T23:45:00Z')],
  ['2026-11-25T13:32:10Z', '2026-11-25T13:32:10.000Z'],
  ['2026-11-25 08:32:10-05:00', '2026-11-25T13:32:10.000Z'],
  ['-10min', '2026-11-25T13:30:00.000Z'],
  ['-45s', '2026-11-25T13:39:15.000Z'],
  ['-2h', '2026-11-25T11:40:00.000Z'],
  ['-1d', '2026-11-24T13:40:00.000Z'],
  // the hour that comes twice, said so that it is clear; those beside it come once
  ['2026-10-25T02:30:00+02:00', '2026-10-25T00:30:00.000Z'],
  ['2026-10-25T02:30:00+01:00', '2026-10-25T01:30:00.000Z'],
  ['2026-10-25 01:59:59', '2026-10-24T23:59:59.000Z'],
  ['2026-10-25 03:00', '2026-10-25T02:00:00.000Z'],
  ['2026-03-29 01:59', '2026-03-29T00:59:00.000Z'],
  ['2026-03-29 03:00', '2026-03-29T01:00:00.000Z'],
]
for (const [text, iso, now = NOW] of MOMENTS)
  void test(`${text} at ${now.toISOString()} is ${iso}`, () => assert.equal(readMoment(text, now).toISOString(), iso))

// The server's own zone decides nothing: Paris is ahead of it, behind it, and changes its clock on other days.
for (const zone of ['UTC', 'America/New_York', 'Pacific/Auckland', 'Asia/Kolkata'])
  void test(`the same moments on a server in ${zone}`, () => {
    const before = process.env['TZ']
    process.env['TZ'] = zone
    try {
      assert.notEqual(new Date('2026-07-14T12:00:00Z').getHours(), 14)
      for (const [text, iso, now = NOW] of MOMENTS) assert.equal(readMoment(text, now).toISOString(), iso, text)
      assert.throws(() => readMoment('2026-10-25 02:30', NOW), /twice/)
      assert.equal(momentText(new Date('2026-10-25T01:30:00Z')), '2026-10-25 02:30:00 (Paris, UTC+01:00)')
      assert.equal(momentText(new Date('2026-10-25T00:30:00Z')), '2026-10-25 02:30:00 (Paris, UTC+02:00)')
    } finally {
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  })

const REFUSED: [text: string, why: RegExp, now?: Date][] = [
  ['2026-11-25 14:40:01', /still to come: it is 2026-11-25 14:40:00 \(Paris, UTC\+01:00\)/],
  ['2026-11-25T14:00:00Z', /still to come/],
  ['2026-10-25 02:30', /twice/],
  ['2026-10-25 02:00:00', /twice/],
  ['2:59', /twice/, new Date('2026-10-25T20:00:00Z')],
  ['2026-03-29 02:30', /at no time/],
  ['2026-02-30 12:00', /not a moment/],
  ['25:00', /not a moment/],
  ['10min', /not a moment/],
  ['2026-11-25', /not a moment/],
  ["14:32'; drop", /not a moment/],
  ['', /not a moment/],
]
for (const [text, why, now = NOW] of REFUSED)
  void test(`${JSON.stringify(text)} is refused: ${why.source}`, () =>
    assert.throws(() => readMoment(text, now), { message: why, exitCode: 64 }))

void test('the hour that comes twice: both are offered, as they can be typed', () => {
  assert.throws(() => readMoment('2026-10-25 02:30:15', NOW), {
    hint: 'say which: 2026-10-25T02:30:15+02:00 or 2026-10-25T02:30:15+01:00',
  })
  assert.equal(readMoment('2026-10-25T02:30:15+01:00', NOW).toISOString(), '2026-10-25T01:30:15.000Z')
})

void test('a moment is shown with its zone', () => {
  assert.equal(momentText(new Date('2026-07-14T12:32:10Z')), '2026-07-14 14:32:10 (Paris, UTC+02:00)')
  assert.equal(momentText(new Date('2026-11-25T13:32:10.9Z')), '2026-11-25 14:32:10.900 (Paris, UTC+01:00)')
})
