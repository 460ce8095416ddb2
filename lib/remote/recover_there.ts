// A recovery on a new machine, begun on a laptop: what it needs to run is brought there first. The .env goes through
// ssh into a file for its owner alone; the key into the memory of that machine, and onto no disk of it.
import { closeSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readKey } from '../crypto/age.ts'
import { bareAddress } from '../git/login.ts'
import { NO_CONNECTION, ssh, unreachable } from '../ssh/commands.ts'
import { root } from '../system/checkout.ts'
import { badConfig, EXIT, Failure, messageOf, usage } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, type RunOptions, showAttempt } from '../system/run.ts'
import { readExample, readSettings } from '../system/settings.ts'
import { shielded } from '../system/signals.ts'
import { hostPlace } from './host.ts'
import { runThere } from './run_there.ts'

const text = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8')

const readEnv = (file: string) => {
  try {
    const content = readFileSync(file, 'utf8')
    readSettings(content, readExample())
    return content
  } catch (error) {
    if (error instanceof Failure) throw badConfig(`${file}: ${error.message}`, error.hint)
    throw usage(`${file} cannot be read: ${messageOf(error)}`)
  }
}

const saidBy = (said: string, name: 'error' | 'hint') => new RegExp(String.raw`^${name}: (.*)$`, 'm').exec(said)?.[1]

const call = async (host: string, script: string, words: string[], options: RunOptions, run = attempt) => {
  const outcome = await run(ssh(host, { batch: process.stdin.isTTY !== true }, script, ...words), {
    ...options,
    asks: true,
  })
  if (outcome.code === NO_CONNECTION) throw unreachable(host, outcome.stdout + outcome.stderr)
  return outcome
}

/** Sends the commit of this checkout: what is not committed stays here. */
const prepare = async (host: string, folder: string) => {
  const git = (...words: string[]) => ['git', '-C', root, ...words]
  // A folder that is no repository must not be taken for a part of one that it lies in: that would be sent.
  const env = { GIT_CEILING_DIRECTORIES: dirname(realpathSync(root)) }
  const work = mkdtempSync(join(tmpdir(), 'avril-'))
  const file = join(work, 'bundle')
  try {
    const branch = (await attempt(git('symbolic-ref', '--short', '--quiet', 'HEAD'), { env })).stdout.trim()
    const origin = (await attempt(git('remote', 'get-url', 'origin'), { env })).stdout.trim()
    if ((await attempt(git('rev-parse', '--is-shallow-repository'), { env })).stdout.trim() === 'true')
      throw badConfig(`${root} is a shallow clone, which cannot be sent`, `git -C ${root} fetch --unshallow`)
    await capture(git('bundle', 'create', '--quiet', file, 'HEAD', ...(branch === '' ? [] : [branch])), {
      env,
      what: 'packing this checkout',
      hint: 'it must be a clone of the repository (git log)',
    })
    const from = openSync(file, 'r')
    try {
      say.step(`prepare: ${host}, with what these scripts need to run`)
      const { code, stdout, stderr } = await call(
        host,
        text('remote_prepare.sh'),
        [folder, bareAddress(origin)],
        { from, hide: /^(error|hint): / },
        showAttempt,
      )
      if (code === 0) return
      const said = stdout + stderr
      throw new Failure(`${host}: ${saidBy(said, 'error') ?? said.trim().slice(-300)}`, {
        exitCode: code === EXIT.unreachable ? code : EXIT.failed,
        hint: saidBy(said, 'hint'),
      })
    } finally {
      closeSync(from)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const sizeOf = (content: string) => String(Buffer.byteLength(content))

const handSettings = async (host: string, folder: string, content: string) => {
  const { code, stderr } = await call(host, text('remote_keep.sh'), ['settings', sizeOf(content), folder], {
    input: content,
  })
  if (code === 0) return
  if (code === EXIT.config)
    throw badConfig(
      `${host} has another .env already, in ${folder}`,
      'nothing was changed; which of the two is that of the lost site? Leave --env out to take the one that is there',
    )
  throw new Failure(`.env cannot be written on ${host}: ${stderr.trim()}`, { exitCode: EXIT.cannotWrite })
}

const handKey = async (host: string, content: string) => {
  const { stdout, stderr } = await call(host, text('remote_keep.sh'), ['key', sizeOf(content)], { input: content })
  const path = /^avril:key=(.+)$/m.exec(stdout)?.[1]
  if (path !== undefined) return path
  throw new Failure(`${host} has no memory for the key (a tmpfs at /dev/shm or /run) ${stderr.trim()}`, {
    exitCode: EXIT.cannotWrite,
    hint: 'bring the key by hand, run setup.ts --recover --key there, and remove it then (shred -u)',
  })
}

interface There {
  /** the file with the private key, on this machine */
  key: string | undefined
  /** the .env of the lost site, on this machine */
  env: string | undefined
}

/**
 * Recovers a site on a host (without a name DEPLOY_HOST), with further words of setup.ts; gives its exit code. Throws a
 * Failure: 69 when it cannot be reached or made ready, 78 for an .env that is wrong, 64 and 65 for the key.
 */
export async function recoverThere(on: string | undefined, { key, env }: There, argv: string[]) {
  const settings = env === undefined ? undefined : readEnv(env)
  if (key !== undefined) await readKey(key)
  const { host, folder } = hostPlace(on)
  await prepare(host, folder)
  if (settings !== undefined) await handSettings(host, folder, settings)
  const there = key === undefined ? undefined : await handKey(host, readFileSync(key, 'utf8'))
  try {
    return await runThere(host, 'setup', [...argv, ...(there === undefined ? [] : ['--key', there])], 'person')
  } finally {
    // When the line is cut it stays there until the machine is started again, or this is run again.
    if (there !== undefined)
      await shielded(() => attempt(ssh(host, { batch: true }, text('remote_keep.sh'), 'forget', there)))
  }
}
