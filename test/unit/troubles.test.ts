// What is told of troubles, look by look.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, type Known, type Trouble } from '../../lib/status/troubles.ts'

const TROUBLES: Record<string, Trouble> = {
  p: { about: 'postgres', text: 'postgres is not running' },
  a: { about: 'postgres', text: 'postgres is starting' },
  n: { about: 'nginx', text: 'nginx is unhealthy' },
  s: { about: 'certificate', text: 'the certificate expires in 9 days', slow: true },
}
const STATUS = 'On the server: tsx scripts/status.ts'

// what each look finds, a word a minute (p, n, s; . for nothing; a ! after it: the webhook does not answer) → at which
// minute which words are told
const STORIES: [name: string, looks: string, told: [minute: number, text: string][]][] = [
  ['one failed look is told to nobody', '. p . . . p . . .', []],
  [
    'told once when two looks found it, once when five looks do not any more',
    '. p p p p . . . . .',
    [
      [2, `✗ postgres is not running (for 1 minute). ${STATUS}`],
      [9, '✓ well again, after 4 minutes: postgres is not running'],
    ],
  ],
  [
    'what comes and goes is told once',
    'p . p . p . p p . . . . p p . . . . .',
    [
      [2, `✗ postgres is not running (for 2 minutes). ${STATUS}`],
      [18, '✓ well again, after 14 minutes: postgres is not running'],
    ],
  ],
  [
    'what it was at first is what is well again',
    'p p a . . . . .',
    [
      [1, `✗ postgres is not running (for 1 minute). ${STATUS}`],
      [7, '✓ well again, after 3 minutes: postgres is not running'],
    ],
  ],
  [
    'several at once are one text',
    'pn pn',
    [[1, `✗ postgres is not running; nginx is unhealthy (for 1 minute). ${STATUS}`]],
  ],
  [
    'what follows from it is told with it, and all is well again at once',
    'p pn n n . . . . .',
    [
      [1, `✗ postgres is not running; nginx is unhealthy (for 1 minute). ${STATUS}`],
      [8, '✓ well again, after 4 minutes: postgres is not running; nginx is unhealthy'],
    ],
  ],
  [
    'what comes later is told beside what is still wrong',
    'p p p pn pn',
    [
      [1, `✗ postgres is not running (for 1 minute). ${STATUS}`],
      [4, `✗ nginx is unhealthy (for 1 minute); still: postgres is not running (for 4 minutes). ${STATUS}`],
    ],
  ],
  [
    'what can wait does not keep from telling that the rest is well',
    's ps ps s s s s s',
    [
      [1, `✗ the certificate expires in 9 days; postgres is not running (for 1 minute). ${STATUS}`],
      [7, '✓ well again, after 2 minutes: postgres is not running. Still: the certificate expires in 9 days'],
    ],
  ],
  [
    'what was not delivered is told again, until it was',
    'p p! p! p p',
    [
      [1, `✗ postgres is not running (for 1 minute). ${STATUS}`],
      [2, `✗ postgres is not running (for 2 minutes). ${STATUS}`],
      [3, `✗ postgres is not running (for 3 minutes). ${STATUS}`],
    ],
  ],
  [
    'what was well again before it was delivered is told all the same',
    'p p! p! . . . . .',
    [
      [1, `✗ postgres is not running (for 1 minute). ${STATUS}`],
      [2, `✗ postgres is not running (for 2 minutes). ${STATUS}`],
      [7, '✓ well again, after 3 minutes: postgres is not running'],
    ],
  ],
]

const START = Date.parse('2026-11-28T02:00:00Z')
const play = (looks: string[], minutes: (at: number) => number) => {
  let known: Known = {}
  const told: [number, string][] = []
  for (const [at, word] of looks.entries()) {
    const troubles = word.split('').flatMap(letter => TROUBLES[letter] ?? [])
    const { known: next, news } = judge(known, troubles, new Date(START + minutes(at) * 60_000), 4)
    known = news && !word.endsWith('!') ? news.known : next
    if (news) told.push([at, `${news.good ? '✓' : '✗'} ${news.text}`])
  }
  return { told, known }
}

for (const [name, looks, told] of STORIES)
  void test(name, () => assert.deepEqual(play(looks.split(' '), at => at).told, told))

// hours from one look to the next; how many times it is told in 48 hours
const REMINDERS: [letter: string, hours: number, times: number][] = [
  ['p', 1, 12],
  ['s', 1, 2],
]
for (const [letter, hours, times] of REMINDERS)
  void test(`${TROUBLES[letter]?.text}: told ${times} times in two days`, () => {
    const looks = Array.from({ length: 48 / hours }, () => letter)
    assert.equal(play(looks, at => at * hours * 60).told.length, times)
  })

void test('nothing is known any more when all is well', () => {
  assert.deepEqual(play('p p s ps . . . . .'.split(' '), at => at).known, {})
})
