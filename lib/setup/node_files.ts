// What a web node of a Swarm has of this machine: nginx's files, its certificate, and what the registry knows it by.
import { X509Certificate } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { composeConfig } from '../docker/commands.ts'
import { composeFiles } from '../docker/release_pins.ts'
import { CERTIFICATES } from '../docker/swarm.ts'
import { configOf, type StackConfig } from '../docker/stack_config.ts'
import { NO_CONNECTION, ssh, unreachable } from '../ssh/commands.ts'
import { certificateFolder } from '../crypto/certificate_pair.ts'
import { root } from '../system/checkout.ts'
import { attempt, capture, failureOf, type RunOptions } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
import { stateFile } from '../system/state_folder.ts'

/** Those of who has signed the others, of the registry itself, and of the nodes. */
const AUTHORITY = join(CERTIFICATES, 'authority')
const REGISTRY = join(CERTIFICATES, 'registry')
const NODE = join(CERTIFICATES, 'node')

const YEARS = String(3650)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

const sign = async (folder: string, name: string, extension: string, usage: string) => {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.crt`)]
  const request = join(folder, 'request')
  await capture(['openssl', 'req', '-new', ...KEY, '-keyout', key, '-out', request, '-subj', `/CN=avril ${name}`])
  const authority = ['-CA', join(AUTHORITY, 'ca.crt'), '-CAkey', join(AUTHORITY, 'ca.key'), '-CAcreateserial']
  const extensions = join(folder, 'extensions')
  writeFileSync(extensions, `${extension}\nextendedKeyUsage=${usage}\n`)
  const words = ['openssl', 'x509', '-req', '-in', request, ...authority, '-days', YEARS, '-out', certificate]
  await capture([...words, '-extfile', extensions])
  for (const file of [request, extensions]) rmSync(file)
}

/**
 * Makes the certificates of the registry at an address, when there are none for it: the nodes know it by them, and it
 * the nodes. They are for nothing else, so their authority is one of their own.
 */
export async function makeCertificates(address: string) {
  const former = [join(NODE, 'node.crt'), join(REGISTRY, 'registry.crt')]
  if (former.every(existsSync) && new X509Certificate(readFileSync(former[1]!)).checkIP(address)) return
  rmSync(CERTIFICATES, { recursive: true, force: true })
  for (const folder of [CERTIFICATES, AUTHORITY, REGISTRY, NODE]) mkdirSync(folder, { mode: 0o700 })
  const [key, certificate] = [join(AUTHORITY, 'ca.key'), join(AUTHORITY, 'ca.crt')]
  const subject = ['-subj', '/CN=avril registry', '-days', YEARS]
  await capture(['openssl', 'req', '-x509', ...KEY, '-keyout', key, '-out', certificate, ...subject])
  await sign(REGISTRY, 'registry', `subjectAltName=IP:${address}`, 'serverAuth')
  await capture(['cp', certificate, REGISTRY])
  // Last: it tells that the others are whole.
  await sign(NODE, 'node', 'basicConstraints=CA:FALSE', 'clientAuth')
}

/** Removes those of the registry at an address: another one would need its own. */
export function dropCertificates(address: string) {
  for (const folder of [CERTIFICATES, join(TRUSTED, `${address}:5000`)])
    rmSync(folder, { recursive: true, force: true })
}

/** where an engine looks for what it knows registries by */
const TRUSTED = '/etc/docker/certs.d'

/**
 * Has an engine know the registry, and be known by it: Docker looks there at each push and pull, and is not restarted.
 */
const TRUST = `set -eu; umask 077; folder=${TRUSTED}/$1:5000; mkdir -p "$folder"; cd "$folder"
tar -xf -; mv -f node.key client.key; mv -f node.crt client.cert`

const withArchive = async <T>(words: string[], work: (from: number) => Promise<T>) => {
  const file = stateFile(`node-${process.pid}.tar`)
  rmSync(file, { force: true })
  const to = openSync(file, 'wx+', 0o600)
  // Without a name: whoever is killed here leaves no copy of a key behind.
  rmSync(file)
  try {
    await capture(['tar', '--create', '--file', '-', ...words], { to })
    const from = openSync(`/proc/self/fd/${to}`, 'r')
    try {
      return await work(from)
    } finally {
      closeSync(from)
    }
  } finally {
    closeSync(to)
  }
}

/** Runs a script of sh there, or here where no host is named. Throws a Failure. */
export async function runOn(
  host: string | undefined,
  what: string,
  script: string,
  words: string[],
  options: Pick<RunOptions, 'from' | 'signal'> = {},
) {
  const command =
    host === undefined ? ['sh', '-c', script, 'sh', ...words] : ssh(host, { batch: true }, script, ...words)
  const outcome = await attempt(command, options)
  if (host !== undefined && outcome.code === NO_CONNECTION) throw unreachable(host, outcome.stderr)
  if (outcome.code !== 0) throw failureOf([], outcome, { what: host === undefined ? what : `${what} on ${host}` })
  return outcome.stdout.trim()
}

/** Has the engine of a host (without one: this machine's) take images from the registry at an address. */
export async function trustRegistry(address: string, host?: string) {
  const words = ['-C', NODE, 'node.crt', 'node.key', '-C', REGISTRY, 'ca.crt']
  await withArchive(words, from => runOn(host, 'the certificate of the registry', TRUST, [address], { from }))
}

/** Removes from a machine that was a node what others must not have: the keys of the registry, and of the site. */
export async function dropSecrets(host: string) {
  const settings = loadSettings()
  const words = [`/etc/docker/certs.d/${settings.SWARM}:5000`, resolve(root, certificateFolder(settings))]
  await runOn(host, 'removing the certificates', 'rm -rf -- "$@"', words)
}

// Without it 15 minutes: so long an agent of the Swarm goes on telling a manager that is gone what has become of its
// tasks.
const FORGET = `set -eu; file=/etc/sysctl.d/60-avril-swarm.conf; mkdir -p /etc/sysctl.d
echo 'net.ipv4.tcp_retries2 = 6' >"$file"; echo 6 >/proc/sys/net/ipv4/tcp_retries2`

/** Has the kernel of a host (without one: this machine's) end a connection when nobody has answered for 25 s. */
export async function endDeadConnections(host?: string) {
  await runOn(host, 'how long a connection to a lost machine is kept', FORGET, [])
}

// What is no longer here stays there: nothing reads it, but for the scripts and styles of former releases. `live` is
// what nginx here is told.
const UNPACK = `set -eu; mkdir -p "$1/nginx/live"; cd /; tar -xpf - --no-same-owner`

/** Where nginx's files lie: all that its container only reads. What it writes, its logs, stays where it is. */
export function nginxPaths({ services }: StackConfig) {
  const mounted = (services.nginx?.volumes ?? []).filter(({ read_only }) => read_only === true)
  return [join(root, 'nginx'), ...mounted.map(({ source = '/dev/null' }) => source)]
    .map(path => resolve(root, path))
    .filter(path => path !== '/dev/null' && existsSync(path))
}

/** Brings nginx's files to a host, to where they lie here. */
export async function sendNginx(host: string) {
  const config = configOf(await attempt(composeConfig(composeFiles())))
  const words = [
    '-C',
    '/',
    `--exclude=${join(root, 'nginx', 'live').slice(1)}/*`,
    ...new Set(nginxPaths(config).map(path => path.slice(1))),
  ]
  await withArchive(words, from => runOn(host, "nginx's files", UNPACK, [root], { from }))
}
