import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../../lib/errors.ts'
import { handOn, helpOf, parse, takeOn } from '../../lib/options.ts'

const command = {
  usage: 'x.ts <repo>',
  summary: 'Does x.',
  words: [1, 2] as [number, number],
  options: { keep: { value: 'number', help: 'how many', form: /^\d+$/ }, wait: { help: 'queue' } },
  examples: [['x.ts avril', 'an example']] as [string, string][],
}

void test('reads options and words, and keeps values as they were typed', () => {
  assert.deepEqual(parse(command, ['--keep', '007', 'avril', '--wait']), { values: { keep: '007', wait: true, help: false }, words: ['avril'] })
  assert.deepEqual(parse(command, ['avril']).values, { keep: undefined, wait: false, help: false })
})

for (const argv of [[], ['a', 'b', 'c'], ['a', '--kep', '1'], ['a', '--keep'], ['a', '--keep', 'x'], ['a', '--wait=1'], ['-x', 'a'], ['a', '--keep', '1; id']]) {
  void test(`refuses ${JSON.stringify(argv)} with 64 and the usage`, () => {
    assert.throws(() => parse(command, argv), (error: unknown) => error instanceof Failure && error.exitCode === 64 && /usage: x\.ts/.test(error.hint ?? ''))
  })
}

void test('--help needs no words', () => assert.equal(parse(command, ['--help']).values.help, true))

void test('the help names every option and example', () => {
  for (const part of ['Usage: x.ts <repo>', '--keep <number>  how many', '--wait', '--help', 'x.ts avril  an example']) assert.ok(helpOf(command).includes(part), part)
})

for (const [argv, handedOn] of [
  [[], []],
  [['--wait'], ['--wait']],
  [['-c', 'select 1'], ['--', '-c', 'select 1']],
  [['--wait', '-c', '--wait'], ['--wait', '--', '-c', '--wait']],
  [['--wait', '--', '-c', 'x'], ['--wait', '--', '-c', 'x']],
  [['--', '--wait'], ['--', '--wait']],
  [['--on', 'there', '-c', 'x'], ['--on', 'there', '--', '-c', 'x']],
  [['--on', '-c', 'x'], ['--on', '--', '-c', 'x']],
  [['--wait', '--on=there'], ['--wait', '--on=there']],
  [['-c', 'x', '--on', 'y'], ['--', '-c', 'x', '--on', 'y']],
] as const) {
  void test(`hands on what is none of its own options: ${JSON.stringify(argv)}`, () => assert.deepEqual(handOn(['--wait'], [...argv]), handedOn))
}

void test('a second --on is refused', () => {
  assert.throws(() => takeOn(['--on', 'a', '--on', 'b', 'avril']), /given twice/)
  assert.deepEqual(takeOn(['--on', 'a', '--', '--on', 'b']).rest, ['--', '--on', 'b'])
})

for (const [argv, on, rest] of [
  [['avril', '--wait'], undefined, ['avril', '--wait']],
  [['--on', 'me@there', 'avril'], 'me@there', ['avril']],
  [['avril', '--on=there'], 'there', ['avril']],
  [['avril', '--on'], '', ['avril']],
  [['--on', '--wait', 'avril'], '', ['--wait', 'avril']],
  [['--', '--on', 'there'], undefined, ['--', '--on', 'there']],
  [['--on', '--', '--on', 'there'], '', ['--', '--on', 'there']],
] as const) {
  void test(`takes the host out of ${JSON.stringify(argv)}`, () => assert.deepEqual(takeOn([...argv]), { on, rest }))
}
