// Removes objects off the site so that nothing of them stays, and tries whether somebody with this server's key could.
import { shown } from '../../s3/bucket.ts'
import { answeredStatus, type Bucket, momentThere, orUndefined, versionPages } from './protection.ts'

const remove = async ({ connection }: Pick<Bucket, 'connection'>, Key: string, VersionId?: string) => {
  const { s3, client, bucket: Bucket, signal } = connection
  await client.send(new s3.DeleteObjectCommand({ Bucket, Key, ...(VersionId && { VersionId }) }), {
    abortSignal: signal,
  })
}

/** Whether a server refuses to remove a version: some answer a locked one by 400. */
const isRefusal = (error: unknown) =>
  answeredStatus(error) === 403 || (answeredStatus(error) === 400 && (error as Error).name === 'InvalidRequest')

/** Removes all versions of an object; undefined when that is done, else the first one that was refused, and how. */
const removeVersions = async (site: Pick<Bucket, 'connection'>, key: string) => {
  for await (const { Versions = [], DeleteMarkers = [] } of versionPages(site, key))
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers])
      if (Key === key)
        try {
          await remove(site, key, VersionId)
        } catch (error) {
          if (isRefusal(error)) return { VersionId, error }
          throw error
        }
  return undefined
}

const isLocked = async (site: Pick<Bucket, 'connection'>, Key: string, VersionId: string | undefined) => {
  const { s3, client, bucket: Bucket, signal } = site.connection
  const command = new s3.GetObjectRetentionCommand({ Bucket, Key, ...(VersionId && { VersionId }) })
  const until = (await orUndefined(client.send(command, { abortSignal: signal })))?.Retention?.RetainUntilDate
  return until !== undefined && until > momentThere(site, 0)
}

/**
 * Removes an object. Where there are versions all of them go: personal data would stay in them. Gives false when it is
 * locked still; then it stays as it is. What this key may not remove becomes a former version, which a rule of the
 * bucket removes.
 */
export async function removeForGood(site: Bucket, key: string) {
  return site.connection.withContext(`removing ${shown(key)} off the site`, async () => {
    const protection = await site.protection()
    const refused = protection === 'none' ? undefined : await removeVersions(site, key)
    if (protection === 'lock' && refused) {
      if (await isLocked(site, key, refused.VersionId)) return false
      throw refused.error
    }
    if (protection === 'none' || refused) await remove(site, key)
    return true
  })
}

/** In milliseconds: how long what the proof leaves behind is locked. */
const PROBE = 60_000

/**
 * Tries what somebody with this server's key would: writes a small object, and removes it. Gives whether it is there
 * still, by its lock or as a version that the key may not remove.
 */
export async function outlivesRemoval(site: Bucket) {
  const { s3, client, bucket: Bucket, signal, withContext } = site.connection
  const Key = `${site.prefix}/probe`
  const lock = (await site.protection()) === 'lock' && {
    ObjectLockMode: 'COMPLIANCE' as const,
    ObjectLockRetainUntilDate: momentThere(site, PROBE),
  }
  return withContext('trying whether copies off the site can be removed', async () => {
    if ((await site.protection()) !== 'none') await removeVersions(site, Key)
    // Servers take a locked object only with its md5.
    const words = { Bucket, Key, Body: 'probe', ContentMD5: 'jahD/2UgWmE3Swm4HtD6NQ==', ...lock }
    await client.send(new s3.PutObjectCommand(words), { abortSignal: signal })
    if ((await site.protection()) !== 'none') return (await removeVersions(site, Key)) !== undefined
    await remove(site, Key)
    return false
  })
}
