import { lateText } from '../../lib/backup/run_drill.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'

const now = new Date('2026-11-29T03:16:00Z')
const made = (time: string) => ({ time, who: 'root', result: 'made' as const })
const failed = (time: string) => ({ time, who: 'root', result: 'failed' as const, error: 'x' })

for (const [what, set, last, expected] of [
  ['of this night', '2026-11-29T03:15:01Z', made('2026-11-29T03:15:40Z'), undefined],
  ['of this night, by day', '2026-11-28T07:15:01Z', made('2026-11-28T07:15:40Z'), undefined],
  [
    'of the night before: this one failed',
    '2026-11-28T03:15:01Z',
    failed('2026-11-29T03:15:40Z'),
    /^the last backup failed: avril-x, the newest set, is 24 hours old$/,
  ],
  [
    'of yesterday evening: this night failed',
    '2026-11-28T18:00:00Z',
    failed('2026-11-29T03:15:40Z'),
    /^the last backup failed: .* is 9 hours old$/,
  ],
  [
    'of the night before: this one was killed',
    '2026-11-28T03:15:01Z',
    made('2026-11-28T03:15:40Z'),
    /^no backup was made since: .* is 24 hours old$/,
  ],
  [
    'the same when the clocks went forward',
    '2026-11-28T04:15:01Z',
    made('2026-11-28T04:15:40Z'),
    /^no backup was made since: .* is 23 hours old$/,
  ],
  ['with no record of any', '2026-11-20T03:15:01Z', undefined, /^no backup was made since: .* is 9 days old$/],
] as const) {
  void test(`a drill says when the newest set is not of this night: ${what}`, () => {
    const text = lateText({ name: 'avril-x', made: set }, last, now)
    assert.ok(expected === undefined ? text === undefined : expected.test(String(text)), text)
  })
}
