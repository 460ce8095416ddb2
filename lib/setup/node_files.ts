// What a node of a Swarm has of this machine: the registry's certificates, a setting of its kernel, an entry of cron.
import { X509Certificate } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CERTIFICATES } from '../docker/swarm.ts'
import { NO_CONNECTION, ssh, unreachable } from '../ssh/commands.ts'
import { certificateFolder } from '../crypto/certificate_pair.ts'
import { root } from '../system/checkout.ts'
import { attempt, capture, failureOf, type RunOptions } from '../system/run.ts'
import { loadSettings } from '../system/settings.ts'
import { stateFile } from '../system/state_folder.ts'
import { cronFile, nodeCronText } from './cron.ts'

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
  for (const folder of [CERTIFICATES, trustOf(address)]) rmSync(folder, { recursive: true, force: true })
}

/** where an engine looks for what it knows registries by */
const TRUSTED = '/etc/docker/certs.d'
const trustOf = (address: string) => join(TRUSTED, `${address}:5000`)

/**
 * Has an engine know the registry, and be known by it: Docker looks there at each push and pull, and is not restarted.
 */
const TRUST = `set -eu; umask 077; folder=${TRUSTED}/$1:5000; mkdir -p "$folder"; cd "$folder"
tar -xf -; mv -f node.key client.key; mv -f node.crt client.cert`

/** Gives what tar makes of these words to `work`, as an open file without a name. */
export async function withArchive<T>(words: string[], work: (from: number) => Promise<T>) {
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
  options: Pick<RunOptions, 'from' | 'input' | 'signal'> = {},
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

/**
 * Removes from a host (without one: this machine) what it had as a node, and from another one what it must not have:
 * the keys of the registry, and of the site.
 */
export async function dropFiles(host?: string) {
  const settings = loadSettings()
  const secrets = [trustOf(settings.SWARM ?? ''), resolve(root, certificateFolder(settings))]
  await runOn(host, 'removing what a node has', 'rm -rf -- "$@"', [
    cronFile(settings.COMPOSE_PROJECT_NAME, 'node'),
    SYSCTL,
    ...(host === undefined ? [] : secrets),
  ])
}

// cron reads no file whose name has a dot.
const WRITE = `set -eu; cat >"$1.new"; mv "$1.new" "$1"`

/** Writes the entry of cron of a node (nodeCronText) on a host, without one here. */
export async function installNodeCron(host?: string) {
  const { COMPOSE_PROJECT_NAME: project } = loadSettings()
  await runOn(host, "cron's entry", WRITE, [cronFile(project, 'node')], { input: nodeCronText(project) })
}

const SYSCTL = '/etc/sysctl.d/60-avril-swarm.conf'

// Without it 15 minutes: so long an agent of the Swarm goes on telling a manager that is gone what has become of its
// tasks.
const FORGET = `set -eu; mkdir -p /etc/sysctl.d; echo 'net.ipv4.tcp_retries2 = 6' >"$1"
echo 6 >/proc/sys/net/ipv4/tcp_retries2`

/** Has the kernel of a host (without one: this machine's) end a connection when nobody has answered for 25 s. */
export async function endDeadConnections(host?: string) {
  await runOn(host, 'how long a connection to a lost machine is kept', FORGET, [SYSCTL])
}
