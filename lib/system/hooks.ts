// Programs of the team's own that run before and after what is done (HOOKS_DIR). docs/hooks.md tells what they get.
// Long, since all of it is here: which run, what they get, how they are ended.
import { randomUUID } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { root } from './checkout.ts'
import { badConfig, EXIT, Failure, messageOf } from './errors.ts'
import { namesInFolder } from './files.ts'
import { who } from './identity.ts'
import { say } from './progress.ts'
import { showAttempt } from './run.ts'
import type { Settings } from './settings.ts'
import { shielded } from './signals.ts'

const DEEDS = ['deploy', 'backup', 'restore', 'upgrade'] as const

/** What has hooks: "before-deploy", "after-deploy" and so on. */
export type Deed = (typeof DEEDS)[number]
type HookSettings = Pick<Settings, 'HOOKS_DIR' | 'HOOK_SECONDS' | 'WHOST' | 'COMPOSE_PROJECT_NAME'>

/** The version of what hooks get: it changes when a field goes, or means something else. */
const VERSION = 1

const NAMES = DEEDS.flatMap(deed => [`before-${deed}`, `after-${deed}`])
/** What somebody would call a hook who has seen others: it would be silently ignored. */
const LOOKS_LIKE_ONE = /^(before|after|pre|post)[-_.](?!.*\.(sample|example|md)$)/

/** The same settings without hooks. */
export function withoutHooks<S extends HookSettings>(settings: S): S {
  return { ...settings, HOOKS_DIR: '' }
}

/** Nobody need have it; one that .env names must be there, since its hooks may guard something. */
const DEFAULT_FOLDER = './hooks'

const folderOf = ({ HOOKS_DIR }: HookSettings) => (HOOKS_DIR === '' ? undefined : resolve(root, HOOKS_DIR))

/** Why others than this user and root could change a file or a folder, in words; undefined when they cannot. */
const openTo = (path: string) => {
  const { uid, mode } = statSync(path)
  if (uid !== 0 && uid !== process.getuid?.()) return `belongs to another user (chown root ${path})`
  return (mode & 0o022) === 0 ? undefined : `can be changed by other users (chmod go-w ${path})`
}

/** The path of a hook; undefined when there is none. Throws a Failure (78) for one that must not be run. */
const findHook = (folder: string, name: string) => {
  const path = join(folder, name)
  const refuse = (text: string) =>
    badConfig(`the hook ${path} is not run: ${text}`, 'nothing was touched; without hooks: --no-hooks')
  // A link that leads nowhere is a hook that is missing, and what it guards is not guarded.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined
  if (!existsSync(path)) throw refuse('it is a link that leads nowhere')
  const found = statSync(path)
  const real = realpathSync(path)
  const open = [real, dirname(real), folder].map(it => ({ it, why: openTo(it) })).find(({ why }) => why !== undefined)
  if (!found.isFile()) throw refuse('it is no file')
  if (open) throw refuse(`it runs with the rights of who calls, and ${open.it} ${open.why}`)
  if ((found.mode & 0o111) === 0) throw refuse(`it is not executable (chmod +x ${path})`)
  return real
}

const warned = new Set<string>()
const warnOfOthers = (folder: string) => {
  for (const name of namesInFolder(folder))
    if (!NAMES.includes(name) && LOOKS_LIKE_ONE.test(name) && !warned.has(name)) {
      warned.add(name)
      say.warn(`${join(folder, name)} is never run: hooks are called ${NAMES.join(', ')}`)
    }
}

/** The hooks of a deed. Throws a Failure (78) when one of them must not be run. */
const hooksOf = (deed: Deed, settings: HookSettings) => {
  const folder = folderOf(settings)
  if (folder === undefined) return {}
  if (settings.HOOKS_DIR !== DEFAULT_FOLDER && !existsSync(folder))
    throw badConfig(
      `HOOKS_DIR in .env names ${folder}, which is not there`,
      'nothing was touched; without hooks: --no-hooks',
    )
  warnOfOthers(folder)
  return { before: findHook(folder, `before-${deed}`), after: findHook(folder, `after-${deed}`) }
}

/** A line for each hook. */
export type HookLines = Record<'before' | 'after', string[]>

/** What --dry-run says of the hooks of a deed: a line each, none where there is none. Throws as they would (78). */
export function hookLines(deed: Deed, settings: HookSettings): HookLines {
  const { before, after } = hooksOf(deed, settings)
  const most = `${settings.HOOK_SECONDS} s at most`
  return {
    before: before === undefined ? [] : [`${relative(root, before)}, ${most}; when it fails nothing is touched`],
    after: after === undefined ? [] : [`${relative(root, after)}, ${most}; also when it failed`],
  }
}

/** The variable by which all is found that a hook has started. */
const MARK = 'AVRIL_HOOK'
/** milliseconds that it has to end when its time is over */
const GRACE = 5000

/** Kills whatever has the mark of a hook, wherever it has gone: what has made itself a session of its own, too. */
const killMarked = (mark: string) => {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name)))
    try {
      if (readFileSync(join('/proc', pid, 'environ'), 'utf8').includes(`${MARK}=${mark}\0`))
        process.kill(Number(pid), 'SIGKILL')
    } catch {
      // it has ended, or belongs to somebody else
    }
}

/** Gives why it failed, in words; undefined when it has not. Throws when a signal came that nothing shields. */
const runHook = async (path: string, input: object, seconds: number) => {
  const mark = randomUUID()
  const over = AbortSignal.timeout(seconds * 1000)
  const kill = setTimeout(() => killMarked(mark), seconds * 1000 + GRACE)
  say.step(`hook ${relative(root, path)}`)
  try {
    const options = { cwd: root, input: `${JSON.stringify(input)}\n`, env: { [MARK]: mark }, signal: over }
    const { code, stdout } = await showAttempt([path], options)
    if (over.aborted) return `it did not end within ${seconds} s, and was ended with all that it had started`
    return code === 0 ? undefined : [`exit code ${code}`, stdout.trim().split('\n').at(-1)].filter(Boolean).join(', ')
  } finally {
    clearTimeout(kill)
  }
}

/** The hook after something: it is told how that ended. One that fails is a warning, as what was done stays done. */
export interface HookAfter {
  done: (facts: object) => Promise<void>
  failed: (error: unknown) => Promise<void>
}

/**
 * Runs the hook before something, and gives the one after it. `about` says what is to be done, as JSON. Throws a
 * Failure: 78 for hooks that must not be run, 77 when the one before refuses.
 */
export async function runBefore(deed: Deed, settings: HookSettings, about: object): Promise<HookAfter> {
  const { before, after } = hooksOf(deed, settings)
  const { WHOST: site, COMPOSE_PROJECT_NAME: project, HOOK_SECONDS: seconds } = settings
  const inputOf = (hook: string, more: object) => {
    const head = { version: VERSION, hook: `${hook}-${deed}`, command: deed, site, project, who: who() }
    return { ...head, time: new Date().toISOString(), ...about, ...more }
  }
  const why = before && (await runHook(before, inputOf('before', {}), seconds))
  if (before !== undefined && why !== undefined)
    throw new Failure(`the hook ${relative(root, before)} refuses the ${deed}: ${why}`, {
      exitCode: EXIT.refused,
      hint: 'nothing was touched; its lines above say why. Without hooks: --no-hooks',
    })
  const begun = performance.now()
  const end = async (facts: object) => {
    if (after === undefined) return
    const spent = Number(((performance.now() - begun) / 1000).toFixed(1))
    const input = inputOf('after', { ...facts, seconds: spent })
    const trouble = await shielded(() => runHook(after, input, seconds))
    if (trouble !== undefined) say.warn(`the hook ${relative(root, after)} failed: ${trouble}`)
  }
  return {
    done: facts => end({ ...facts, result: 'done' }),
    failed: error => end({ result: 'failed', error: messageOf(error).split('\n')[0] }),
  }
}

/** Does something, and tells the hook after it; `told` says what came of it, as JSON. */
export async function tellAfter<T>(after: HookAfter, work: () => Promise<T>, told: (result: T) => object) {
  let result: T
  try {
    result = await work()
  } catch (error) {
    await after.failed(error)
    throw error
  }
  await after.done(told(result))
  return result
}
