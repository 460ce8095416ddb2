// What a laptop brings to a new machine, by the shell scripts that run there: a line that is cut at any byte, and tries
// before.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

const work = mkdtempSync(join(tmpdir(), 'recover-there-'))
after(() => rmSync(work, { recursive: true }))

const script = (name: string) => readFileSync(join(root, 'lib', 'remote', name), 'utf8')
const run = (name: string, words: string[], input: string | Buffer, PATH = process.env.PATH) =>
  spawnSync('sh', ['-c', script(name), 'sh', ...words], { input, encoding: 'utf8', env: { PATH, HOME: work } })

const ENV = 'POSTGRES_PASSWORD=secret\nBACKUP_DAYS=30\n'
const give = (folder: string, text: string, bytes = Buffer.byteLength(text)) =>
  run('remote_keep.sh', ['settings', String(bytes), folder], text).status
const envIn = (folder: string) => readFileSync(join(folder, '.env'), 'utf8')

void test('an .env of which only a part came is none', () => {
  const folder = mkdtempSync(join(work, 'site-'))
  assert.equal(give(folder, ENV.slice(0, -2), ENV.length), 69)
  assert.ok(!existsSync(join(folder, '.env')) && !existsSync(join(folder, '.env.given')))
  assert.equal(give(folder, ENV), 0)
  assert.deepEqual([envIn(folder), statSync(join(folder, '.env')).mode & 0o777], [ENV, 0o600])
})

void test('the same .env may be given again when setup.ts has changed it since, and never another one', () => {
  const folder = mkdtempSync(join(work, 'site-'))
  assert.equal(give(folder, ENV), 0)
  const changed = `${ENV}COMPOSE_FILE=docker-compose.yml\n`
  writeFileSync(join(folder, '.env'), changed)
  assert.deepEqual([give(folder, ENV), give(folder, 'BACKUP_DAYS=1\n')], [0, 78])
  assert.equal(envIn(folder), changed)
  const other = mkdtempSync(join(work, 'site-'))
  writeFileSync(join(other, '.env'), changed)
  assert.deepEqual([give(other, ENV), envIn(other)], [78, changed])
})

// --- the checkout
const bin = join(work, 'bin')
mkdirSync(bin)
writeFileSync(join(bin, 'id'), '#!/bin/sh\necho 0\n', { mode: 0o755 })
const git = (folder: string, ...words: string[]) =>
  spawnSync('git', ['-C', folder, '-c', 'user.name=x', '-c', 'user.email=x@x', ...words], { encoding: 'utf8' })

const bundle = () => {
  const source = mkdtempSync(join(work, 'source-'))
  git(source, 'init', '--quiet', '--initial-branch=fix')
  mkdirSync(join(source, 'scripts'))
  for (const name of ['scripts/setup.ts', 'scripts/status.ts', 'tsconfig.json']) writeFileSync(join(source, name), name)
  git(source, 'add', '--all')
  git(source, 'commit', '--quiet', '--message=x')
  git(source, 'bundle', 'create', '--quiet', join(source, 'bundle'), 'HEAD', 'fix')
  return readFileSync(join(source, 'bundle'))
}
const prepare = (folder: string, input: Buffer) =>
  run('remote_prepare.sh', [folder, 'https://example.org/x'], input, `${bin}:${process.env.PATH}`)

void test('what a call that was cut has left of a checkout is made whole', () => {
  const folder = join(work, 'a folder')
  const sent = bundle()
  assert.notEqual(prepare(folder, sent.subarray(0, sent.length - 30)).status, 0)
  assert.equal(prepare(folder, sent).status, 0)
  assert.equal(git(folder, 'status', '--porcelain', '--branch').stdout, '## fix\n')
  // Killed in the middle of writing the files.
  rmSync(join(folder, 'tsconfig.json'))
  for (const name of ['unfinished', 'index.lock']) writeFileSync(join(folder, '.git', name), '')
  const { status, stdout } = prepare(folder, sent)
  assert.deepEqual([status, stdout], [0, ''])
  assert.equal(git(folder, 'status', '--porcelain', '--branch').stdout, '## fix\n')
  // What is whole stays as it is.
  writeFileSync(join(folder, 'tsconfig.json'), 'of the team')
  assert.equal(prepare(folder, sent).status, 0)
  assert.equal(readFileSync(join(folder, 'tsconfig.json'), 'utf8'), 'of the team')
})
