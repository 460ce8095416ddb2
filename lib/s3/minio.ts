// The stack's own minio.
import { listInstances } from '../docker/containers.ts'
import { EXIT, Failure } from '../system/errors.ts'
import type { Settings } from '../system/settings.ts'
import { connect } from './client.ts'

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
  return connect({
    server: 'minio',
    endpoint: `http://${Object.values(instance.addresses)[0]}:9000`,
    region: 'us-east-1',
    bucket,
    accessKeyId,
    secretAccessKey,
    hints,
  })
}
