// The machine of the old site: this one, or another one that is reached by ssh. Of another one, what is small is copied
// here and read as if it were this one's; its engine is reached through a forwarded socket.
// Long, since nothing else knows whether the old site is here or elsewhere.
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { docker } from '../docker/commands.ts'
import { HOST, NO_CONNECTION, ssh, unreachable } from '../ssh/commands.ts'
import { forward } from '../ssh/engines.ts'
import { badConfig, EXIT, usage } from '../system/errors.ts'
import { attempt, capture, failureOf } from '../system/run.ts'
import { namesInFolder } from '../system/files.ts'
import { isAlive } from '../system/processes.ts'
import { say } from '../system/progress.ts'
import { type Disposable, Scope } from '../system/scope.ts'
import { sleep } from '../system/signals.ts'
import { stateFile, statePath } from '../system/state_folder.ts'

export interface OldMachine extends Disposable {
  /** for people: the folder of the old checkout, with its host before it when that is not this machine */
  name: string
  /** as ssh knows it; undefined on this machine */
  host: string | undefined
  /** its Docker engine (RunOptions); undefined on this machine */
  engine: string | undefined
  /** of the old checkout, as the machine itself calls it */
  folder: string
  /** the folder in which its file system begins here, or a copy of what is read of it */
  top: string
}

// What the readers of an old site look at: plain files that are small, and what a link leads to.
const COLLECT = `cd / && { [ -d "$1" ] || { echo "there is no folder $1" >&2; exit 78; }; }
[ ! -e "$1/.env" ] || [ -r "$1/.env" ] || { echo "$1/.env cannot be read by $(id -un)" >&2; exit 78; }
beside=$(dirname "$1")
find -L "$1/.env" "$1/docker-compose.override.yml" "$1/mix.exs" \
  "$beside/avril-profil/package.json" "$beside/avril-livret1/package.json" \
  /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/systemd/system \
  /var/spool/cron /var/spool/cron/crontabs -maxdepth 1 -type f -size -1000k 2>/dev/null |
  sed 's|^|.|' | sort -u | tar --create --dereference --ignore-failed-read --files-from -`

// Only what was read is replaced, and only by what was sent as a whole: a lost line ends the input, too. A table of
// cron is taken up when its folder has changed, too, and cron reads no name with a dot.
const REPLACE = `sum() { sha256sum <"$1" | cut -c 1-64; }
[ ! -L "$1" ] && [ "$(sum "$1")" = "$2" ] || { echo 'it was changed meanwhile, or is a link' >&2; exit 1; }
cp -p "$1" "$1.avril" && cat >"$1.avril" && [ "$(sum "$1.avril")" = "$3" ] && mv "$1.avril" "$1" || {
  rm -f "$1.avril"; exit 1
}`

const ARCHIVE = 'files.tar'

const isBatch = () => process.stdin.isTTY !== true

const fetchFiles = async (host: string, folder: string, top: string) => {
  const archive = join(top, ARCHIVE)
  const to = openSync(archive, 'wx', 0o600)
  try {
    const outcome = await attempt(ssh(host, { batch: isBatch() }, COLLECT, folder), { asks: true, to })
    if (outcome.code === NO_CONNECTION) throw unreachable(host, outcome.stderr)
    if (outcome.code === EXIT.config)
      throw badConfig(
        `${host}: ${outcome.stderr.trim()}`,
        'name the folder of the old checkout, the one with its docker-compose.yml',
      )
    if (outcome.code !== 0)
      throw failureOf([], outcome, { what: `reading ${folder} on ${host}`, hint: 'nothing was touched' })
  } finally {
    closeSync(to)
  }
  const words = ['--extract', '--no-same-owner', '--no-same-permissions', '--file', archive, '--directory', top]
  await capture(['tar', ...words], { what: `unpacking what ${host} has sent` })
}

const freePort = () =>
  new Promise<number>(done => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => done(port))
    })
  })

/** Carries a port of this machine to an address there; gives it, until it is disposed of. */
export async function forwardPort(host: string, address: string) {
  const port = await freePort()
  const held = await forward(host, `127.0.0.1:${port}`, address, `${address} on ${host}`)
  return { ...held, port }
}

const COPIES = /^old-machine-(\d+)-\d+$/
let copies = 0

/** A folder for what is copied, which has secrets in it; those of processes that were killed are removed. */
const copyFolder = () => {
  const path = stateFile(`old-machine-${process.pid}-${(copies += 1)}`)
  for (const name of namesInFolder(dirname(path))) {
    const pid = COPIES.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(statePath(name), { recursive: true, force: true })
  }
  mkdirSync(path, { mode: 0o700 })
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) }
}

const openHere = (folder: string): OldMachine => ({
  name: folder,
  host: undefined,
  engine: undefined,
  folder,
  top: '/',
  dispose: () => {},
})

const partsOf = (from: string) => {
  const [, host, folder = ''] = /^([^/]*[^/:]):(.*)$/.exec(from) ?? []
  return { host, folder: host === undefined ? resolve(from) : folder }
}

/** What a place as it was typed is called (OldMachine.name). */
export function oldMachineName(from: string) {
  const { host, folder } = partsOf(from)
  return host === undefined ? folder : `${host}:${folder}`
}

/**
 * Opens the machine of a place as it was typed: a folder, or host:folder as scp has it. Throws a Failure: 64 for what
 * is neither, 69 when the host cannot be reached, 78 when it has no such folder.
 */
export async function openOldMachine(from: string): Promise<OldMachine> {
  const { host, folder } = partsOf(from)
  if (host === undefined) return openHere(folder)
  if (!HOST.test(host) || !/^\/[^\n]*[^/\n]$/.test(folder))
    throw usage(
      `${JSON.stringify(from)} is neither a folder nor host:/folder`,
      'as in root@old.example.org:/home/docker/avril: a host that ssh knows, and the whole path there',
    )
  const scope = new Scope()
  try {
    const top = scope.use(copyFolder()).path
    // ssh takes an address of IPv6 without the brackets that scp wants.
    const target = host.replaceAll(/[[\]]/g, '')
    await fetchFiles(target, folder, top)
    const sockets = mkdtempSync(join(tmpdir(), 'avril-'))
    scope.use({ dispose: () => rmSync(sockets, { recursive: true, force: true }) })
    const socket = join(sockets, 'docker')
    scope.use(await forward(target, socket, '/var/run/docker.sock', `Docker on ${host}`))
    const engine = `unix://${socket}`
    await proveEngine(host, engine)
    return { name: oldMachineName(from), host: target, engine, folder, top, dispose: () => scope.dispose() }
  } catch (error) {
    await scope.dispose()
    throw error
  }
}

/** Whether the engine of a machine answers; throws a Failure (69) otherwise. */
const proveEngine = (host: string, engine: string) =>
  capture(docker('version', '--format', '{{.Server.Version}}'), {
    engine,
    what: `asking Docker on ${host}`,
    exitCode: EXIT.unreachable,
    hint: `may this user use Docker there (ssh ${host} docker ps), by /var/run/docker.sock?`,
  })

/** How often, and how many milliseconds apart, a machine is looked for that was lost. */
const [TRIES, PAUSE] = [20, 15_000]

/** The same machine; when the line to it was lost, by a new one. Throws a Failure (69) when it does not come back. */
export async function reopened(machine: OldMachine): Promise<OldMachine> {
  const { host, engine, name } = machine
  if (host === undefined || engine === undefined) return machine
  for (let tried = 0; ; tried += 1)
    try {
      if (tried > 0) return await openOldMachine(name)
      await proveEngine(host, engine)
      return machine
    } catch (error) {
      if (tried === 0) say.warn(`the line to ${host} is lost; trying to reach it again`)
      if (tried >= TRIES) throw error
      if (tried > 0) await sleep(PAUSE)
    }
}

/** Runs a shell script on another machine, with what it reads; gives its output. Throws a Failure. */
export async function runScriptOn(host: string, what: string, script: string, words: string[], input?: string) {
  const outcome = await attempt(ssh(host, { batch: true }, script, ...words), input === undefined ? {} : { input })
  if (outcome.code === NO_CONNECTION) throw unreachable(host, outcome.stderr)
  if (outcome.code !== 0) throw failureOf([], outcome, { what: `${what} on ${host}` })
  return outcome.stdout
}

const sumOf = (text: string) => createHash('sha256').update(text).digest('hex')

/**
 * Has the machine itself get files that were changed in its copy. Throws a Failure, and then that file is as it was.
 */
export async function sendBack({ host, top }: OldMachine, files: string[]) {
  if (host === undefined) return
  for (const file of files) {
    const words = ['--extract', '--to-stdout', '--file', join(top, ARCHIVE), `.${file}`]
    const { stdout: before } = await attempt(['tar', ...words])
    const text = readFileSync(join(top, file), 'utf8')
    await runScriptOn(host, `changing ${file}`, REPLACE, [file, sumOf(before), sumOf(text)], text)
  }
}
