// registry.mjs ARCHIVE PORT: an image registry that serves what `docker save` wrote to ARCHIVE, as a mirror of any
// registry would. Read only.
import { createHash } from 'node:crypto'
import { createReadStream, openSync, readSync } from 'node:fs'
import { createServer } from 'node:http'
import { posix } from 'node:path'

const [archive, port] = process.argv.slice(2)
const file = openSync(archive, 'r')

const read = ({ offset, size }) => {
  const bytes = Buffer.alloc(size)
  readSync(file, bytes, 0, size, offset)
  return bytes
}

const text = (block, from, length) =>
  block
    .subarray(from, from + length)
    .toString()
    .replace(/\0.*$/s, '')

// Where the contents of each file of the archive lie: nothing is unpacked.
const places = new Map()
for (let offset = 0; ;) {
  const block = read({ offset, size: 512 })
  const name = text(block, 0, 100)
  if (name === '') break
  const [prefix, size] = [text(block, 345, 155), Number.parseInt(text(block, 124, 12), 8)]
  const path = prefix ? `${prefix}/${name}` : name
  // A layer that another image has too may be a link to it.
  const link = text(block, 156, 1) === '2' ? posix.join(posix.dirname(path), text(block, 157, 100)) : undefined
  places.set(path, { offset: offset + 512, size, link })
  offset += 512 + Math.ceil(size / 512) * 512
}
const placeOf = path => (places.get(path).link === undefined ? places.get(path) : placeOf(places.get(path).link))
const json = path => JSON.parse(read(placeOf(path)))

// An engine that keeps layers as they were pulled writes them so, under their own digest; others write them unpacked.
const layerOf = (path, diffId) => {
  const packed = read({ ...placeOf(path), size: 2 }).readUInt16BE() === 0x1f8b
  const own = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1]
  return {
    digest: own === undefined ? diffId : `sha256:${own}`,
    mediaType: `application/vnd.docker.image.rootfs.diff.tar${packed ? '.gzip' : ''}`,
  }
}

const blobs = new Map()
const manifests = new Map()
for (const { Config, RepoTags, Layers } of json('manifest.json')) {
  const entry = (path, { mediaType, digest }) => {
    blobs.set(digest, placeOf(path))
    return { mediaType, digest, size: placeOf(path).size }
  }
  const layers = json(Config).rootfs.diff_ids.map((diffId, index) =>
    entry(Layers[index], layerOf(Layers[index], diffId)),
  )
  const digestOfConfig = `sha256:${createHash('sha256')
    .update(read(placeOf(Config)))
    .digest('hex')}`
  const config = entry(Config, { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digestOfConfig })
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json'
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config, layers })
  const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
  for (const tag of RepoTags) {
    const [name, version] = tag.replace(/^with-curl\//, '').split(':')
    const repository = name.includes('/') ? name : `library/${name}`
    for (const reference of [version, digest])
      manifests.set(`${repository}/${reference}`, { mediaType, digest, manifest })
  }
}

const send = (response, status, headers, body) =>
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body)

createServer(({ url, method }, response) => {
  const [, repository, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)/.exec(url) ?? []
  if (kind === undefined) return send(response, url.startsWith('/v2/') ? 200 : 404, {}, '')
  const found = kind === 'manifests' ? manifests.get(`${repository}/${reference}`) : blobs.get(reference)
  if (!found) return send(response, 404, {}, '')
  if (kind === 'manifests') {
    const { mediaType, digest, manifest } = found
    const headers = {
      'content-type': mediaType,
      'docker-content-digest': digest,
      'content-length': Buffer.byteLength(manifest),
    }
    return response.writeHead(200, headers).end(method === 'HEAD' ? '' : manifest)
  }
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': found.size,
    'docker-content-digest': reference,
  })
  if (method === 'HEAD' || found.size === 0) return response.end()
  return createReadStream('', {
    fd: file,
    autoClose: false,
    start: found.offset,
    end: found.offset + found.size - 1,
  }).pipe(response)
}).listen(Number(port), '127.0.0.1', () => console.log('ready'))
