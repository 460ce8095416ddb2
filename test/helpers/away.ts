// away.ts make BUCKET lock|versions|none, destroy BUCKET, list BUCKET [PREFIX], forbid BUCKET, remove BUCKET PREFIX,
// spoil BUCKET PREFIX, copy BUCKET OTHER: what people do with the bucket off the site, the worst of them with the
// server's own key.
import { S3Client } from '@aws-sdk/client-s3'
import * as s3 from '@aws-sdk/client-s3'

const [task, Bucket = '', word = ''] = process.argv.slice(2)
const { S3_ENDPOINT: endpoint = '', S3_KEY: accessKeyId = '', S3_SECRET: secretAccessKey = '' } = process.env
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId, secretAccessKey },
})

const versions = async (Prefix = '') => {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new s3.ListObjectVersionsCommand({ Bucket, Prefix }))
  return [...Versions.map(it => ({ ...it, what: 'version' })), ...DeleteMarkers.map(it => ({ ...it, what: 'removed' }))]
}

const make = async () => {
  await client.send(new s3.CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: word === 'lock' }))
  if (word === 'versions')
    await client.send(new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
}

// Everything is overwritten, removed, and removed for good: as far as the server lets it.
const destroy = async () => {
  const there = await versions()
  let gone = 0
  for (const Key of new Set(there.map(({ Key }) => Key)))
    await client.send(new s3.PutObjectCommand({ Bucket, Key, Body: 'destroyed' }))
  for (const { Key, VersionId } of there)
    try {
      await client.send(new s3.DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }))
      gone += 1
    } catch (error) {
      if ((error as s3.S3ServiceException).$metadata.httpStatusCode !== 403) throw error
    }
  for (const Key of new Set(there.map(({ Key }) => Key))) await client.send(new s3.DeleteObjectCommand({ Bucket, Key }))
  console.log(`${gone} of ${there.length} gone`)
}

const forbid = () => {
  const Statement = [
    { Effect: 'Deny', Principal: '*', Action: 's3:DeleteObjectVersion', Resource: `arn:aws:s3:::${Bucket}/*` },
  ]
  return client.send(
    new s3.PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }),
  )
}

const list = async () => {
  for (const { Key, what } of await versions(word)) console.log(`${what} ${Key}`)
}

const keysOf = async (Prefix = word) => {
  const { Contents = [] } = await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix }))
  return Contents
}

const remove = async () => {
  for (const { Key } of await keysOf()) await client.send(new s3.DeleteObjectCommand({ Bucket, Key }))
}

// Another content, as long as it was.
const spoil = async () => {
  for (const { Key, Size } of await keysOf())
    await client.send(new s3.PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(Size ?? 0, 'x') }))
}

const copy = async () => {
  for (const { Key } of await keysOf(''))
    await client.send(new s3.CopyObjectCommand({ Bucket: word, Key, CopySource: `${Bucket}/${Key}` }))
}

await { make, destroy, forbid, list, remove, spoil, copy }[task as 'list']()
client.destroy()
