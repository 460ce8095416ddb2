// What becomes of the .env of the bash scripts: kept, renamed, corrected, made or dropped, each with the reason.
// Long, since it is the table of them.
import { formFault, SECRETS, writeValue } from '../system/settings.ts'
import { isSecretName } from '../docker/build_settings.ts'
import type { Lines } from '../system/env_file.ts'
import { newSecret } from './make_settings.ts'

export interface Change {
  /** the name that it has, or had */
  name: string
  kind: 'kept' | 'renamed' | 'corrected' | 'made' | 'dropped' | 'wrong'
  /** what it is now; absent when it is dropped, or wrong */
  value?: string
  /** what it was, under this name or its former one; absent when it had none */
  was?: string
  /** why, or what it was called before */
  why?: string
}

/** What the old site says of itself besides its .env. */
export interface OldSite {
  /** the settings as its Compose read them */
  settings: ReadonlyMap<string, string>
  /** the images that its repositories ask for, and why; absent where those of .env.example will do */
  images: Readonly<Record<string, { image: string; why: string }>>
  /** nginx can listen on IPv6 here */
  ipv6: boolean
}

/** Extend it by a line: the name, or how it begins, and the reason. */
const DROPPED: [RegExp, string][] = [
  [/^PGPASSWORD$/, "no password is needed inside the database's container"],
  [/^NUXT_BUILD_DIR$/, 'an image has its build in a place of its own'],
  [/^(NODE_ENV|MIX_ENV)$/, 'the images are built for production, whatever stands here'],
  [/^NODE_OPTIONS$/, 'the recipes set what an old webpack needs'],
  [/^DISPLAY$/, 'nothing here draws on a screen'],
  [/^PGADMIN_/, 'there is no pgAdmin in this stack: tsx scripts/psql.ts'],
  [/^(COMPOSE|DOCKER|BUILDKIT)_(?!PROJECT_NAME$)/, 'it is for the Compose of the old stack'],
  [/^MINIO_/, 'phoenix is given the key of the files as AWS_ACCESS_KEY_ID'],
]

/** The two names of the key and its secret, the one that phoenix used first. */
const KEYS = [
  ['MINIO_ACCESS_KEY', 'MINIO_SECRET_KEY'],
  ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'],
  ['MINIO_ROOT_USER', 'MINIO_ROOT_PASSWORD'],
] as const

/** The names of the key that phoenix used for the files, and of its secret; undefined when it had none. */
export function fileKeyOf(old: ReadonlyMap<string, string>) {
  return KEYS.find(names => names.every(name => old.get(name)))
}

const isPlaceholder = (value: string) => /^(X{3,}|required|change-me.*)$/.test(value)

const keyChanges = (old: ReadonlyMap<string, string>): [id: Change, secret: Change] => {
  const [id, secret] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] as const
  const pair = fileKeyOf(old)
  const [user = '', password = ''] = (pair ?? []).map(name => old.get(name)!)
  const fits = pair && ![formFault(id, user), formFault(secret, password)].some(Boolean) && !isPlaceholder(password)
  if (!fits) {
    const why = pair
      ? 'the store of files here is a new one, and minio takes no such key'
      : 'the store of files here is a new one'
    return [
      { name: id, kind: 'made', value: 'avril', why },
      { name: secret, kind: 'made', value: newSecret(), why },
    ]
  }
  const kept = pair[0] === id
  const change = (name: string, before: string, value: string): Change =>
    kept
      ? { name, kind: 'kept', value, was: value }
      : { name, kind: 'renamed', value, was: value, why: `was ${before}` }
  return [change(id, pair[0], user), change(secret, pair[1], password)]
}

/** The names that the apps' own role and the administrator of the files get, with secrets of their own. */
const ownKeys = (old: ReadonlyMap<string, string>, key: string | undefined): Change[] => {
  const role = `${(old.get('POSTGRES_USER') ?? 'avril').slice(0, 59)}_app`
  const root = key === 'avril_root' ? 'avril_admin' : 'avril_root'
  return [
    ['POSTGRES_APP_USER', role, 'phoenix logs in as a role that is not a superuser'],
    ['POSTGRES_APP_PASSWORD', newSecret(), 'the password of that role'],
    ['MINIO_ROOT_USER', root, 'the administrator of the files, which the app is not'],
    ['MINIO_ROOT_PASSWORD', newSecret(), 'his secret'],
  ].map(([name = '', value = '', why = '']) => ({ name, kind: 'made', value, why }))
}

/** PostgreSQL's major version, which the archive needs. */
const LEAST_OF_ARCHIVE = 18

type Rule = (was: string | undefined, site: OldSite) => Omit<Change, 'name' | 'was'> | undefined

const hostOf = ({ settings }: OldSite) => (settings.get('WHOST') ?? 'localhost').replace(/:\d+$/, '').toLowerCase()
const isPublic = (site: OldSite) => hostOf(site) !== 'localhost'
/** PostgreSQL's major version in the tag of an image; undefined when that does not tell it. */
const majorOf = (image = '') => {
  const [, major] = /:(\d+)[^/]*$/.exec(image) ?? []
  return major === undefined ? undefined : Number(major)
}
const corrected = (value: string, why: string) => ({ kind: 'corrected', value, why }) as const
const made = (value: string, why: string) => ({ kind: 'made', value, why }) as const

/** What is more than "kept as it was" or "as in .env.example"; a rule that gives nothing leaves it at that. */
const RULES: Record<string, Rule> = {
  COMPOSE_PROJECT_NAME: was =>
    corrected(
      (was ?? 'avril') === 'avril-site' ? 'avril' : 'avril-site',
      "another name than the old stack's, whose containers Compose would take for its own",
    ),
  WHOST: (was, site) => (was && was !== hostOf(site) ? corrected(hostOf(site), 'the name alone') : undefined),
  NGINX_PORT: was => {
    const port = was?.match(/^(?:.*:)?(\d+)(?::80(?:\/tcp)?)?$/)?.[1]
    return port !== undefined && port !== was ? corrected(port, 'the port alone; NGINX_BIND says where') : undefined
  },
  NGINX_BIND: (_, site) => {
    if (!isPublic(site)) return undefined
    return made(site.ipv6 ? '' : '0.0.0.0', 'a public site: every address of the machine')
  },
  NETWORK_IPV6: (_, site) =>
    isPublic(site) && site.ipv6 ? made('true', 'nginx sees the address of each visitor by IPv6, too') : undefined,
  CLIENT_TO_PHOENIX_URL: (was, site) =>
    isPublic(site) && (!was || /\/\/localhost\b/.test(was))
      ? corrected(`https://${hostOf(site)}`, 'the address that browsers know')
      : undefined,
  SERVER_TO_PHOENIX_URL: was =>
    was && /^https?:\/\/(phoenix|nginx)(:\d+)?\/?$/.test(was) && was !== 'http://nginx:8080'
      ? corrected('http://nginx:8080', 'through nginx, which knows the live instance')
      : undefined,
  POSTGRES_HOST: was =>
    was && was !== 'postgres' ? corrected('postgres', 'the database is a service of this stack') : undefined,
  BUCKET_NAME: was => (was && !isPlaceholder(was) ? undefined : made('avril', 'the old .env names none')),
  WAL: (was, { settings }) => {
    if (was === 'on' || was === 'off') return undefined
    if ((majorOf(settings.get('POSTGRES_IMAGE')) ?? LEAST_OF_ARCHIVE) < LEAST_OF_ARCHIVE)
      return made(
        'off',
        `to bring any moment back PostgreSQL ${LEAST_OF_ARCHIVE} is needed, and POSTGRES_IMAGE is older`,
      )
    return made(
      'on',
      'what is written to the database is kept as it is written, so that any moment can be brought back',
    )
  },
  POSTGRES_DB: was => (was ? undefined : made('avril', 'the old .env names none')),
  POSTGRES_PASSWORD: was => (was && !isPlaceholder(was) ? undefined : made(newSecret(), 'the old .env has none')),
  SECRET_KEY_BASE: was =>
    was && !isPlaceholder(was) ? undefined : made(newSecret(), 'the old .env has none; visitors log in again'),
}

const changeOf = (name: string, site: OldSite): Change | undefined => {
  const was = site.settings.get(name)
  const before = was === undefined ? {} : { was }
  const dropped = DROPPED.find(([form]) => form.test(name))
  if (was !== undefined && dropped) return { name, ...before, kind: 'dropped', why: dropped[1] }
  const image = Object.hasOwn(site.images, name) ? site.images[name] : undefined
  if (image) return { name, ...before, kind: 'made', value: image.image, why: image.why }
  const ruled = Object.hasOwn(RULES, name) ? RULES[name]?.(was, site) : undefined
  if (ruled) return { name, ...before, ...ruled }
  if (was === undefined || was === '') return undefined
  if (!/^[A-Za-z_]\w*$/.test(name))
    return { name, was, kind: 'wrong', why: 'a name here has letters, digits and _ alone' }
  const fault = formFault(name, was)
  if (fault) return { name, was, kind: 'wrong', why: `it is not ${fault}` }
  if (writeValue(was) !== undefined) return { name, was, kind: 'kept', value: was }
  const why = 'no reader of such files would understand it alike: it has a line end, or both \' and one of " $ ` \\'
  return { name, was, kind: 'wrong', why }
}

/** What becomes of each setting of an old site, those of its own file first, then what is added. */
export function convertSettings(site: OldSite): Change[] {
  const keys = keyChanges(site.settings)
  const set = new Set<string>([...KEYS.flat(), 'POSTGRES_APP_USER', 'POSTGRES_APP_PASSWORD'])
  const named = new Set([...site.settings.keys(), ...Object.keys(RULES), ...Object.keys(site.images)])
  const others = [...named].filter(name => !set.has(name)).map(name => changeOf(name, site))
  return [...others.filter(it => it !== undefined), ...keys, ...ownKeys(site.settings, keys[0].value)]
}

/** The settings of the new .env, as their lines have them. */
export function linesOfChanges(changes: Change[]): Lines {
  const lines: Record<string, string> = {}
  for (const { name, value } of changes) {
    const written = value === undefined ? undefined : writeValue(value)
    if (written !== undefined) lines[name] = written
  }
  return lines
}

// Any other may hold an address with a password, or be a secret that its name does not tell.
const SHOWN = new Set([...Object.keys(RULES), 'PHOENIX_BASE_IMAGE', 'NUXT_BASE_IMAGE', 'POSTGRES_APP_USER'])

/** A value as a person may see it. */
export function withoutSecret(name: string, value: string) {
  const shown = SHOWN.has(name) && !isSecretName(name) && !(SECRETS as readonly string[]).includes(name)
  return shown ? value : '(not shown)'
}
