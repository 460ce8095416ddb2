import assert from 'node:assert/strict'
import { createHash, pbkdf2, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { type Encryptor, openEncryptor, readKey, recipientsOf } from '../../lib/crypto/age.ts'
import { Failure } from '../../lib/system/errors.ts'
import { decryptFile, encryptFile, writeStream } from '../../lib/crypto/encrypted_files.ts'

const folder = mkdtempSync(join(tmpdir(), 'encryption-'))
after(() => rmSync(folder, { recursive: true }))

let number = 0
const path = () => join(folder, String((number += 1)))
const written = (content: Buffer | string) => {
  const file = path()
  writeFileSync(file, content, { mode: 0o600 })
  return file
}
const ends = (exitCode: number, words: RegExp) => (error: unknown) =>
  error instanceof Failure && error.exitCode === exitCode && words.test(error.message)

const { generateX25519Identity, identityToRecipient } = await import('age-encryption')
const identity = await generateX25519Identity()
const recipient = await identityToRecipient(identity)
const keyFile = written(`# created: today\n# public key: ${recipient}\n${identity}\n`)
const encryptor = (await openEncryptor({ BACKUP_RECIPIENTS: [recipient] })) as Encryptor

for (const bytes of [0, 1, 65_536, 300_001]) {
  void test(`${bytes} bytes are encrypted, read back, and come out the same with the key`, async () => {
    const content = randomBytes(bytes)
    const [sealed, clear] = [path(), path()]
    const { plain, ...digest } = await encryptFile(encryptor, written(content), sealed)
    assert.deepEqual(plain, { bytes, sha256: createHash('sha256').update(content).digest('hex') })
    assert.deepEqual(digest, {
      bytes: readFileSync(sealed).length,
      sha256: createHash('sha256').update(readFileSync(sealed)).digest('hex'),
    })
    await decryptFile(await readKey(keyFile), sealed, clear)
    assert.deepEqual(readFileSync(clear), content)
  })
}

for (const when of ['before', 'while its file is being opened']) {
  void test(`what is stopped ${when} makes no file after it has ended`, async () => {
    // The threads that open files are busy, so the opening comes late.
    const busy = Promise.all(Array.from({ length: 8 }, () => promisify(pbkdf2)('', '', 50_000, 64, 'sha512')))
    const stop = new AbortController()
    if (when === 'before') stop.abort()
    else setImmediate(() => stop.abort())
    const file = path()
    await assert.rejects(writeStream(new PassThrough(), file, undefined, stop.signal), { name: 'AbortError' })
    rmSync(file, { force: true })
    await busy
    await stat(folder)
    assert.equal(existsSync(file), false)
  })
}

void test('a file that does not come out as it went in is refused when it is made', async () => {
  const forgetful: Encryptor = {
    ...encryptor,
    encrypt: chunks =>
      encryptor.encrypt(
        (async function* () {
          for await (const chunk of chunks) yield chunk.subarray(1)
        })(),
      ),
  }
  await assert.rejects(
    encryptFile(forgetful, written('content'), path()),
    ends(65, /was read back, and is not what was encrypted/),
  )
})

void test('a file that is damaged, cut short, or for another key is refused', async () => {
  const sealed = path()
  await encryptFile(encryptor, written(randomBytes(200_000)), sealed)
  const content = readFileSync(sealed)
  const key = await readKey(keyFile)
  const damaged = Buffer.from(content)
  damaged[150_000]! ^= 1
  for (const it of [
    damaged,
    content.subarray(0, -1),
    content.subarray(0, 100_000),
    content.subarray(0, 20),
    Buffer.from('nonsense'),
  ])
    await assert.rejects(decryptFile(key, written(it), path()), ends(65, /cannot be decrypted/))
  await assert.rejects(
    decryptFile(await readKey(written(await generateX25519Identity())), sealed, path()),
    ends(65, /cannot be decrypted/),
  )
})

void test('a mistyped public key is refused, and none is no encryption', async () => {
  await assert.rejects(
    openEncryptor({ BACKUP_RECIPIENTS: [`${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`] }),
    ends(78, /is not a public key of age/),
  )
  assert.equal(await openEncryptor({ BACKUP_RECIPIENTS: undefined }), undefined)
  assert.deepEqual(recipientsOf({ BACKUP_RECIPIENTS: ['b', 'a', 'b'] }), ['a', 'b'])
})

for (const [what, content, words] of [
  ['a public key', recipient, /not one that age-keygen wrote/],
  ['nothing', '\n# public key: …\n', /not one that age-keygen wrote/],
  ['a passphrase-protected one', 'age-encryption.org/v1\n-> scrypt …', /protected by a passphrase/],
  ['a passphrase-protected one as text', '-----BEGIN AGE ENCRYPTED FILE-----\n', /protected by a passphrase/],
  ['a mistyped one', `${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`, /is mistyped, or cut/],
] as const) {
  void test(`a key file with ${what} is refused`, () => assert.rejects(readKey(written(content)), ends(65, words)))
}

void test('a key file that is not there, and a folder, are refused', async () => {
  await assert.rejects(readKey(join(folder, 'nowhere')), ends(64, /cannot be read/))
  await assert.rejects(readKey(folder), ends(64, /cannot be read/))
})
