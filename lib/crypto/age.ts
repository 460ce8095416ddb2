// Encryption to public keys, in the format of age (age-encryption.org/v1): this server can encrypt its backup sets, and
// cannot read them again.
import { readFileSync, statSync } from 'node:fs'
import type { Settings } from '../system/settings.ts'
import { badConfig, EXIT, Failure, messageOf, usage } from '../system/errors.ts'
import { say } from '../system/progress.ts'

type Chunks = AsyncIterable<Uint8Array>

/** What opens files again. */
export interface Key {
  /** the public keys that it fits to */
  recipients: string[]
  /**
   * an age file → its clear content, as it comes; throws when it fits none of the file's keys, or the file is damaged
   */
  open: (chunks: Chunks) => AsyncGenerator<Uint8Array>
}

/** What encrypts the files of one run. */
export interface Encryptor {
  /** the public keys, sorted */
  recipients: string[]
  /** a clear content → an age file */
  encrypt: (chunks: Chunks) => AsyncGenerator<Uint8Array>
  /** for this run alone: opens what it has encrypted */
  verifyKey: Key
}

/** The setting that names them. */
export type Recipients = Pick<Settings, 'BACKUP_RECIPIENTS'>

/** One recipient more or less, or another: then what was encrypted before is not readable to the same people. */
export function isSameRecipients(a: string[] | undefined, b: string[] | undefined) {
  return a?.join() === b?.join()
}

export function recipientsOf({ BACKUP_RECIPIENTS = [] }: Recipients) {
  return [...new Set(BACKUP_RECIPIENTS)].toSorted()
}

// A pull a chunk: nothing is read ahead of what is needed.
const toWeb = (chunks: Chunks) => {
  const iterator = chunks[Symbol.asyncIterator]()
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { value, done } = await iterator.next()
    if (done) controller.close()
    else controller.enqueue(value)
  }
  return new ReadableStream({ pull, cancel: async () => void (await iterator.return?.()) }, { highWaterMark: 0 })
}

const keyOf = async (identities: string[]): Promise<Key> => {
  const { Decrypter, identityToRecipient } = await import('age-encryption')
  const decrypter = new Decrypter()
  for (const identity of identities) decrypter.addIdentity(identity)
  return {
    recipients: await Promise.all(identities.map(identityToRecipient)),
    open: async function* (chunks) {
      yield* await decrypter.decrypt(toWeb(chunks))
    },
  }
}

/**
 * Prepares the encryption to BACKUP_RECIPIENTS; undefined when there are none. Throws a Failure (78) for a public key
 * that is mistyped.
 *
 * Each file is encrypted to one key more, the verify key: made for this run, kept in this process's memory alone, gone
 * with it. With it what was written is read back and compared, which nobody on this server could do otherwise. That
 * weakens nothing: while the key exists, whoever could take it out of this process could take the clear content from
 * it, from the database and from minio beside it; afterwards it is a key that nobody has. It shows that the file on the
 * disk is whole and that its content is right. That the recipients can open it too (their stanzas are made by the same
 * code) only their own key can show: backup.ts --drill --key.
 */
export async function openEncryptor(settings: Recipients): Promise<Encryptor | undefined> {
  const recipients = recipientsOf(settings)
  if (recipients.length === 0) return undefined
  const { Encrypter, generateX25519Identity } = await import('age-encryption')
  const encrypter = new Encrypter()
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient)
    } catch {
      throw badConfig(
        `BACKUP_RECIPIENTS: ${recipient} is not a public key of age (a digit or a letter is wrong, or missing)`,
        'age-keygen -y prints the public key of a key file',
      )
    }
  }
  const verifyKey = await keyOf([await generateX25519Identity()])
  for (const recipient of verifyKey.recipients) encrypter.addRecipient(recipient)
  const encrypt = async function* (chunks: Chunks) {
    yield* await encrypter.encrypt(toWeb(chunks))
  }
  return { recipients, encrypt, verifyKey }
}

const unusable = (file: string, why: string, hint: string) =>
  new Failure(`the key file ${file} cannot be used: ${why}`, {
    exitCode: EXIT.data,
    hint: `nothing was touched; ${hint}`,
  })

const readText = (file: string) => {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw usage(
      `the key file ${file} cannot be read: ${messageOf(error)}`,
      'it is kept by whoever answers for the backups, and not on this server: bring it for the time of its use',
    )
  }
}

/**
 * Reads a key file, as age-keygen writes it. Throws a Failure: 64 when it cannot be read, 65 when it holds no key that
 * can be used.
 */
export async function readKey(file: string): Promise<Key> {
  const text = readText(file)
  if ((statSync(file).mode & 0o077) !== 0)
    say.warn(`others on this server can read the key file ${file}: chmod 600, and remove it after its use`)
  if (/^(age-encryption\.org\/v1|-----BEGIN AGE ENCRYPTED FILE-----)/.test(text))
    throw unusable(
      file,
      'it is protected by a passphrase',
      'on a machine of your own: age --decrypt, and bring what comes out',
    )
  const identities = text.split(/\r?\n/).filter(line => line !== '' && !line.startsWith('#'))
  if (identities.length === 0 || !identities.every(line => line.startsWith('AGE-SECRET-KEY-1')))
    throw unusable(file, 'it is not one that age-keygen wrote', 'the line that is wanted begins with AGE-SECRET-KEY-1')
  try {
    return await keyOf(identities)
  } catch {
    throw unusable(file, 'its AGE-SECRET-KEY-1… is mistyped, or cut', 'bring the file again')
  }
}

/** Throws a Failure (65) when a key fits none of the recipients that something was encrypted to. */
export function checkFits(key: Key, recipients: string[], what: string) {
  if (key.recipients.some(it => recipients.includes(it))) return
  throw new Failure(`the key (${key.recipients.join(', ')}) does not open ${what}`, {
    exitCode: EXIT.data,
    hint: `nothing was touched; it was encrypted to ${recipients.join(', ')}`,
  })
}

/** An error of decrypting in words; others stay as they are. */
export function explainDecryption(file: string, cause: unknown) {
  if (cause instanceof Failure || !(cause instanceof Error) || 'syscall' in cause || cause.name === 'AbortError')
    return cause
  return new Failure(
    `${file} cannot be decrypted: it is damaged, or was encrypted to another key (${messageOf(cause)})`,
    { exitCode: EXIT.data, hint: 'take another set (scripts/backup.ts --list)', cause },
  )
}
