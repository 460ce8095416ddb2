// The bucket off the site that encrypted backup sets are copied to:
//
//   <prefix>/sets/avril-20261122T030000Z/…    the files of a set; it counts when its manifest.json is there, which
//                                             comes last
//   <prefix>/objects/ab/ab…                   the contents of uploaded files, once for all sets, by the sha256 of what
//                                             is in the file
// Long, since what lies there, and how it is listed and read as it is or was, is said here alone.
import type { Readable } from 'node:stream'
import { type AsOf, askProtection, type Bucket, type Protection, readAsOf } from './protection.ts'
import { listPages } from '../../s3/bucket.ts'
import type { Disposable } from '../../system/scope.ts'
import type { Settings } from '../../system/settings.ts'
import { type Recipients, recipientsOf } from '../../crypto/age.ts'
import { badConfig, EXIT, Failure } from '../../system/errors.ts'
import { connect } from '../../s3/client.ts'
import { setNamed } from '../sets.ts'
import { isSetName, LIST, type Manifest, readManifest } from '../manifest.ts'
import { linesIn } from '../objects/catalog.ts'

const WANTED = ['OFFSITE_ENDPOINT', 'OFFSITE_BUCKET', 'OFFSITE_ACCESS_KEY_ID', 'OFFSITE_SECRET_ACCESS_KEY'] as const

/** The settings that decide whether there is one. */
type OffsiteSettings = Partial<Pick<Settings, (typeof WANTED)[number]>> & Recipients

const missingIn = (settings: OffsiteSettings) => WANTED.filter(name => !settings[name])

const incomplete = (missing: string[]) =>
  badConfig(
    `.env has no ${missing.join(', ')}: no copy off the site without`,
    `all of these are needed: ${WANTED.join(', ')}`,
  )

/**
 * Whether sets are copied off the site. Throws a Failure (78) when a setting is missing, or when the copies would not
 * be encrypted.
 */
export function isOffsite(settings: OffsiteSettings) {
  const missing = missingIn(settings)
  if (missing.length === WANTED.length) return false
  if (missing.length > 0) throw incomplete(missing)
  if (recipientsOf(settings).length > 0) return true
  throw badConfig(
    'backup sets are not encrypted, so they are not copied off the site: they hold personal data',
    'set BACKUP_RECIPIENTS, or take the OFFSITE_ settings out',
  )
}

export interface OffSite extends Bucket, Disposable {
  /** what was there at a time that was asked for; undefined: what is there now */
  asOf?: Map<string, AsOf>
}

/**
 * Prepares a connection to the bucket, as it is or as it was at a time. Throws a Failure: 78 when the settings name
 * none, or when it keeps no versions of what was.
 */
export async function openOffsite(settings: Settings, asOf?: Date): Promise<OffSite> {
  const [endpoint = '', bucket = '', accessKeyId = '', secretAccessKey = ''] = WANTED.map(name => settings[name])
  const missing = missingIn(settings)
  if (missing.length > 0) throw incomplete(missing)
  const hints = {
    unreachable:
      'is OFFSITE_ENDPOINT right, and can this server reach it? What is missing off the site is copied by the ' +
      'next backup',
    refused:
      'is it right in .env (OFFSITE_ACCESS_KEY_ID, OFFSITE_SECRET_ACCESS_KEY)? It needs the rights to list, read, ' +
      'write and delete in the bucket',
    noBucket: 'make it, or correct OFFSITE_BUCKET in .env: the scripts make no bucket',
  }
  const region = settings.OFFSITE_REGION
  const connection = await connect({
    server: 'the server off the site',
    endpoint,
    region,
    bucket,
    accessKeyId,
    secretAccessKey,
    hints,
  })
  const prefix = settings.OFFSITE_PREFIX ?? settings.COMPOSE_PROJECT_NAME
  let asked: Promise<Protection> | undefined
  const protection = () => (asked ??= askProtection(connection))
  // No lock outlasts what the rules may keep.
  const lockDays = Math.min(settings.BACKUP_DAYS, settings.BACKUP_MAX_DAYS ?? Infinity)
  const site = { connection, prefix, protection, lockDays, dispose: connection.dispose }
  if (!asOf) return site
  try {
    if ((await protection()) === 'none')
      throw badConfig(
        'the bucket off the site keeps no versions: nobody knows what was in it at another time',
        'without --as-of what is there now is taken',
      )
    return { ...site, asOf: await readAsOf(site, asOf) }
  } catch (error) {
    connection.dispose()
    throw error
  }
}

/** The objects whose keys begin so, a page at a time. */
export async function* listKeys(site: OffSite, prefix: string): AsyncGenerator<{ key: string; bytes: number }[]> {
  if (!site.asOf) return yield* listPages(site.connection, prefix)
  yield [...site.asOf].filter(([key]) => key.startsWith(prefix)).map(([key, { bytes }]) => ({ key, bytes }))
}

/** Of an object the version that was there, if a time was asked for. */
export function versionOf({ asOf }: OffSite, key: string) {
  const version = asOf?.get(key)?.versionId
  return version === undefined ? {} : { VersionId: version }
}

export function setKey({ prefix }: OffSite, name: string, file: string) {
  return `${prefix}/sets/${name}/${file}`
}
export function contentKey({ prefix }: OffSite, sha256: string) {
  return `${prefix}/objects/${sha256.slice(0, 2)}/${sha256}`
}

const get = (site: OffSite, key: string) => {
  const { s3, client, bucket, signal, withContext } = site.connection
  const object = { Bucket: bucket, Key: key, ...versionOf(site, key) }
  return withContext(`reading ${key} off the site`, () =>
    client.send(new s3.GetObjectCommand(object), { abortSignal: signal }),
  )
}

/** An object as it comes. */
export async function readStream(site: OffSite, key: string) {
  return (await get(site, key)).Body as Readable
}

// Only what was read to its end tells whether these scripts wrote it: a connection that is cut is an error.
const manifestOffsite = async (site: OffSite, name: string) => {
  const key = setKey(site, name, 'manifest.json')
  const text = await site.connection.withContext(`reading ${key} off the site`, async () =>
    (await get(site, key)).Body?.transformToString(),
  )
  const manifest = readManifest(text ?? '').value
  return manifest?.name === name && manifest.recipients ? manifest : undefined
}

/**
 * The sets that are there, newest first; the names of those whose manifest is none of these scripts, which are nothing
 * to count on, or to remove; and under each name that a set can have the files that are there, complete or not.
 */
export async function listOffsite(site: OffSite) {
  const files = new Map<string, string[]>()
  for await (const page of listKeys(site, `${site.prefix}/sets/`))
    for (const { key } of page) {
      const [name = '', file = '', ...rest] = key.slice(site.prefix.length + '/sets/'.length).split('/')
      if (isSetName(name) && rest.length === 0) files.set(name, [...(files.get(name) ?? []), file])
    }
  const sets: Manifest[] = []
  const unknown: string[] = []
  for (const [name, there] of files) {
    if (!there.includes('manifest.json')) continue
    const manifest = await manifestOffsite(site, name)
    if (manifest) sets.push(manifest)
    else unknown.push(name)
  }
  return { sets: sets.toSorted((a, b) => b.made.localeCompare(a.made)), unknown, files }
}

/** The contents that are there: sha256 → bytes. */
export async function listContents(site: OffSite) {
  const contents = new Map<string, number>()
  for await (const page of listKeys(site, `${site.prefix}/objects/`))
    for (const { key, bytes } of page) {
      const sha256 = key.split('/').at(-1)!
      if (/^[0-9a-f]{64}$/.test(sha256) && key === contentKey(site, sha256)) contents.set(sha256, bytes)
    }
  return contents
}

/**
 * The set that is meant by its name or its beginning; the newest one without. Throws a Failure (64) when it is not
 * there.
 */
export async function findOffsite(site: OffSite, name: string | undefined) {
  const { sets } = await listOffsite(site)
  const set = setNamed(sets, name)
  if (set) return set
  const what = name === undefined ? 'there is no set off the site' : `there is no set ${name} off the site`
  throw new Failure(what, {
    exitCode: EXIT.usage,
    hint: 'scripts/backup.ts --list --offsite shows those that are there',
  })
}

/** The sha256 of each content in a list of an encrypted set. Throws a Failure (65) for a line that is none. */
export async function* namesIn(chunks: AsyncIterable<string>) {
  for await (const line of linesIn(chunks)) {
    const sha256 = /^([0-9a-f]{64}) {2}objects\//.exec(line)?.[1]
    if (sha256 === undefined)
      throw new Failure(`${LIST} of a set has a line that names no content`, { exitCode: EXIT.data })
    yield sha256
  }
}
