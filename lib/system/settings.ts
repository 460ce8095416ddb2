// The settings: what .env must look like, checked as a whole before anything is touched.
// Long, since the whole table of settings is here, with the rules between them.
import { existsSync, readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { join } from 'node:path'
import { parse } from 'dotenv'
import * as v from 'valibot'
import { root } from './checkout.ts'
import { badConfig } from './errors.ts'
import { readOrEmpty } from './files.ts'

/** What stands in a .env, as text: without the settings that are empty. */
export type Texts = ReadonlyMap<string, string>

const textsOf = (text: string): Texts => new Map(Object.entries(parse(text)).filter(([, value]) => value !== ''))

/** Each form says in words what a value must be: "… is not a folder". The value itself may be a secret. */
const like = (pattern: RegExp, form: string) => v.pipe(v.string(form), v.regex(pattern, form))
const integer = (least: number, most: number, pattern = /^\d{1,9}$/) => {
  const form = `a whole number from ${least} to ${most}`
  return v.pipe(like(pattern, form), v.transform(Number), v.minValue(least, form), v.maxValue(most, form))
}
const list = (pattern: RegExp, form: string) =>
  v.pipe(
    like(pattern, form),
    v.transform(text => text.split(',')),
  )
/**
 * A setting that may be empty or missing: an update that brings one more must not stop the nightly backup. It takes the
 * default, which docker-compose.yml has too, or is absent.
 */
const optional = v.optional

/** of a number that nginx takes (nginx/start/): no zero stands before it */
const UNPADDED = /^[1-9]\d{0,8}$/
const ipv4 = v.pipe(v.string(), v.check(isIPv4, 'an IPv4 address'))
const port = integer(0, 65_535)
const replicas = integer(1, 16)
const url = optional(like(/^https?:\/\/\S+$/, 'an address that begins with http:// or https://'))
const bucket = like(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'a bucket name (3 to 63 small letters, digits, . and -)')
const key = like(/^[A-Za-z0-9_-]{3,128}$/, '3 or more letters, digits, - and _')
const secret = like(/^[A-Za-z0-9_-]{8,128}$/, '8 or more letters, digits, - and _')
const host = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?'
const referrer =
  /^(no-referrer|no-referrer-when-downgrade|origin|origin-when-cross-origin|same-origin|strict-origin|strict-origin-when-cross-origin|unsafe-url)$/
const memory = optional(like(/^(0|[1-9]\d{0,5}[mg])$/, 'an amount of memory (512m, 2g; 0 for any)'))
const name = like(/^[a-z_][a-z0-9_]{0,62}$/, 'a name of small letters, digits and _')
const folder = like(/./, 'a folder')
const text = like(/./, 'a text of one or more characters')
const image = like(/^[a-z0-9][A-Za-z0-9._:/@-]*$/, 'the name of an image')

const ENTRIES = {
  /** what plain `docker compose` reads; kept by lib/docker/compose_files.ts */
  COMPOSE_FILE: optional(
    like(
      /^docker-compose\.yml(:[^:]+)*$/,
      'docker-compose.yml, and files beside it that add to it, with : between them',
    ),
  ),
  COMPOSE_PROJECT_NAME: optional(
    like(/^[a-z0-9][a-z0-9_-]{0,40}$/, 'a name of small letters, digits, - and _'),
    'avril',
  ),
  REPOS_DIR: optional(folder, '..'),
  /** several servers: the address of the db node in their private network; absent: one server, and no Swarm */
  SWARM: optional(ipv4),
  PHOENIX_REPLICAS: optional(replicas, '1'),
  PROFILE_REPLICAS: optional(replicas, '1'),
  BOOKLET_REPLICAS: optional(replicas, '1'),
  PHOENIX_MEMORY: memory,
  PROFILE_MEMORY: memory,
  BOOKLET_MEMORY: memory,
  PHOENIX_BASE_IMAGE: optional(image, 'elixir:1.20.2-slim'),
  NUXT_BASE_IMAGE: optional(image, 'node:24.21.0-trixie-slim'),
  NGINX_MEMORY: memory,
  POSTGRES_MEMORY: memory,
  MINIO_MEMORY: memory,
  /** absent: off, too; the word has a container that idles */
  WAL: optional(like(/^(on|off)$/, 'on or off')),
  WAL_DIR: optional(folder, './db/wal'),
  WAL_KEEP: optional(like(/^[1-9]\d{0,5}(MB|GB)$/, 'an amount of disk (512MB, 4GB)'), '4GB'),
  WAL_MEMORY: memory,
  WHOST: like(new RegExp(`^${host}$`), 'a host name'),
  WHOST_ALIASES: optional(list(new RegExp(`^${host}(,${host})*$`), 'host names, with commas between them')),
  /** absent: every address of the machine */
  NGINX_BIND: optional(ipv4),
  NETWORK_IPV6: optional(
    v.pipe(
      like(/^(true|false)$/, 'true or false'),
      v.transform(it => it === 'true'),
    ),
  ),
  NGINX_PORT: optional(port, '80'),
  NGINX_TLS_PORT: optional(port, '443'),
  /** absent: off, too; the word has browsers forget it */
  HTTP3: optional(like(/^(on|off)$/, 'on or off')),
  SSL_DIR: optional(folder, '/root/ssl'),
  ACME_DIRECTORY: optional(
    like(/^https:\/\/\S+$/, 'an address that begins with https://'),
    'https://acme-v02.api.letsencrypt.org/directory',
  ),
  STATIC_DIR: optional(folder, './nginx/static'),
  /** a second, of one client */
  POST_RATE: optional(integer(1, 10_000, UNPADDED), '1'),
  FORWARDED_FROM: optional(like(/^[\da-fA-F.:]+$/, 'an IP address')),
  CONTENT_SECURITY_POLICY: optional(
    like(/^[A-Za-z0-9 ;:/.*'=?&%+_~@!()#,-]+$/, "a policy of letters, digits, spaces and ;:/.*'=?&%+_~@!()#,-"),
  ),
  REFERRER_POLICY: optional(
    like(referrer, 'one of the policies of that header (strict-origin-when-cross-origin, same-origin, no-referrer …)'),
  ),
  FRAME_OPTIONS: optional(like(/^(SAMEORIGIN|DENY)$/, 'SAMEORIGIN or DENY')),
  NGINX_LOG_DIR: optional(like(/^\/[^\0:]*[^/:]$/, 'an absolute path')),
  DRAIN_SECONDS: optional(integer(10, 3600, UNPADDED), '30'),
  POSTGRES_HOST: optional(text, 'postgres'),
  POSTGRES_DB: name,
  POSTGRES_USER: name,
  POSTGRES_PASSWORD: text,
  POSTGRES_APP_USER: optional(name),
  POSTGRES_APP_PASSWORD: optional(text),
  /** absent: that of docker-compose.yml */
  POSTGRES_IMAGE: optional(image),
  /** absent: that of the project */
  POSTGRES_VOLUME: optional(like(/^[A-Za-z0-9][\w.-]{0,127}$/, 'the name of a volume')),
  BACKUP_DIR: optional(like(/^\/[^\0]*[^/]$/, 'an absolute path'), '/mnt/backups/avril'),
  BACKUP_DAYS: optional(integer(1, 3650), '7'),
  BACKUP_WEEKS: optional(integer(0, 520), '0'),
  BACKUP_MONTHS: optional(integer(0, 120), '0'),
  BACKUP_RECIPIENTS: optional(
    list(
      /^age1[02-9ac-hj-np-z]{58}(,age1[02-9ac-hj-np-z]{58})*$/,
      'public keys of age (age1 and 58 characters), with commas between them',
    ),
  ),
  BACKUP_MAX_DAYS: optional(integer(1, 3650)),
  OFFSITE_ENDPOINT: url,
  OFFSITE_REGION: optional(like(/^[a-z0-9-]{1,40}$/, 'the name of a region'), 'us-east-1'),
  OFFSITE_BUCKET: optional(bucket),
  OFFSITE_PREFIX: optional(
    like(
      /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/,
      'a path of letters, digits, ., - and _, without a / at its ends',
    ),
  ),
  OFFSITE_ACCESS_KEY_ID: optional(like(/^\S{3,256}$/, '3 or more characters')),
  OFFSITE_SECRET_ACCESS_KEY: optional(like(/^\S{8,256}$/, '8 or more characters')),
  NOTICE_URL: url,
  PING_URL: url,
  /** empty: none */
  HOOKS_DIR: optional(like(/^[^\0]*$/, 'a folder'), './hooks'),
  /** that one of them may take */
  HOOK_SECONDS: optional(integer(1, 86_400), '60'),
  FORMER_DAYS: optional(integer(1, 365), '7'),
  /** absent: off, too */
  READY_COPY: optional(like(/^(on|off)$/, 'on or off')),
  MINIO_ROOT_USER: optional(key),
  MINIO_ROOT_PASSWORD: optional(secret),
  BUCKET_NAME: bucket,
  AWS_ACCESS_KEY_ID: key,
  AWS_SECRET_ACCESS_KEY: secret,
  SECRET_KEY_BASE: text,
  DEPLOY_HOST: optional(like(/^[A-Za-z0-9_][A-Za-z0-9_.@:%[\]-]*$/, 'an entry of ~/.ssh/config, or user@host')),
  DEPLOY_PATH: optional(like(/^\/[^\0]*$/, 'an absolute path')),
}
const SCHEMA = v.object(ENTRIES)

/** The settings, under their names in .env: numbers are numbers, and what is empty or missing is absent. */
export type Settings = Readonly<v.InferOutput<typeof SCHEMA>> & {
  /** all that stand in .env, as text: those too that only the apps read */
  readonly texts: Texts
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
export const SECRETS = ['POSTGRES_PASSWORD', 'AWS_SECRET_ACCESS_KEY', 'SECRET_KEY_BASE'] as const

/**
 * What the value of a setting must be, in words, when it is not that; a setting that only the apps read may be
 * anything.
 */
export function formFault(name: string, value: string) {
  const entry = ENTRIES[name as keyof typeof ENTRIES] as v.GenericSchema | undefined
  return entry && v.safeParse(entry, value).issues?.[0]?.message
}

// What dotenv, Compose and a shell read alike.
const VALUES = [/[A-Za-z0-9%+,\-./:=@_~]*/, /'(?:[^'\r\n]*[^'\\\r\n])?'/, /"[^"$`\\\r\n]*"/].map(({ source }) => source)
const VALUE = new RegExp(`^(?:${VALUES.join('|')})$`)
const LINE = new RegExp(String.raw`^(?:\s*|\s*#.*|[A-Za-z_][A-Za-z0-9_]*=(?:${VALUES.join('|')}))$`)

/** A value as it stands in .env: plain where it can, otherwise between quotes; undefined when it cannot stand there. */
export function writeValue(value: string) {
  return [value, `'${value}'`, `"${value}"`].find(written => VALUE.test(written) && parse(`A=${written}`).A === value)
}

const NAME = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=/

interface Fault {
  /** the setting that it is about */
  name?: string | undefined
  /** where it stands, from 1 */
  line?: number | undefined
  text: string
  cure?: string
}

/** The name of each setting in a text with the number of its line, and the lines that are no settings. */
export function linesOf(text: string) {
  const lines = new Map<string, number>()
  const faults: Fault[] = []
  for (const [index, content] of text.split('\n').entries()) {
    const [line, name] = [index + 1, content.startsWith('#') ? undefined : NAME.exec(content)?.[1]]
    if (!LINE.test(content.replace(/\r$/, '')))
      faults.push({
        name,
        line,
        text: `${name ? `the line of ${name}` : 'it'} is not a setting that all readers of the file understand alike`,
        cure:
          `write NAME=value, or NAME='value' when it has other characters than letters, digits and %+,-./:=@_~; ` +
          `NAME="value" (without $ \` \\ in it) for one with a '`,
      })
    else if (name !== undefined && lines.has(name))
      faults.push({
        line,
        text: `it sets ${name} again (first on line ${lines.get(name)})`,
        cure: 'keep one of the two',
      })
    if (name !== undefined && !lines.has(name)) lines.set(name, line)
  }
  return { lines, faults }
}

/**
 * The settings that may be missing. Of NGINX_BIND only an empty one means every address: without the line
 * docker-compose.yml takes that of this machine alone.
 */
const OPTIONAL = new Set(
  Object.entries(ENTRIES).flatMap(([name, { type }]) => (type === 'optional' && name !== 'NGINX_BIND' ? [name] : [])),
)

const missing = (lines: ReadonlyMap<string, number>, example: string): Fault[] =>
  [...linesOf(example).lines]
    .filter(([name]) => !lines.has(name) && !OPTIONAL.has(name))
    .map(([name, line]) => ({ name, text: `has no ${name}`, cure: `see line ${line} of .env.example, and add it` }))

const aliasFaults = (texts: Texts): Fault[] => {
  const alias = texts
    .get('WHOST_ALIASES')
    ?.split(',')
    .find(it => it === texts.get('WHOST') || it === 'localhost')
  return alias === undefined
    ? []
    : [
        {
          name: 'WHOST_ALIASES',
          text: `WHOST_ALIASES has ${alias}, which is no other name of the site`,
          cure: 'take it out',
        },
      ]
}

const pairFaults = (texts: Texts): Fault[] =>
  PAIRS.flatMap(({ name, secret, other }) => {
    const [named, given] = [texts.get(name), texts.get(secret)]
    if ((named === undefined) !== (given === undefined))
      return [
        {
          text: `has ${named ? name : secret}, but no ${named ? secret : name}`,
          cure: 'the two go together: set both or none',
        },
      ]
    if (named !== undefined && named === texts.get(other))
      return [
        {
          name,
          text: `${name} is ${other}, too`,
          cure: 'give it another name: what the app has must not be the administrator',
        },
      ]
    return []
  })

const isPublic = (texts: Texts) => ![undefined, 'localhost'].includes(texts.get('WHOST'))

const secretFaults = (texts: Texts): Fault[] =>
  SECRETS.filter(name => isPublic(texts) && texts.get(name)?.startsWith('change-me')).map(name => ({
    name,
    text: `${name} is still the example's, and the site is public (WHOST)`,
    cure: 'set one: openssl rand -hex 32',
  }))

/** Where an empty line is not the same as none. */
const EMPTY_COUNTS = new Set(['HOOKS_DIR'])

/** All faults in one error: whoever moves a site here would otherwise learn of one at a time. */
const refusal = (faults: Fault[]) => {
  const told = new Set<string>()
  const first = faults.filter(({ name }) => name === undefined || (!told.has(name) && told.add(name)))
  const sorted = first.toSorted((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity))
  const [only] = sorted
  const where = ({ line }: Fault, whole: string) => (line === undefined ? whole : `line ${line}:`)
  if (only && sorted.length === 1)
    return badConfig(['.env', where(only, ''), only.text].filter(Boolean).join(' '), only.cure)
  const rows = sorted.map(it => `  ${where(it, 'it')} ${it.text}${it.cure === undefined ? '' : ` → ${it.cure}`}`)
  return badConfig(`.env has ${sorted.length} faults:\n${rows.join('\n')}`, 'correct them, then run this again')
}

/** Checks the text of .env against .env.example. Throws a Failure (78) that tells all that is missing or malformed. */
export function readSettings(text: string, example: string): Settings {
  const { lines, faults } = linesOf(text)
  const texts = textsOf(text)
  const valueOf = (name: string) => [
    name,
    texts.get(name) ?? (EMPTY_COUNTS.has(name) && lines.has(name) ? '' : undefined),
  ]
  const result = v.safeParse(SCHEMA, Object.fromEntries(Object.keys(ENTRIES).map(valueOf)))
  const malformed = (result.issues ?? []).map((issue): Fault => {
    const name = v.getDotPath(issue) ?? undefined
    return { name, text: `${name} is not ${issue.message}` }
  })
  const all = [
    ...faults,
    ...missing(lines, example),
    ...malformed,
    ...aliasFaults(texts),
    ...pairFaults(texts),
    ...secretFaults(texts),
  ]
  if (all.length > 0 || !result.success)
    throw refusal(all.map(it => ({ line: it.name === undefined ? undefined : lines.get(it.name), ...it })))
  return { ...result.output, texts }
}

/** .env.example: what a .env is made of, and held against. */
export function readExample() {
  return readFileSync(join(root, '.env.example'), 'utf8')
}

/** The settings of this checkout. Throws (78) when .env is missing, or a setting in it. */
export function loadSettings(): Settings {
  const file = join(root, '.env')
  if (!existsSync(file))
    throw badConfig(`there is no ${file}`, `cp ${join(root, '.env.example')} ${file}, and change what is yours`)
  return readSettings(readFileSync(file, 'utf8'), readExample())
}

/** What stands in .env, unchecked: a laptop's may have a few lines alone. */
export function uncheckedTexts(): Texts {
  return textsOf(readOrEmpty(join(root, '.env')))
}
