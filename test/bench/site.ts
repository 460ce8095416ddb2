// A site of the benchmark's own: a copy of the checkout in a temporary folder, its repositories, its stack on the real
// engine.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker, removeContainers } from '../../lib/docker/commands.ts'
import { EXIT, Failure, messageOf } from '../../lib/system/errors.ts'
import { capture, hold, show } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { shielded } from '../../lib/system/signals.ts'

const PROJECT = 'avril-bench'
const PORT = 18_300
const SERVICE = 'phoenix'

/** What every release of the benchmark is like: an app that needs as long to get ready as a real one. */
export const READY_AFTER = 5

/** How long a websocket may go on, which decides a rollout's length while one is open. */
export const DRAIN_SECONDS = 10

export interface Site {
  /** the copy of the checkout */
  folder: string
  project: string
  service: string
  url: string
  /** Commits a new revision to the remote of avril, and gives its id. */
  commit: () => Promise<string>
  /** Changes settings in its .env. */
  set: (settings: Record<string, number | string>) => void
}

const tests = join(import.meta.dirname, '..')
const engineShown = { hint: 'the lines above say why' }

const ofProject = `label=com.docker.compose.project=${PROJECT}`

const listed = async (...words: string[]) => (await capture(docker(...words))).split('\n').filter(Boolean)

// A benchmark that was killed leaves its containers behind.
const sweep = async () => {
  const ids = await listed('ps', '--all', '--quiet', '--filter', ofProject)
  if (ids.length > 0) await capture(removeContainers(ids))
  for (const kind of ['volume', 'network']) {
    const names = await listed(kind, 'ls', '--quiet', '--filter', ofProject)
    if (names.length > 0) await capture(docker(kind, 'rm', ...names))
  }
  const images = await listed(
    'image',
    'ls',
    '--format',
    '{{.Repository}}:{{.Tag}}',
    '--filter',
    `reference=${PROJECT}-*`,
  )
  if (images.length > 0) await capture(docker('image', 'rm', '--force', ...images))
}

const makeSite = async (play: string): Promise<Site> => {
  const environment = { STACK_NAME: PROJECT, STACK_PORT: String(PORT) }
  await capture([join(tests, 'stack.sh'), play], { env: environment })
  const folder = join(play, 'avril-scripts')
  const set = (settings: Record<string, number | string>) => {
    const file = join(folder, '.env')
    const isSet = (line: string) => (line.split('=')[0] ?? '') in settings
    const others = readFileSync(file, 'utf8')
      .split('\n')
      .filter(line => !isSet(line))
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
    writeFileSync(file, [...others, ...lines, ''].join('\n'))
  }
  const commit = () => capture([join(tests, 'fixtures', 'commit.sh'), play, 'avril', `READY_AFTER=${READY_AFTER}`])
  return { folder, project: PROJECT, service: SERVICE, url: `http://127.0.0.1:${PORT}`, commit, set }
}

// The kernel holds it: it ends with this process, however that ends.
const takeLock = async () => {
  const file = join(tmpdir(), `${PROJECT}.lock`)
  const { release } = await hold(['flock', '--nonblock', file, 'sh', '-c', 'echo; exec cat'])
  if (release) return release
  throw new Failure('another benchmark is running on this machine', { exitCode: EXIT.locked })
}

const removeSite = async (play: string) => {
  say.step('removing the stack')
  try {
    await shielded(sweep)
  } catch (error) {
    // It must not hide why the benchmark ended; the next one sweeps again.
    say.warn(messageOf(error))
  }
  rmSync(play, { recursive: true, force: true })
}

/** Makes the site, has it measured, and removes everything of it, whatever happened. One at a time on a machine. */
export async function withSite<T>(work: (site: Site) => Promise<T>): Promise<T> {
  const release = await takeLock()
  try {
    return await onSite(work)
  } finally {
    await release()
  }
}

const onSite = async <T>(work: (site: Site) => Promise<T>): Promise<T> => {
  say.step('the engine, the images')
  await show([join(tests, 'engine.sh')], { what: 'engine.sh', ...engineShown })
  await show([join(tests, 'images.sh')], { what: 'images.sh', ...engineShown })
  await sweep()
  const play = mkdtempSync(join(tmpdir(), 'avril bench '))
  try {
    const site = await makeSite(play)
    // Under a public name nothing may be the example's.
    for (const name of ['POSTGRES_PASSWORD', 'AWS_SECRET_ACCESS_KEY', 'SECRET_KEY_BASE'])
      site.set({ [name]: randomBytes(32).toString('hex') })
    // All POSTs come from one address, and the limit is for each.
    site.set({ POST_RATE: 10_000, DRAIN_SECONDS })
    say.step('starting the stack')
    const up = docker('compose', '--ansi', 'never', 'up', '--detach', '--build', '--wait')
    await show(up, { cwd: site.folder, what: 'docker compose up' })
    return await work(site)
  } finally {
    await removeSite(play)
  }
}
