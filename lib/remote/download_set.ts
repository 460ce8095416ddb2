// Brings the database of a backup set from a server to db/dumps here: in pieces if need be, checked against its
// manifest, then published.
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { basename, join } from 'node:path'
import { DUMP, fileOf, MANIFEST, type Manifest, rolesFile } from '../backup/manifest.ts'
import { freeSpace } from '../system/disk_space.ts'
import type { Key } from '../crypto/age.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { readOrEmpty, replaceFile, sync } from '../system/files.ts'
import { type Host, scriptThere } from './host.ts'
import { decryptInto } from '../backup/decrypt_set.ts'
import { digest } from '../system/large_files.ts'
import { DUMPS } from '../postgres/dumps_folder.ts'
import { publishDump } from '../backup/publish_dump.ts'
import * as v from 'valibot'
import { readJson } from '../system/schema.ts'
import { attempt, failureOf } from '../system/run.ts'
import { say } from '../system/progress.ts'
import { size } from '../system/format.ts'
import { sleep } from '../system/signals.ts'
import { NO_CONNECTION } from '../ssh/commands.ts'

const BEGUN = v.object({ host: v.string(), set: MANIFEST })

const PREFIX = '.download-'
const DAY = 86_400_000

/** tries in a row that bring nothing, and milliseconds between them */
const TRIES = 4
const PAUSE = 2000

const folderOf = ({ name }: Manifest) => join(DUMPS, PREFIX + name)

const left = () =>
  (existsSync(DUMPS) ? readdirSync(DUMPS) : []).filter(name => name.startsWith(PREFIX)).map(name => join(DUMPS, name))

/**
 * A download from this host that was cut less than a day ago; what else is left of downloads is removed. Only under the
 * lock.
 */
export function cutDownload(host: Host): Manifest | undefined {
  let found: Manifest | undefined
  for (const folder of left()) {
    const { value: begun } = readJson(BEGUN, readOrEmpty(join(folder, 'begun.json')))
    if (
      !found &&
      begun?.host === host.name &&
      basename(folder) === PREFIX + begun.set.name &&
      Date.now() - statSync(folder).mtimeMs < DAY
    )
      found = begun.set
    else rmSync(folder, { recursive: true, force: true })
  }
  return found
}

const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0

/** Brings what is missing of a file; gives the exit code of the other side and what it wrote. */
const fetchRest = async (host: Host, set: Manifest, name: string, file: string) => {
  const to = openSync(file, 'a', 0o600)
  const command = scriptThere(host, false, {}, 'backup', ['--send', name, '--from', String(sizeOf(file)), set.name])
  const progress = say.transfer(() => sizeOf(file), set.files[name]?.bytes)
  try {
    return { command, outcome: await attempt(command, { to }) }
  } finally {
    progress.end()
    closeSync(to)
  }
}

const fetchFile = async (host: Host, set: Manifest, name: string, file: string) => {
  const { bytes = 0, sha256 } = set.files[name] ?? {}
  if (sizeOf(file) > bytes) truncateSync(file)
  for (let idle = 0; sizeOf(file) < bytes;) {
    const before = sizeOf(file)
    const { command, outcome } = await fetchRest(host, set, name, file)
    if (sizeOf(file) >= bytes) break
    if (outcome.code !== NO_CONNECTION && outcome.code !== 0)
      throw failureOf(command, outcome, { what: `backup.ts --send on ${host.name}` })
    idle = sizeOf(file) > before ? 0 : idle + 1
    if (idle >= TRIES) throw cut(host, file, bytes)
    say.warn(`the connection was cut at ${size(sizeOf(file))} of ${size(bytes)}: going on`)
    await sleep(PAUSE)
  }
  sync(file)
  if ((await digest(file)).sha256 === sha256) return
  rmSync(file)
  throw new Failure(`${name} of ${set.name} did not arrive as it is on ${host.name}: its sha256 is another`, {
    exitCode: EXIT.data,
    hint: 'nothing was replaced here; run it again',
  })
}

const cut = ({ name }: Host, file: string, bytes: number) =>
  new Failure(`${name} can no longer be reached; ${size(sizeOf(file))} of ${size(bytes)} have come`, {
    exitCode: EXIT.unreachable,
    hint: 'nothing was replaced here; run it again within a day: it goes on where it stopped',
  })

// Beside what was brought, so that it is swept with it.
const decrypt = async (set: Manifest, key: Key, folder: string) => {
  for (const name of [DUMP, rolesFile(set)]) {
    rmSync(join(folder, name), { force: true })
    await decryptInto({ ...set, folder }, key, name, folder)
  }
}

/**
 * Brings a set's dump and its roles, decrypts them with a key, and publishes them in db/dumps under a name. Throws a
 * Failure: 69 when the connection is gone for good, 65, 74.
 */
export async function downloadSet(host: Host, set: Manifest, name: string, key: Key | undefined) {
  const folder = folderOf(set)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  replaceFile(
    join(folder, 'begun.json'),
    JSON.stringify({ host: host.name, set } satisfies v.InferInput<typeof BEGUN>),
    0o600,
  )
  const files = [DUMP, rolesFile(set)].flatMap(file => fileOf(set, file)?.name ?? [])
  // Once as it comes, once decrypted, once where it is published.
  const copies = key ? 3 : 2
  const wanted = files.reduce(
    (sum, name) => sum + copies * (set.files[name]?.bytes ?? 0) - sizeOf(join(folder, name)),
    0,
  )
  if (freeSpace(DUMPS) < wanted)
    throw new Failure(`${DUMPS} has ${size(freeSpace(DUMPS))} left, and ${size(wanted)} are needed`, {
      exitCode: EXIT.noSpace,
      hint: 'nothing was replaced; free some space there, then run it again',
    })
  for (const file of files) await fetchFile(host, set, file, join(folder, file))
  if (key) await decrypt(set, key, folder)
  publishDump(set, folder, name)
  rmSync(folder, { recursive: true, force: true })
  return join(DUMPS, `${name}.dump`)
}
