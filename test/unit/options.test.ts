import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { Failure } from '../../lib/system/errors.ts'
import { handOn, helpOf, parse, takeOn } from '../../lib/cli/options.ts'
import { root } from '../../lib/system/checkout.ts'

const ran = (script: string, argv: readonly string[]) =>
  new Promise<{ status: number; stderr: string }>(resolve => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', join(root, 'scripts', `${script}.ts`), ...argv],
      { cwd: root },
      (_, __, stderr) => resolve({ status: child.exitCode ?? -1, stderr }),
    )
  })

const command = {
  usage: 'x.ts <repo>',
  summary: 'Does x.',
  words: [1, 2] as [number, number],
  options: {
    keep: { value: 'number', help: 'how many', form: [/^\d+$/, 'a number, in digits'] as const },
    wait: { help: 'queue' },
  },
  examples: [['x.ts avril', 'an example']] as [string, string][],
}

void test('reads options and words, and keeps values as they were typed', () => {
  assert.deepEqual(parse(command, ['--keep', '007', 'avril', '--wait']), {
    values: { keep: '007', wait: true, help: false },
    words: ['avril'],
  })
  assert.deepEqual(parse(command, ['avril']).values, { keep: undefined, wait: false, help: false })
})

void test('a value may begin with a minus and a digit, an option never does', () => {
  const options = { at: { value: 'time', help: 'when' }, wait: { help: 'queue' } }
  const moments = { ...command, options }
  assert.deepEqual(parse(moments, ['--at', '-10min', 'avril', '--wait']).values, {
    at: '-10min',
    wait: true,
    help: false,
  })
  assert.equal(parse(moments, ['--at=-10min', 'avril']).values.at, '-10min')
  assert.throws(() => parse(moments, ['--at', '--wait', 'avril']))
  assert.throws(() => parse(moments, ['--wait', '-10min', 'avril']))
})

for (const argv of [
  [],
  ['a', 'b', 'c'],
  ['a', '--kep', '1'],
  ['a', '--keep'],
  ['a', '--keep', 'x'],
  ['a', '--wait=1'],
  ['-x', 'a'],
  ['a', '--keep', '1; id'],
]) {
  void test(`refuses ${JSON.stringify(argv)} with 64 and the usage`, () => {
    assert.throws(
      () => parse(command, argv),
      (error: unknown) => error instanceof Failure && error.exitCode === 64 && /usage: x\.ts/.test(error.hint ?? ''),
    )
  })
}

void test('an option that may be given several times is a list', () => {
  const many = { ...command, options: { allow: { value: 'address', help: 'who', many: true } } }
  assert.deepEqual(parse(many, ['a', '--allow', '1', '--allow', '2']).values.allow, ['1', '2'])
  assert.deepEqual(parse(many, ['a']).values.allow, [])
})

void test('--help needs no words', () => assert.equal(parse(command, ['--help']).values.help, true))

void test('the help names every option and example', () => {
  for (const part of ['Usage: x.ts <repo>', '--keep <number>  how many', '--wait', '--help', 'x.ts avril  an example'])
    assert.ok(helpOf(command).includes(part), part)
})

for (const [argv, handedOn] of [
  [[], []],
  [['--wait'], ['--wait']],
  [
    ['-c', 'select 1'],
    ['--', '-c', 'select 1'],
  ],
  [
    ['--wait', '-c', '--wait'],
    ['--wait', '--', '-c', '--wait'],
  ],
  [
    ['--wait', '--', '-c', 'x'],
    ['--wait', '--', '-c', 'x'],
  ],
  [
    ['--', '--wait'],
    ['--', '--wait'],
  ],
  [
    ['--on', 'there', '-c', 'x'],
    ['--on', 'there', '--', '-c', 'x'],
  ],
  [
    ['--on', '-c', 'x'],
    ['--on', '--', '-c', 'x'],
  ],
  [
    ['--wait', '--on=there'],
    ['--wait', '--on=there'],
  ],
  [
    ['-c', 'x', '--on', 'y'],
    ['--', '-c', 'x', '--on', 'y'],
  ],
  [
    ['--keep', '3', '-c', '--wait'],
    ['--keep', '3', '--', '-c', '--wait'],
  ],
  [
    ['--keep=3', '-c'],
    ['--keep=3', '--', '-c'],
  ],
  // An option of the same name of the other program, whose value has another form.
  [
    ['--keep', 'x=1', '-c'],
    ['--', '--keep', 'x=1', '-c'],
  ],
  [
    ['--keep=x=1', '-c'],
    ['--', '--keep=x=1', '-c'],
  ],
] as const) {
  void test(`hands on what is none of its own options: ${JSON.stringify(argv)}`, () =>
    assert.deepEqual(handOn(command.options, [...argv]), handedOn))
}

void test('a second --on is refused', () => {
  assert.throws(() => takeOn(['--on', 'a', '--on', 'b', 'avril']), /given twice/)
  assert.deepEqual(takeOn(['--on', 'a', '--', '--on', 'b']).rest, ['--', '--on', 'b'])
})

for (const [argv, on, rest] of [
  [['avril', '--wait'], undefined, ['avril', '--wait']],
  [['--on', 'me@there', 'avril'], { host: 'me@there' }, ['avril']],
  [['avril', '--on=there'], { host: 'there' }, ['avril']],
  [['avril', '--on'], { host: undefined }, ['avril']],
  [['--on', '--wait', 'avril'], { host: undefined }, ['--wait', 'avril']],
  [['--', '--on', 'there'], undefined, ['--', '--on', 'there']],
  [['--on', '--', '--on', 'there'], { host: undefined }, ['--', '--on', 'there']],
] as const) {
  void test(`takes the host out of ${JSON.stringify(argv)}`, () => assert.deepEqual(takeOn([...argv]), { on, rest }))
}

// What is said of each wrong value: the form that it should have.
for (const [script, argv, said] of [
  ['deploy_local', ['avril', '--keep', '0'], '--keep "0" is not a number from 1 to 999'],
  ['deploy_local', ['avril', '--timeout', '5m'], '--timeout "5m" is not a number of seconds from 1 to 99999'],
  ['deploy_local', ['avril', '--probation', '-1'], /probation/],
  ['deploy_local', ['avril', '--to', ';id'], '--to ";id" is not a commit or a tag: letters'],
  ['deploy_local', ['avril', '--to', ''], '--to is empty: it takes a commit|tag'],
  ['deploy_local', ['avril', '-x'], /'-x'/],
  ['deploy_local', ['avril', '--pause', '--rollback'], '--rollback migrates nothing'],
  ['deploy_local', ['avril', '--pause', '--observe', '10'], '--pause observes nothing'],
  ['deploy_remote', ['avril', '--pause', '--canary', '5'], '--pause observes nothing'],
  ['deploy_remote', ['avril', '--keep', '0'], '--keep "0" is not a number from 1 to 999'],
  ['backup_restore', ['--into', 'Look'], '--into "Look" is not a name for a database: small letters'],
  ['backup_restore', ['--into', '1st'], 'no digit first'],
  ['backup_restore', ['--from-database', 'x'.repeat(64)], 'is not the name of a database: 63 characters at most'],
  ['backup_restore', ['--key', ''], '--key is empty: it takes a file'],
  ['backup_restore', ['--anonymise', ''], '--anonymise is empty: it takes a sql file'],
  ['backup_remote', ['--anonymise', ''], '--anonymise is empty: it takes a sql file'],
  ['backup', ['--install-cron', '--at', '3:15'], '--at "3:15" is not a time from 00:00 to 23:59, in two digits each'],
  ['backup', ['--send', 'a/b'], '--send "a/b" is not the name of a file of a set'],
  ['backup', ['--send', 'x', '--from', '1k'], '--from "1k" is not a number from 0 up'],
  ['maintenance', ['on', '--message', 'a\nb'], '--message "a\\nb" is not a text of at most 1,000 characters'],
  ['maintenance', ['on', '--allow', '::1', '--allow', ''], '--allow is empty: it takes a network'],
  ['maintenance', ['off', '--until', '2h'], '--message and --until are about the page'],
  ['maintenance', ['redirect'], 'redirect needs an address'],
  ['maintenance', ['start'], '"start" is not one of status, on, off, redirect'],
  ['logs', ['phoenix', '--tail', 'all'], '--tail "all" is not a number from 0 to 999999'],
  ['setup', ['--swarm', 'me'], '--swarm "me" is not an IPv4 address'],
  ['setup', ['--join', '-oProxyCommand=x'], '--join'],
  ['setup', ['--join', 'a', '--leave', 'b'], '--join does nothing else: it does not go with --leave'],
  ['setup', ['--drain', 'a', '--check'], '--drain does nothing else: it does not go with --check'],
  ['setup', ['--manager'], '--manager goes with --join'],
  ['setup', ['--certificate', 'me'], '--certificate "me" is not a mail address'],
  ['setup', ['--certificate', 'me@avril.org', '--check'], 'it does not go with --check'],
  [
    'setup',
    ['--renew', '--certificate', 'me@avril.org'],
    '--certificate is for a site that runs, and does nothing else',
  ],
  ['setup', ['--host', 'Avril.org'], '--host "Avril.org" is not a host name: small letters'],
] as const) {
  void test(`${script} ${argv.join(' ')} says the form`, async () => {
    const { status, stderr } = await ran(script, argv)
    assert.equal(status, 64, stderr)
    if (typeof said === 'string') assert.ok(stderr.includes(said), stderr)
    else assert.match(stderr, said)
  })
}

const wide = {
  ...command,
  summary: 'One two three four five six seven.\n\nA second paragraph.',
  options: { list: { help: 'list them' }, send: { hidden: true, help: 'for scripts' }, ...command.options },
  modes: { heading: 'Modes:', names: ['list'] },
}

void test('modes stand apart, and what is for scripts is not shown', () => {
  const [modes = '', options = ''] = helpOf(wide).split('Options:')
  assert.match(modes, /Modes:\n {2}--list +list them\n/)
  assert.doesNotMatch(options, /--list/)
  assert.doesNotMatch(modes + options, /--send/)
})

for (const width of [20, 50, 80, 200])
  void test(`the help fits ${width} columns, and says the same`, () => {
    const lines = helpOf({ ...wide, examples: [['x.ts', 'an example of some words']] }, width).split('\n')
    // what stands at the left of a table is never broken
    const long = lines.filter(line => line.length > width && !/^ {2}(-|x)/.test(line))
    assert.deepEqual(long, [])
    const words = (text: string) => text.split(/\s+/).filter(Boolean)
    assert.deepEqual(
      words(lines.join(' ')),
      words(helpOf({ ...wide, examples: [['x.ts', 'an example of some words']] })),
    )
  })
