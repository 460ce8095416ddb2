// Whether copies off the site outlive somebody who has this server and its key to the bucket: by object lock, where
// nobody removes or overwrites them before their time, or by versions, which that key had better not be allowed to
// remove.
import type { ListObjectVersionsCommandInput, ListObjectVersionsCommandOutput, ObjectVersion } from '@aws-sdk/client-s3'
import { shown } from '../../s3/bucket.ts'
import { mapConcurrent } from '../../system/concurrency.ts'
import type { Connection } from '../../s3/client.ts'

/** lock: object lock; versions: what is removed or overwritten stays; none: what is removed is gone */
export type Protection = 'lock' | 'versions' | 'none'

export interface Bucket {
  connection: Connection
  /** what all keys begin with */
  prefix: string
  /** asked once */
  protection: () => Promise<Protection>
  /** so many days nobody removes what is written, where the bucket can do that */
  lockDays: number
}

const [HOUR, DAY] = [3_600_000, 86_400_000]
/** What a server says that has no such thing, or does not let this key ask for it. */
const NOT_THERE = new Set([400, 403, 404, 405, 501])

/** What a server answered, in HTTP's numbers; 0 when it did not. */
export function answeredStatus(error: unknown) {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode ?? 0
}

/** undefined when the server has no such thing. */
export async function orUndefined<T>(work: Promise<T>) {
  try {
    return await work
  } catch (error) {
    if (NOT_THERE.has(answeredStatus(error))) return undefined
    throw error
  }
}

/** Asks the bucket. Throws a Failure when it does not answer. */
export function askProtection({ s3, client, bucket: Bucket, signal, withContext }: Connection): Promise<Protection> {
  const options = { abortSignal: signal }
  return withContext('asking how the copies off the site are protected', async () => {
    const lock = await orUndefined(client.send(new s3.GetObjectLockConfigurationCommand({ Bucket }), options))
    if (lock?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled') return 'lock'
    const versioning = await orUndefined(client.send(new s3.GetBucketVersioningCommand({ Bucket }), options))
    return versioning?.Status === 'Enabled' ? 'versions' : 'none'
  })
}

/**
 * A moment from now by the other side's clock, which the client takes from its answers: nobody takes back a lock that
 * is years too long.
 */
export function momentThere({ connection: { client } }: Pick<Bucket, 'connection'>, milliseconds: number) {
  return new Date(Date.now() + client.config.systemClockOffset + milliseconds)
}

const lockedUntil = (site: Pick<Bucket, 'connection' | 'lockDays'>) => momentThere(site, site.lockDays * DAY)

/** What an object is written with: in a bucket with object lock nobody removes it for BACKUP_DAYS. */
export async function lockOf(site: Bucket) {
  if ((await site.protection()) !== 'lock') return {}
  return { ObjectLockMode: 'COMPLIANCE' as const, ObjectLockRetainUntilDate: lockedUntil(site) }
}

/** Objects that are there already, and that a new set needs, are locked as long as if they were new. */
export async function lockAgain(site: Bucket, keys: string[]) {
  if ((await site.protection()) !== 'lock') return
  const until = lockedUntil(site)
  await mapConcurrent(keys, key => lockOne(site.connection, key, until))
}

const lockOne = ({ s3, client, bucket, signal, withContext }: Connection, Key: string, RetainUntilDate: Date) =>
  withContext(`locking ${shown(Key)} off the site`, async () => {
    const object = { Bucket: bucket, Key }
    const Retention = { Mode: 'COMPLIANCE' as const, RetainUntilDate }
    try {
      await client.send(new s3.PutObjectRetentionCommand({ ...object, Retention }), { abortSignal: signal })
    } catch (error) {
      // No lock is shortened: it is longer already, since BACKUP_DAYS were more then; and some servers change none that
      // has just been set.
      const asked = await orUndefined(client.send(new s3.GetObjectRetentionCommand(object), { abortSignal: signal }))
      const until = asked?.Retention?.RetainUntilDate
      if (until === undefined || until.getTime() < RetainUntilDate.getTime() - HOUR) throw error
    }
  })

/** All versions of what begins so, and the marks of what was removed, a page at a time. */
export async function* versionPages({ connection }: Pick<Bucket, 'connection'>, prefix: string) {
  const { s3, client, bucket, signal, withContext } = connection
  let marker: Pick<ListObjectVersionsCommandInput, 'KeyMarker' | 'VersionIdMarker'> | undefined = {}
  while (marker) {
    const command = new s3.ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...marker })
    const page: ListObjectVersionsCommandOutput = await withContext('listing the versions off the site', () =>
      client.send(command, { abortSignal: signal }),
    )
    yield page
    const { NextKeyMarker: KeyMarker = '', NextVersionIdMarker: VersionIdMarker = '' } = page
    marker = page.IsTruncated ? { KeyMarker, VersionIdMarker } : undefined
  }
}

/** An object as it was at some time. */
export interface AsOf {
  versionId: string
  bytes: number
}

const isBetter = (it: ObjectVersion, best: ObjectVersion | undefined, asOf: Date) =>
  it.LastModified !== undefined &&
  it.LastModified <= asOf &&
  (best?.LastModified === undefined || it.LastModified > best.LastModified)

/** What was there at a time: key → its version. What had been removed by then is not in it. */
export async function readAsOf(site: Pick<Bucket, 'connection' | 'prefix'>, asOf: Date) {
  const best = new Map<string, ObjectVersion & { isRemoved: boolean }>()
  for await (const { Versions = [], DeleteMarkers = [] } of versionPages(site, `${site.prefix}/`))
    for (const [list, isRemoved] of [
      [Versions, false],
      [DeleteMarkers, true],
    ] as const)
      for (const it of list)
        if (it.Key !== undefined && isBetter(it, best.get(it.Key), asOf)) best.set(it.Key, { ...it, isRemoved })
  const there = new Map<string, AsOf>()
  for (const [key, { isRemoved, VersionId, Size = 0 }] of best)
    if (!isRemoved && VersionId !== undefined) there.set(key, { versionId: VersionId, bytes: Size })
  return there
}
