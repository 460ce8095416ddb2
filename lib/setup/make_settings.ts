// The .env of a new server: the example, with secrets of its own.
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { docker } from '../compose.ts'
import { readSettings, root, SECRETS, type Settings } from '../config.ts'
import { badConfig, detailsOf, EXIT, Failure, messageOf } from '../errors.ts'
import { sync } from '../files.ts'
import { canServeIpv6 } from './ipv6.ts'
import { attempt } from '../run.ts'

export const ENV_FILE = join(root, '.env')

/** 256 bits, in 64 hexadecimal digits: any reader of .env takes them as they are. */
const newSecret = () => randomBytes(32).toString('hex')

// A function as the replacement: a "$" in a value is a "$".
const setLine = (text: string, name: string, value: string) => text.replace(new RegExp(`^#?${name}=.*$`, 'm'), () => `${name}=${value}`)

/** The text of a new .env; with a host name it is that of a public site. `ipv6`: nginx can listen there. */
export const newSettings = (example: string, host: string | undefined, ipv6 = false) => {
  const everywhere = ipv6 ? { NGINX_BIND: '', NETWORK_IPV6: 'true' } : { NGINX_BIND: '0.0.0.0' }
  const open: Settings = host === undefined ? {} : { WHOST: host, CLIENT_TO_PHOENIX_URL: `https://${host}`, ...everywhere }
  const secrets = Object.fromEntries(SECRETS.map(name => [name, newSecret()]))
  return Object.entries({ ...open, ...secrets }).reduce((text, [name, value]) => setLine(text, name, value), example)
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
    throw new Failure(`${ENV_FILE} cannot be made: ${messageOf(error)}`, { ...detailsOf(error), exitCode: EXIT.cannotWrite })
  } finally {
    rmSync(partial, { force: true })
  }
}

/** Makes .env, 0600 from its first byte on; never replaces one. Throws a Failure: 73 when it cannot be written, 78 when a former site's is missing. */
export const makeSettings = async (host: string | undefined) => {
  const example = readFileSync(join(root, '.env.example'), 'utf8')
  const text = newSettings(example, host, host !== undefined && (await canServeIpv6()))
  await refuseForFormer(readSettings(text, example))
  writeNew(text)
}

export const hasSettings = () => existsSync(ENV_FILE)
