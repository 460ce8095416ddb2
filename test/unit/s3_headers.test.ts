import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect } from '../../lib/s3/client.ts'

const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

// A header as Node reads it (a character for each byte), and as it is sent. Extend it by a line.
const HEADERS: [came: string, sent: string][] = [
  ['attachment; filename="cv.pdf"', 'attachment; filename="cv.pdf"'],
  [utf8('attachment; filename=CV_Léa_€_漢.pdf'), utf8('attachment; filename=CV_Léa_€_漢.pdf')],
  // What another server has made Latin-1 of, or an old browser.
  ['attachment; filename=CV_Léa.pdf', utf8('attachment; filename=CV_Léa.pdf')],
]

void test('a header with other characters than ASCII is sent byte for byte, and is no part of the signature', async () => {
  const seen: { header: string; signed: string }[] = []
  const server = createServer((request, response) => {
    const [, signed = ''] = /SignedHeaders=([^,]*)/.exec(request.headers.authorization ?? '') ?? []
    seen.push({ header: request.headers['content-disposition'] ?? '', signed })
    request.resume().on('end', () => response.end())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const hints = { unreachable: '', refused: '', noBucket: '' }
  const endpoint = `http://127.0.0.1:${port}`
  const place = {
    server: 'it',
    endpoint,
    region: 'local',
    bucket: 'avril',
    accessKeyId: 'key',
    secretAccessKey: 'secret',
  }
  const { s3, client, dispose } = await connect({ ...place, hints })
  try {
    for (const [ContentDisposition, sent] of HEADERS) {
      await client.send(new s3.PutObjectCommand({ Bucket: 'avril', Key: 'a', Body: 'b', ContentDisposition }))
      const { header, signed } = seen.at(-1) ?? assert.fail()
      assert.equal(header, sent)
      assert.equal(signed.split(';').includes('content-disposition'), !/[^\0-\x7F]/.test(sent))
      assert.ok(signed.split(';').includes('x-amz-date'))
    }
  } finally {
    dispose()
    server.close()
  }
})
