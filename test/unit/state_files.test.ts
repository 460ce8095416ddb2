import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownCheckout } from '../helpers/own_checkout.ts'

// A checkout of its own: what is read and written is its .state.
const checkout = ownCheckout()
const fileOf = (name: string) => join(checkout, '.state', name)

const load = async <M>(path: string) => (await import(join(checkout, 'lib', path))) as M
const { readJournal, hasJournal } = await load<typeof import('../../lib/deploy/journal.ts')>('deploy/journal.ts')
const { readDataWork, dataWorkUnderWay } =
  await load<typeof import('../../lib/system/work_lock.ts')>('system/work_lock.ts')
const { noteOffsite, readOffsite } =
  await load<typeof import('../../lib/backup/offsite/state.ts')>('backup/offsite/state.ts')
const { readHistory, trail } = await load<typeof import('../../lib/deploy/history.ts')>('deploy/history.ts')
const { lastBackup } = await load<typeof import('../../lib/backup/run_backup.ts')>('backup/run_backup.ts')
const { lastDrill } = await load<typeof import('../../lib/backup/drill.ts')>('backup/drill.ts')
const { tellOfLostCalls } = await load<typeof import('../../lib/remote/pending_calls.ts')>('remote/pending_calls.ts')
const { reportTo, SILENT } = await load<typeof import('../../lib/system/progress.ts')>('system/progress.ts')
const { appendLine } = await load<typeof import('../../lib/system/state_folder.ts')>('system/state_folder.ts')

/** What is told meanwhile. */
const toldBy = (work: () => unknown) => {
  const told: string[] = []
  const take = (text: string) => void told.push(text)
  const before = reportTo({ ...SILENT, line: take, step: take, warn: take, detail: take })
  try {
    return { result: work(), told: told.join('\n') }
  } finally {
    reportTo(before)
  }
}

const nothing = { deploy: undefined, backup: undefined, rollout: undefined, noise: undefined }
const host = { name: 'server', folder: '/x', loader: [], ...nothing }
const time = '2026-11-22T03:00:00.000Z'
const pin = { image: 'a:1', rollout: 'a-1', network: 'default', fingerprint: 'f' }
const deploy = { who: 'anna', repository: 'avril', service: 'phoenix', from: null, to: 'a:1', revision: null }

// file, who reads it, a good content
const FILES: [file: string, read: () => unknown, good: object][] = [
  [
    'rollout.json',
    () => readJournal(),
    { ...deploy, since: time, pid: 1, phase: 'drain', phases: {}, rollback: false, next: pin },
  ],
  ['data.json', () => readDataWork(), { what: 'backing up', who: 'anna', pid: 1, since: time, step: 'dump' }],
  ['offsite.json', () => readOffsite(), { time, sets: ['avril-20261122T030000Z'], error: '' }],
  ['history.jsonl', () => readHistory().at(-1), { ...deploy, time, result: 'deployed' }],
  ['backups.jsonl', () => lastBackup(), { time, who: 'anna', result: 'made' }],
  ['drills.jsonl', () => lastDrill(), { time, set: 'avril-20261122T030000Z', result: 'restored', lost: ['index x'] }],
  ['call-4194305.json', () => tellOfLostCalls(host), { host: 'other', what: 'status', since: time, pid: 4_194_305 }],
]

// damage, what then stands in the file
const DAMAGES: [damage: string, text: (good: object) => string | Buffer][] = [
  ['empty', () => ''],
  ['a line alone', () => '\n'],
  ['cut', good => JSON.stringify(good).slice(0, -5)],
  ['binary', () => Buffer.from([0, 255, 254, 10, 0, 128])],
  ['zeros, as after a power cut', () => Buffer.alloc(200)],
  ['null', () => 'null\n'],
  ['a number', () => '5\n'],
  ['a text', () => '"x"\n'],
  ['a list', () => '[]\n'],
  ['a list of lists', () => '[[{}]]\n'],
  ['an object of another kind', () => '{}\n'],
  [
    'values of another type',
    good => `${JSON.stringify(Object.fromEntries(Object.keys(good).map(name => [name, { x: [] }])))}\n`,
  ],
  ['no time', good => `${JSON.stringify({ ...good, time: 'yesterday', since: 5 })}\n`],
]

for (const [file, read, good] of FILES) {
  void test(`${file} is read as it was written, and nothing is told`, () => {
    writeFileSync(fileOf(file), `${JSON.stringify(good)}\n`)
    const { result, told } = toldBy(read)
    assert.deepEqual(file.startsWith('call') ? good : result, good)
    assert.equal(told, '')
    rmSync(fileOf(file), { force: true })
    assert.equal(read(), undefined)
  })
  for (const [damage, text] of DAMAGES)
    void test(`${file}, ${damage}: it is taken for none`, () => {
      writeFileSync(fileOf(file), text(good))
      assert.equal(read(), undefined)
      rmSync(fileOf(file), { force: true })
    })
}

for (const file of ['rollout.json', 'data.json'])
  void test(`which file is damaged is told by its path: ${file}`, () => {
    writeFileSync(fileOf(file), '{')
    const told: string[] = []
    ;(file === 'rollout.json' ? readJournal : readDataWork)(damage => told.push(damage))
    assert.match(told.join(), new RegExp(`^${fileOf(file)} is damaged`))
    if (file === 'rollout.json') assert.ok(hasJournal())
    else assert.equal(dataWorkUnderWay(), undefined)
    rmSync(fileOf(file))
  })

void test('what a damaged file told is noted anew', () => {
  writeFileSync(fileOf('offsite.json'), '{')
  noteOffsite({ error: new Error('no network') })
  assert.deepEqual(readOffsite()?.sets, [])
  noteOffsite({ sets: ['one'] })
  assert.deepEqual(readOffsite()?.sets, ['one'])
})

void test('a line that was cut takes no other with it, and damaged lines are told by their numbers', () => {
  const entry = (to: string) => ({ ...deploy, time, result: 'deployed', to })
  rmSync(fileOf('history.jsonl'), { force: true })
  appendLine('history.jsonl', entry('a:1'))
  writeFileSync(fileOf('history.jsonl'), '{"time":"2026-1', { flag: 'a' })
  appendLine('history.jsonl', entry('a:2'))
  writeFileSync(fileOf('history.jsonl'), 'null\n', { flag: 'a' })
  appendLine('history.jsonl', entry('a:3'))
  assert.equal(readFileSync(fileOf('history.jsonl'), 'utf8').split('\n').length, 6)
  const { result, told } = toldBy(() => trail(readHistory(), 'phoenix'))
  assert.deepEqual(result, ['a:1', 'a:2', 'a:3'])
  assert.match(told, /history\.jsonl has damaged lines, which are left out: 2, 4 \(it is not JSON\)\./)
})

// what a server answers of its .state
const ANSWERS: [rollout: string | undefined, deploy: string | undefined, told: RegExp][] = [
  ['{"repository":"avril","who":"anna","phase":"drain"}', undefined, /avril by anna is in phase drain/],
  ['null', 'null', /a deploy is under way there, or was interrupted/],
  ['{"repo', '5', /a deploy is under way there, or was interrupted/],
  [undefined, '{"time":7}', /nothing has ended there/],
]

for (const [rollout, deploy, words] of ANSWERS)
  void test(`a lost call to a server whose .state is ${rollout ?? 'without a deploy'}`, () => {
    writeFileSync(
      fileOf('call-4194305.json'),
      JSON.stringify({ host: 'server', what: 'status', since: time, pid: 4_194_305 }),
    )
    const { told } = toldBy(() => tellOfLostCalls({ ...host, rollout, deploy }))
    assert.match(told, words)
  })
