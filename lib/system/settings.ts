// The settings: what .env must look like, checked before anything is touched.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './checkout.ts'
import { badConfig } from './errors.ts'
import { loadDotenv } from './packages.ts'

/** The settings in a text, unchecked. */
export const { parse: parseSettings } = await loadDotenv()

const INTEGER = (least: number, most: number) => ({
  fits: (value: string) => /^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most,
  form: `a whole number from ${least} to ${most}`,
})
const LIKE = (pattern: RegExp, form: string) => ({ fits: (value: string) => pattern.test(value), form })
/**
 * A setting that may be empty, or missing in a .env that is older than the setting: an update must not stop the nightly
 * backup.
 */
const OPTIONAL = ({ fits, form }: ReturnType<typeof LIKE>) => ({
  fits: (value: string) => value === '' || fits(value),
  form: `empty or ${form}`,
})
const PORT = INTEGER(0, 65_535)
const REPLICAS = INTEGER(1, 16)
const URL_OR_NONE = OPTIONAL(LIKE(/^https?:\/\/\S+$/, 'an address that begins with http:// or https://'))
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const BUCKET_FORM = 'a bucket name (3 to 63 small letters, digits, . and -)'
const KEY = /^[A-Za-z0-9_-]{3,128}$/
const KEY_FORM = '3 or more letters, digits, - and _'
const SECRET = /^[A-Za-z0-9_-]{8,128}$/
const SECRET_FORM = '8 or more letters, digits, - and _'
const HOST = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?'
const REFERRER =
  /^(no-referrer|no-referrer-when-downgrade|origin|origin-when-cross-origin|same-origin|strict-origin|strict-origin-when-cross-origin|unsafe-url)$/
const MEMORY = OPTIONAL(LIKE(/^(0|[1-9]\d{0,5}[mg])$/, 'an amount of memory (512m, 2g; 0 for any)'))
const NAME = LIKE(/^[a-z_][a-z0-9_]{0,62}$/, 'a name of small letters, digits and _')

const FORMS: Record<string, { fits: (value: string) => boolean; form: string }> = {
  COMPOSE_PROJECT_NAME: LIKE(/^[a-z0-9][a-z0-9_-]{0,40}$/, 'a name of small letters, digits, - and _'),
  REPOS_DIR: LIKE(/./, 'a folder'),
  PHOENIX_REPLICAS: REPLICAS,
  PROFILE_REPLICAS: REPLICAS,
  BOOKLET_REPLICAS: REPLICAS,
  ...Object.fromEntries(
    ['PHOENIX', 'PROFILE', 'BOOKLET', 'NGINX', 'POSTGRES', 'MINIO'].map(name => [`${name}_MEMORY`, MEMORY]),
  ),
  WHOST: LIKE(new RegExp(`^${HOST}$`), 'a host name'),
  WHOST_ALIASES: OPTIONAL(LIKE(new RegExp(`^${HOST}(,${HOST})*$`), 'host names, with commas between them')),
  NGINX_BIND: OPTIONAL(LIKE(/^(\d{1,3}\.){3}\d{1,3}$/, 'an IPv4 address')),
  NETWORK_IPV6: OPTIONAL(LIKE(/^(true|false)$/, 'true or false')),
  NGINX_PORT: PORT,
  NGINX_TLS_PORT: PORT,
  POST_RATE: INTEGER(1, 10_000),
  CONTENT_SECURITY_POLICY: OPTIONAL(
    LIKE(/^[A-Za-z0-9 ;:/.*'=?&%+_~@!()#,-]+$/, "a policy of letters, digits, spaces and ;:/.*'=?&%+_~@!()#,-"),
  ),
  REFERRER_POLICY: OPTIONAL(
    LIKE(REFERRER, 'one of the policies of that header (strict-origin-when-cross-origin, same-origin, no-referrer …)'),
  ),
  FRAME_OPTIONS: OPTIONAL(LIKE(/^(SAMEORIGIN|DENY)$/, 'SAMEORIGIN or DENY')),
  NGINX_LOG_DIR: OPTIONAL(LIKE(/^\/[^\0:]*[^/:]$/, 'an absolute path')),
  DRAIN_SECONDS: INTEGER(10, 3600),
  POSTGRES_DB: NAME,
  POSTGRES_USER: NAME,
  POSTGRES_APP_USER: OPTIONAL(NAME),
  BACKUP_DIR: LIKE(/^\/[^\0]*[^/]$/, 'an absolute path'),
  BACKUP_DAYS: INTEGER(1, 3650),
  BACKUP_WEEKS: INTEGER(0, 520),
  BACKUP_MONTHS: INTEGER(0, 120),
  BACKUP_RECIPIENTS: OPTIONAL(
    LIKE(
      /^age1[02-9ac-hj-np-z]{58}(,age1[02-9ac-hj-np-z]{58})*$/,
      'public keys of age (age1 and 58 characters), with commas between them',
    ),
  ),
  BACKUP_MAX_DAYS: OPTIONAL(INTEGER(1, 3650)),
  OFFSITE_ENDPOINT: URL_OR_NONE,
  OFFSITE_REGION: OPTIONAL(LIKE(/^[a-z0-9-]{1,40}$/, 'the name of a region')),
  OFFSITE_BUCKET: OPTIONAL(LIKE(BUCKET, BUCKET_FORM)),
  OFFSITE_PREFIX: OPTIONAL(
    LIKE(
      /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/,
      'a path of letters, digits, ., - and _, without a / at its ends',
    ),
  ),
  OFFSITE_ACCESS_KEY_ID: OPTIONAL(LIKE(/^\S{3,256}$/, '3 or more characters')),
  OFFSITE_SECRET_ACCESS_KEY: OPTIONAL(LIKE(/^\S{8,256}$/, '8 or more characters')),
  NOTICE_URL: URL_OR_NONE,
  PING_URL: URL_OR_NONE,
  FORMER_DAYS: INTEGER(1, 365),
  MINIO_ROOT_USER: OPTIONAL(LIKE(KEY, KEY_FORM)),
  MINIO_ROOT_PASSWORD: OPTIONAL(LIKE(SECRET, SECRET_FORM)),
  BUCKET_NAME: LIKE(BUCKET, BUCKET_FORM),
  AWS_ACCESS_KEY_ID: LIKE(KEY, KEY_FORM),
  AWS_SECRET_ACCESS_KEY: LIKE(SECRET, SECRET_FORM),
  DEPLOY_HOST: LIKE(/^([A-Za-z0-9_][A-Za-z0-9_.@:%[\]-]*)?$/, 'an entry of ~/.ssh/config, or user@host'),
  DEPLOY_PATH: LIKE(/^(\/[^\0]*)?$/, 'an absolute path'),
}
/**
 * Keys of the app's own beside those of the administrator: each pair is there as a whole, under another name than the
 * administrator's, or not at all.
 */
const PAIRS = [
  { name: 'POSTGRES_APP_USER', secret: 'POSTGRES_APP_PASSWORD', other: 'POSTGRES_USER' },
  { name: 'MINIO_ROOT_USER', secret: 'MINIO_ROOT_PASSWORD', other: 'AWS_ACCESS_KEY_ID' },
]

/** Those that must be this server's own. */
export const SECRETS = ['POSTGRES_PASSWORD', 'AWS_SECRET_ACCESS_KEY', 'SECRET_KEY_BASE']

const LINE =
  /^(?:\s*|\s*#.*|(?<name>[A-Za-z_][A-Za-z0-9_]*)=(?<value>[A-Za-z0-9%+,\-./:=@_~]*|'(?:[^'\r\n]*[^'\\\r\n])?'|"[^"$`\\\r\n]*"))$/

export type Settings = Readonly<Record<string, string>>

/** The name of each setting, with the number of its line. Throws (78) for the first line that is no setting. */
export const linesOf = (text: string, file: string) => {
  const found = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const match = LINE.exec(line.replace(/\r$/, ''))
    const name = match?.groups?.name
    if (!match) {
      const shown = /^\s*([A-Za-z_]\w*)\s*=/.exec(line)?.[1]
      throw badConfig(
        `${file} line ${index + 1}${shown ? ` (${shown})` : ''} is not a setting that all readers of the file understand alike`,
        `write NAME=value, or NAME='value' when it has other characters than letters, digits and %+,-./:=@_~; NAME="value" (without $ \` \\ in it) for one with a '`,
      )
    }
    if (!name) continue
    if (found.has(name))
      throw badConfig(
        `${file} line ${index + 1} sets ${name} again (first on line ${found.get(name)})`,
        'keep one of the two',
      )
    found.set(name, index + 1)
  }
  return found
}

/**
 * Checks the text of .env against .env.example. Throws (78) with the line for the first setting that is missing or
 * malformed.
 */
export const readSettings = (text: string, example: string): Settings => {
  const lines = linesOf(text, '.env')
  const values = parseSettings(text)
  for (const [name, line] of linesOf(example, '.env.example')) {
    if (!lines.has(name))
      throw badConfig(`.env has no ${name}`, `see line ${line} of .env.example, and add the setting`)
  }
  for (const [name, { fits, form }] of Object.entries(FORMS)) {
    if (!fits(values[name] ?? '')) throw badConfig(`.env line ${lines.get(name)}: ${name} is not ${form}`)
  }
  const twice = (values.WHOST_ALIASES ?? '').split(',').find(alias => alias === values.WHOST || alias === 'localhost')
  if (twice)
    throw badConfig(
      `.env line ${lines.get('WHOST_ALIASES')}: WHOST_ALIASES has ${twice}, which is no other name of the site`,
      'take it out',
    )
  for (const { name, secret, other } of PAIRS) {
    const [named, given] = [values[name] ?? '', values[secret] ?? '']
    if ((named === '') !== (given === ''))
      throw badConfig(
        `.env has ${named ? name : secret}, but no ${named ? secret : name}`,
        'the two go together: set both or none',
      )
    if (named !== '' && named === values[other])
      throw badConfig(
        `.env line ${lines.get(name)}: ${name} is ${other}, too`,
        'give it another name: what the app has must not be the administrator',
      )
  }
  for (const name of SECRETS) {
    const open = (values[name] ?? '').startsWith('change-me') || values[name] === ''
    if (open && values.WHOST !== 'localhost')
      throw badConfig(
        `.env line ${lines.get(name)}: ${name} is still the example's, and the site is public (WHOST)`,
        'set one: openssl rand -hex 32',
      )
  }
  if (lines.has('COMPOSE_FILE'))
    throw badConfig(
      `.env line ${lines.get('COMPOSE_FILE')}: COMPOSE_FILE is not supported`,
      'change docker-compose.yml',
    )
  return values
}

/** The settings of this checkout. Throws (78) when .env is missing, or a setting in it. */
export const loadSettings = (): Settings => {
  const file = join(root, '.env')
  if (!existsSync(file))
    throw badConfig(`there is no ${file}`, `cp ${join(root, '.env.example')} ${file}, and change what is yours`)
  return readSettings(readFileSync(file, 'utf8'), readFileSync(join(root, '.env.example'), 'utf8'))
}
