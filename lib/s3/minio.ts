// The stack's own minio.
import { type Instance, listInstances } from '../docker/containers.ts'
import { EXIT, Failure } from '../system/errors.ts'
import type { Settings } from '../system/settings.ts'
import { connect, type Place } from './client.ts'

type Bucket = Omit<Place, 'endpoint' | 'region'>

const PORT = 9000

/** A minio by its address and its port. */
export function connectTo(address: string, bucket: Bucket) {
  return connect({ ...bucket, endpoint: `http://${address}`, region: 'us-east-1' })
}

/** A minio in a container, by its address there. */
export function connectInstance(instance: Instance, bucket: Bucket) {
  return connectTo(minioAddress(instance), bucket)
}

/** Where a minio in a container listens. */
export function minioAddress({ addresses }: Instance) {
  return `${Object.values(addresses)[0]}:${PORT}`
}

/** The stack's minio and its bucket. Throws a Failure (69) when it does not run. */
export async function connectMinio(project: string, settings: Settings) {
  const start = 'start it (docker compose up -d minio), or look at its log: scripts/logs.ts minio'
  const instance = (await listInstances(project, 'minio')).find(({ running, oneOff }) => running && !oneOff)
  if (!instance) throw new Failure('minio is not running', { exitCode: EXIT.unreachable, hint: start })
  const { BUCKET_NAME: bucket, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = settings
  const again = 'docker compose up -d minio makes it take up what has changed in .env'
  const hints = {
    unreachable: start,
    refused: `is it that of .env (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)? ${again}`,
    noBucket: `is it that of .env (BUCKET_NAME)? ${again}`,
  }
  return connectInstance(instance, { server: 'minio', bucket, accessKeyId, secretAccessKey, hints })
}
