// The .env of a new server: the example, with secrets of its own.
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs'
import { hasData, volumesOf } from '../docker/volumes.ts'
import { root } from '../system/checkout.ts'
import { readExample, readSettings, SECRETS, type Settings } from '../system/settings.ts'
import { badConfig, detailsOf, EXIT, Failure, messageOf } from '../system/errors.ts'
import { ENV_FILE, type Lines, settingsWith } from '../system/env_file.ts'
import { sync } from '../system/files.ts'
import { canServeIpv6 } from './ipv6.ts'

/** 256 bits, in 64 hexadecimal digits: any reader of .env takes them as they are. */
export function newSecret() {
  return randomBytes(32).toString('hex')
}

/** The app's own role, and the administrator that the bucket's key is not. */
const APP_KEYS = { POSTGRES_APP_USER: 'avril_app', MINIO_ROOT_USER: 'avril_root' }

/** The text of a new .env; with a host name it is that of a public site. `ipv6`: nginx can listen there. */
export function newSettings(example: string, host: string | undefined, ipv6 = false) {
  const everywhere: Lines = ipv6 ? { NGINX_BIND: '', NETWORK_IPV6: 'true' } : { NGINX_BIND: '0.0.0.0' }
  const open: Lines = host === undefined ? {} : { WHOST: host, CLIENT_TO_PHOENIX_URL: `https://${host}`, ...everywhere }
  const secrets = Object.fromEntries(
    [...SECRETS, 'POSTGRES_APP_PASSWORD', 'MINIO_ROOT_PASSWORD'].map(name => [name, newSecret()]),
  )
  return settingsWith(example, { ...open, WAL: 'on', ...APP_KEYS, ...secrets })
}

/**
 * Throws a Failure (78) when there is a database of these settings' Compose project: it knows the password of the .env
 * that is lost, and the apps could not log in with another.
 */
export async function refuseForFormer({ COMPOSE_PROJECT_NAME: project }: Settings) {
  const volumes = await volumesOf(project, 'postgres')
  const held = await Promise.all(volumes.map(hasData))
  const volume = volumes.findLast((_, index) => held[index])
  if (volume === undefined) return
  throw badConfig(
    `there is no .env, but data of a former site (the volume ${volume}), which needs the passwords of its .env`,
    `put that .env back; only if that data is worth nothing: docker volume rm ${volume}`,
  )
}

const writeNew = (text: string) => {
  const partial = `${ENV_FILE}.${process.pid}.partial`
  try {
    const descriptor = openSync(partial, 'wx', 0o600)
    try {
      writeSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    // Unlike a rename it fails when somebody has made one meanwhile.
    linkSync(partial, ENV_FILE)
    sync(root)
  } catch (error) {
    throw new Failure(`${ENV_FILE} cannot be made: ${messageOf(error)}`, {
      ...detailsOf(error),
      exitCode: EXIT.cannotWrite,
    })
  } finally {
    rmSync(partial, { force: true })
  }
}

/**
 * Makes .env, 0600 from its first byte on; never replaces one. Throws a Failure: 73 when it cannot be written, 78 when
 * a former site's is missing.
 */
export async function makeSettings(host: string | undefined) {
  await writeSettings(newSettings(readExample(), host, host !== undefined && (await canServeIpv6())))
}

/** The same with the whole text of it. */
export async function writeSettings(text: string) {
  await refuseForFormer(readSettings(text, readExample()))
  writeNew(text)
}
