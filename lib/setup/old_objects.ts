// The uploaded files of the stack of the bash scripts, copied while its minio runs.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { openDumpFolder } from '../postgres/dumps_folder.ts'
import { sumBytes, downloadObject, listAll, type Listed, removeObject, shown, uploadObject } from '../s3/bucket.ts'
import type { Connection } from '../s3/client.ts'
import { minioAddress, connectInstance, connectMinio, connectTo } from '../s3/minio.ts'
import { mapConcurrent } from '../system/concurrency.ts'
import { badConfig, Failure } from '../system/errors.ts'
import { Scope } from '../system/scope.ts'
import type { Settings } from '../system/settings.ts'
import { readState, writeState } from '../system/state_folder.ts'
import { forwardPort } from './old_machine.ts'
import { fileKeyOf } from './old_settings.ts'
import { type OldStack, runningOf } from './old_stack.ts'

const connectOld = async (old: OldStack, scope: Scope): Promise<Connection> => {
  const minio = runningOf(old, 'minio')
  const { name, host } = old.machine
  const pair = fileKeyOf(old.settings)
  const bucket = old.settings.get('BUCKET_NAME')
  if (!pair || !bucket)
    throw badConfig(
      `${name}/.env has no key of minio, or no BUCKET_NAME`,
      'nothing was changed; without them its files cannot be read',
    )
  const place = {
    server: minio.name,
    bucket,
    accessKeyId: old.settings.get(pair[0])!,
    secretAccessKey: old.settings.get(pair[1])!,
    hints: {
      unreachable: `docker logs ${minio.name}`,
      refused: `is ${pair[0]} in ${name}/.env the key that it runs with?`,
      noBucket: `is BUCKET_NAME in ${name}/.env the one that phoenix uses?`,
    },
  }
  if (host === undefined) return scope.use(await connectInstance(minio, place))
  const { port } = scope.use(await forwardPort(host, minioAddress(minio)))
  return scope.use(await connectTo(`127.0.0.1:${port}`, place))
}

// Which object was copied, and the etag that it had: of the same size it may have been written anew since then.
const FILE = 'copied_files.json'
const COPIED = v.array(v.tuple([v.string(), v.string()]))

const noteCopied = (copied: ReadonlyMap<string, string>) => writeState(FILE, [...copied], 0o600)

const proveSame = async (target: Connection, listed: ReadonlyMap<string, Listed>) => {
  const there = await listAll(target)
  for (const { key, bytes } of listed.values())
    if (there.get(key)?.bytes !== bytes)
      throw new Failure(`${shown(key)} is not in the new minio as it is in the old one`, { hint: 'run it again' })
}

/** What a copy came to. */
export interface Mirrored {
  /** how many files there are, of how many bytes together */
  count: number
  bytes: number
  /** how many of them had to be copied now */
  copied: number
  /** that were copied before, and are no longer in the old minio; the last copy removes them here, too */
  gone: number
  /** that are here, and were never in the old minio; they stay */
  extra: number
}

/**
 * Makes the files in the minio of this stack those of the old one: what is missing or was written anew is copied. The
 * last copy, when nobody writes any more, also removes what an earlier one brought and is gone there. Throws a Failure:
 * 78 when all is gone there at once, and any when the last copy has not brought all.
 * In one piece: what was copied must be noted wherever it stops.
 */
export async function mirrorOld(old: OldStack, settings: Settings, last: boolean): Promise<Mirrored> {
  const scope = new Scope()
  try {
    const source = await connectOld(old, scope)
    const target = scope.use(await connectMinio(settings.COMPOSE_PROJECT_NAME, settings))
    const { path } = scope.use(openDumpFolder('reading'))
    const copied = new Map(readState(FILE, COPIED))
    const there = await listAll(target)
    const listed = await listAll(source)
    const wanted = [...listed.values()].filter(
      ({ key, bytes, etag }) => there.get(key)?.bytes !== bytes || copied.get(key) !== etag,
    )
    const beside = [...there.keys()].filter(key => !listed.has(key))
    const gone = beside.filter(key => copied.has(key))
    // A minio without a volume that was made anew.
    if (listed.size === 0 && gone.length > 0)
      throw badConfig(
        `the old minio no longer has any file, and ${gone.length} were copied before: was its container made anew?`,
        'nothing was changed. The copies in the minio here are kept; those who know must say what is right',
      )
    // A copy that is killed is one that is made again, and known to be from there.
    for (const { key } of wanted) copied.set(key, '')
    noteCopied(copied)
    try {
      await mapConcurrent([...wanted.entries()], async ([index, { key }]) => {
        const file = join(path, String(index))
        const stored = await downloadObject(source, key, file)
        if (!stored) return
        await uploadObject(target, stored, file)
        copied.set(key, stored.etag)
        rmSync(file)
      })
      if (last)
        await mapConcurrent(gone, async key => {
          await removeObject(target, key)
          copied.delete(key)
        })
    } finally {
      noteCopied(copied)
    }
    if (last) await proveSame(target, listed)
    const count = { copied: wanted.length, gone: gone.length, extra: beside.length - gone.length }
    return { count: listed.size, bytes: sumBytes(listed.values()), ...count }
  } finally {
    await scope.dispose()
  }
}

/** How many bytes of files are not here yet, and the buckets that are not the site's and are not brought. */
export async function filesToBring(old: OldStack): Promise<{ bytes: number; otherBuckets: string[] }> {
  const scope = new Scope()
  try {
    const source = await connectOld(old, scope)
    const copied = new Map(readState(FILE, COPIED))
    const missing = [...(await listAll(source)).values()].filter(({ key, etag }) => copied.get(key) !== etag)
    const { s3, client, bucket, signal, withContext } = source
    const { Buckets = [] } = await withContext('listing the buckets', () =>
      client.send(new s3.ListBucketsCommand({}), { abortSignal: signal }),
    )
    const names = Buckets.flatMap(({ Name = '' }) => (Name === '' || Name === bucket ? [] : [Name]))
    return { bytes: sumBytes(missing), otherBuckets: names }
  } finally {
    await scope.dispose()
  }
}
