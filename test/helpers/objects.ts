// The uploaded files, for tests:
//
//   objects.ts save FOLDER [PREVIOUS] | check FOLDER | check-full FOLDER | restore FOLDER
//                                     what lib/ does; prints its result
//   objects.ts put                    stores what stdin lists: {key, type, content or bytes, headers} a line
//   objects.ts list                   prints what the server has, with the sha256 of each content
//   objects.ts delete KEY … | empty   deletes these, or all
//
// REGION is the one that what goes straight to the server is signed for. DURING is a shell command that is run when the
// first file was saved or restored, while nothing else goes on here.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { loadSettings } from '../../lib/system/settings.ts'
import { main } from '../../lib/cli/main.ts'
import { print } from '../../lib/cli/terminal.ts'
import type { Connection } from '../../lib/s3/client.ts'
import { mapConcurrent } from '../../lib/system/concurrency.ts'

const settings = loadSettings()
const stack = { project: settings.COMPOSE_PROJECT_NAME ?? '' }

const once = () => {
  const { DURING } = process.env
  delete process.env.DURING
  if (DURING) execFileSync('sh', ['-c', DURING], { stdio: ['ignore', 2, 2] })
}

/** "seed" repeated up to so many bytes */
const filled = (seed: string, bytes: number) => Buffer.alloc(bytes, seed)

const put = async ({ s3, client, bucket }: Connection) => {
  const lines = (await text(process.stdin)).split('\n').filter(Boolean)
  await mapConcurrent(lines, line => {
    const { key, type, content, bytes, headers } = JSON.parse(line)
    const Body = bytes === undefined ? Buffer.from(content) : filled(key, bytes)
    return client.send(new s3.PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType: type, ...headers }))
  })
}

const keys = async ({ s3, client, bucket }: Connection) => {
  const found: string[] = []
  for await (const page of s3.paginateListObjectsV2({ client }, { Bucket: bucket, EncodingType: 'url' }))
    found.push(...(page.Contents ?? []).map(({ Key = '' }) => decodeURIComponent(Key)))
  return found
}

const list = async (connection: Connection) => {
  const { s3, client, bucket } = connection
  for (const key of await keys(connection)) {
    const it = await client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: key }))
    const content = await it.Body!.transformToByteArray()
    const { ContentType, ContentDisposition, CacheControl, Metadata } = it
    print(
      JSON.stringify({
        key,
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
        ContentType,
        ContentDisposition,
        CacheControl,
        Metadata,
      }),
    )
  }
}

const remove = ({ s3, client, bucket }: Connection, unwanted: string[]) =>
  mapConcurrent(unwanted, key => client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key: key })))

const command = {
  usage: 'objects.ts',
  summary: '',
  words: [1, 99] as [number, number],
  options: {},
  examples: [] as [string, string][],
}

await main(command, async (_, [action = '', folder = '', ...rest]) => {
  const { saveObjects } = await import('../../lib/backup/objects/save.ts')
  const { checkObjects, plaintextContents } = await import('../../lib/backup/objects/catalog.ts')
  const { openObjects } = await import('../../lib/backup/objects/restore.ts')
  const contents = plaintextContents(folder)
  if (action === 'save') {
    mkdirSync(folder, { mode: 0o700 })
    return print(
      JSON.stringify(
        await saveObjects({
          stack,
          settings,
          contents,
          previous: rest[0] ? plaintextContents(rest[0]) : undefined,
          onProgress: once,
        }),
      ),
    )
  }
  if (action.startsWith('check'))
    return print(JSON.stringify(await checkObjects(contents, { full: action === 'check-full' })))
  if (action === 'restore') {
    const planned = await openObjects({ stack, settings, contents, onProgress: once })
    try {
      return print(JSON.stringify(await planned.execute()))
    } finally {
      await planned.dispose()
    }
  }
  const { connectMinio } = await import('../../lib/s3/minio.ts')
  const connection = await connectMinio(stack.project, settings)
  const { REGION } = process.env
  if (REGION) connection.client.config.region = async () => REGION
  if (action === 'put') await put(connection)
  if (action === 'list') await list(connection)
  if (action === 'delete') await remove(connection, [folder, ...rest])
  if (action === 'empty') await remove(connection, await keys(connection))
  connection.dispose()
})
