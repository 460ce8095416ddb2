// The .env of a new server: the example, with secrets of its own.
import { randomBytes } from 'node:crypto'
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { docker } from '../docker/commands.ts'
import { root } from '../system/checkout.ts'
import { readSettings, SECRETS, type Settings } from '../system/settings.ts'
import { badConfig, detailsOf, EXIT, Failure, messageOf } from '../system/errors.ts'
import { replaceFile, sync } from '../system/files.ts'
import { canServeIpv6 } from './ipv6.ts'
import { attempt } from '../system/run.ts'

/** Settings as they are to stand in .env: name → value. */
export type Lines = Readonly<Record<string, string>>

export const ENV_FILE = join(root, '.env')

/** 256 bits, in 64 hexadecimal digits: any reader of .env takes them as they are. */
export function newSecret() {
  return randomBytes(32).toString('hex')
}

/** The line of a setting; where there is none, the one that the example has as a comment. */
const lineOf = (text: string, name: string) =>
  [new RegExp(`^${name}=.*$`, 'm'), new RegExp(`^#${name}=.*$`, 'm')].find(line => line.test(text))

// A function as the replacement: a "$" in a value is a "$".
const setLine = (text: string, name: string, value: string) => {
  const line = lineOf(text, name)
  return line ? text.replace(line, () => `${name}=${value}`) : `${text.replace(/\n*$/, '\n')}${name}=${value}\n`
}

/** A .env with these settings in it: each in its line, or, when it has none, at the end. */
export function settingsWith(text: string, values: Lines) {
  return Object.entries(values).reduce((it, [name, value]) => setLine(it, name, value), text)
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
  return settingsWith(example, { ...open, ...APP_KEYS, ...secrets })
}

// A database that is there knows the password of the .env that is lost; the apps could not log in with another.
const refuseForFormer = async ({ COMPOSE_PROJECT_NAME: project }: Settings) => {
  const volume = `${project}_postgres`
  if ((await attempt(docker('volume', 'inspect', volume))).code !== 0) return
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
  const example = readFileSync(join(root, '.env.example'), 'utf8')
  const text = newSettings(example, host, host !== undefined && (await canServeIpv6()))
  await refuseForFormer(readSettings(text, example))
  writeNew(text)
}

/**
 * Changes settings of the .env that is there: at once and for good, and it stays whose it is. Throws a Failure, and
 * then it is as it was.
 */
export function changeSettings(values: Lines) {
  if (Object.keys(values).length === 0) return
  const file = realpathSync(ENV_FILE)
  const { mode, uid, gid } = statSync(file)
  const text = settingsWith(readFileSync(file, 'utf8'), values)
  readSettings(text, readFileSync(join(root, '.env.example'), 'utf8'))
  replaceFile(file, text, mode & 0o777)
  if (statSync(file).uid !== uid || statSync(file).gid !== gid) chownSync(file, uid, gid)
}

export function hasSettings() {
  return existsSync(ENV_FILE)
}
