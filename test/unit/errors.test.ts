import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Failure, failureFrom } from '../../lib/system/errors.ts'
import { namesInFolder, replaceFile } from '../../lib/system/files.ts'
import { findingOf } from '../../lib/setup/findings.ts'

const refusal = (code: string) =>
  Object.assign(new Error(`${code}: it cannot be done, open '/x'`), { code, syscall: 'open' })

// what the operating system refuses; the exit code, and what is to be done
const REFUSALS: [code: string, exitCode: number, hint: RegExp | undefined][] = [
  ['ENOSPC', 74, /the disk is full/],
  ['EDQUOT', 74, /quota/],
  ['EROFS', 73, /read-only/],
  ['EACCES', 1, /may this user/],
  ['EPERM', 1, /may this user/],
  ['ENOENT', 1, /mounted/],
  ['EIO', 1, /dmesg/],
  ['EMFILE', 1, /ulimit -n/],
  ['EAGAIN', 1, /processes/],
  ['ECONNREFUSED', 69, /nothing answers/],
  ['ENOTFOUND', 69, /name of the host/],
  ['ESOMETHING', 1, undefined],
]

for (const [code, exitCode, hint] of REFUSALS)
  void test(`${code} ends with ${exitCode}, and only a full disk is called full`, () => {
    const failure = failureFrom(refusal(code))
    assert.equal(failure?.exitCode, exitCode)
    if (hint) assert.match(failure.hint ?? '', hint)
    else assert.equal(failure.hint, undefined)
    if (code !== 'ENOSPC') assert.doesNotMatch(failure.hint ?? '', /full/)
    assert.equal(findingOf(refusal(code)).hint, failure.hint)
  })

void test('what really happens has its hint: a port where nobody listens', async () => {
  const error = await new Promise(resolve => connect(1, '127.0.0.1').once('error', resolve))
  assert.equal(failureFrom(error)?.exitCode, 69)
})

void test('a bug stays a bug', () => {
  assert.equal(failureFrom(new TypeError('x is undefined')), undefined)
  assert.throws(() => findingOf(new TypeError('x is undefined')), TypeError)
})

const folder = mkdtempSync(join(tmpdir(), 'avril-errors-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'file'), '')
symlinkSync('circle', join(folder, 'circle'))

// folder; what is said of it, if it is not empty for whoever asks
const FOLDERS: [path: string, words: RegExp | undefined][] = [
  ['missing', undefined],
  ['missing/too', undefined],
  ['file', /file cannot be read: ENOTDIR/],
  ['file/below', /below cannot be read: ENOTDIR/],
  ['circle', /circle cannot be read: ELOOP/],
  ['x'.repeat(300), /cannot be read: ENAMETOOLONG/],
]

for (const [path, words] of FOLDERS)
  void test(`a folder that ${words ? 'cannot be read is not taken for an empty one' : 'is not there is empty'}: ${path.slice(0, 20)}`, () => {
    const names = () => namesInFolder(join(folder, path))
    if (words)
      assert.throws(
        names,
        (error: Failure) => error instanceof Failure && words.test(error.message) && error.hint !== undefined,
      )
    else assert.deepEqual(names(), [])
  })

void test('a file that cannot be written says what is to be done about the reason', () => {
  assert.throws(
    () => replaceFile(join(folder, 'file', 'below'), ''),
    (error: Failure) => error.hint?.includes('not a folder') === true,
  )
})
