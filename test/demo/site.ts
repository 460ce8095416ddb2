// Where the demo lives: a folder, a Compose project and a port of its own, so that it never meets a real stack.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { docker, removeContainers } from '../../lib/docker/commands.ts'
import { root } from '../../lib/system/checkout.ts'
import { linesOf } from '../../lib/system/settings.ts'
import { EXIT, Failure, usage } from '../../lib/system/errors.ts'
import { attempt, capture, hold } from '../../lib/system/run.ts'

export interface Site {
  /** the Compose project; it begins with avril-demo, since whatever has this name is removed */
  name: string
  port: number
  url: string
  /** requests a second */
  rate: number
  /** DEMO_FOLDER: what is the demo's, and git-ignored */
  folder: string
  /** the repositories of the apps, and the copy of this checkout beside them */
  play: string
  copy: string
}

const NAME = /^avril-demo[a-z0-9_-]{0,30}$/

const between = (text: string, least: number, most: number) =>
  /^\d{1,5}$/.test(text) && Number(text) >= least && Number(text) <= most

/** Reads DEMO_NAME, DEMO_PORT, DEMO_RATE and DEMO_FOLDER. Throws a Failure (64) when one makes no sense. */
export function siteFrom(env: NodeJS.ProcessEnv): Site {
  const {
    DEMO_NAME: name = 'avril-demo',
    DEMO_PORT: port = '8080',
    DEMO_RATE: rate = '250',
    DEMO_FOLDER,
    INIT_CWD = '.',
  } = env
  if (!NAME.test(name))
    throw usage(`DEMO_NAME ${JSON.stringify(name)} is not avril-demo, or that and more of a-z 0-9 _ -`)
  if (!between(port, 1024, 65_535)) throw usage(`DEMO_PORT ${JSON.stringify(port)} is not a port from 1024 to 65535`)
  if (!between(rate, 20, 1000)) throw usage(`DEMO_RATE ${JSON.stringify(rate)} is not a number from 20 to 1000`)
  // npm moves to the checkout, and leaves in INIT_CWD where it was called.
  const folder = DEMO_FOLDER ? resolve(INIT_CWD, DEMO_FOLDER) : join(root, '.demo')
  const play = join(folder, name)
  const url = `http://127.0.0.1:${port}`
  return { name, port: Number(port), url, rate: Number(rate), folder, play, copy: join(play, 'avril-scripts') }
}

/** A setting in the environment would win over the demo's .env, and could lead it to a real stack. */
export async function forgetSettings() {
  const settings = linesOf(await readFile(join(root, '.env.example'), 'utf8')).lines.keys()
  const compose = Object.keys(process.env).filter(name => name.startsWith('COMPOSE_'))
  for (const name of [...settings, ...compose]) delete process.env[name]
}

const isTaken = (port: number) =>
  new Promise<boolean>(resolve => {
    const server = createServer()
    server.once('error', () => resolve(true))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)))
  })

const project = ({ name }: Site) => ['--filter', `label=com.docker.compose.project=${name}`]

// Nothing when there is no engine yet.
const list = async (...words: string[]) => {
  const { code, stdout } = await attempt(docker(...words))
  return code === 0 ? stdout.split('\n').filter(Boolean) : []
}

/** Throws a Failure when the port is another program's, or the project that of another folder. Changes nothing. */
export async function checkFree(site: Site) {
  const { name, port, copy } = site
  const format = '{{.Ports}}\t{{.Label "com.docker.compose.project.working_dir"}}'
  const containers = (await list('ps', '--all', '--format', format, ...project(site))).map(line => line.split('\t'))
  const other = containers.find(([, folder]) => folder !== copy)?.[1]
  if (other !== undefined)
    throw new Failure(`the project ${name} belongs to ${other}: choose another name: DEMO_NAME=${name}-2 npm run demo`)
  if (containers.some(([ports]) => ports?.includes(`:${port}->`)) || !(await isTaken(port))) return
  let free = port === 65_535 ? 1024 : port + 1
  while (await isTaken(free)) free += 1
  throw new Failure(`port ${port} is taken by another program: choose another one: DEMO_PORT=${free} npm run demo`)
}

/**
 * Makes the folder, and takes it for this process as long as that lives. Gives what releases it.
 * Throws a Failure (75) when another demo is at work.
 */
export async function takeFolder({ folder }: Site) {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, '.gitignore'), '*\n')
  const lock = ['flock', '--nonblock', '--conflict-exit-code', String(EXIT.locked), join(folder, 'lock')]
  // Told by its line that the lock is held; cat lives until this process closes the pipe, or ends in any way.
  const { release, code, stderr } = await hold([...lock, 'sh', '-c', 'echo; exec cat'])
  if (release) return release
  throw code === EXIT.locked
    ? new Failure(`another demo is at work in ${folder}`, {
        exitCode: EXIT.locked,
        hint: 'wait for its end, or stop it with Ctrl-C',
      })
    : new Failure(`${folder} cannot be locked: ${stderr.trim()}`)
}

/**
 * Removes what an earlier demo left: containers, volumes, network, images, folder. Tells whether there was anything.
 */
export async function removeFormer(site: Site) {
  const containers = await list('ps', '--all', '--quiet', '--no-trunc', ...project(site))
  if (containers.length > 0) await capture(removeContainers(containers))
  const volumes = await list('volume', 'ls', '--quiet', ...project(site))
  if (volumes.length > 0) await capture(docker('volume', 'rm', '--force', ...volumes))
  const networks = await list('network', 'ls', '--quiet', ...project(site))
  if (networks.length > 0) await capture(docker('network', 'rm', ...networks))
  const images = await list(
    'image',
    'ls',
    '--format',
    '{{.Repository}}:{{.Tag}}',
    '--filter',
    `reference=${site.name}-*`,
  )
  // Another demo's name may go on after this one's.
  const own = images.filter(image => /^[^-]+:/.test(image.slice(site.name.length + 1)))
  if (own.length > 0) await capture(docker('image', 'rm', '--force', ...own))
  await rm(site.play, { recursive: true, force: true })
  return containers.length + volumes.length > 0
}

/** Changes settings in the copy's .env. */
export async function changeSettings({ copy }: Site, settings: Record<string, string>) {
  const file = join(copy, '.env')
  const changed = Object.entries(settings).reduce(
    (text, [name, value]) => text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`),
    await readFile(file, 'utf8'),
  )
  await writeFile(file, changed)
}

/** The folders that are mounted; the engine would make them too, but as root. */
export async function makeMountedFolders({ copy, play }: Site) {
  for (const folder of [join(copy, 'db', 'dumps'), join(play, 'ssl', 'localhost')])
    await mkdir(folder, { recursive: true })
}

const quoted = (word: string) => (/^[\w/.:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`)

/** What a person copies to stop the demo, from any folder. */
export function stopCommand({ name, copy }: Site) {
  return `docker compose -p ${name} --project-directory ${quoted(copy)} down --volumes`
}

/** What a person copies to deploy one more commit. */
export function tryCommands({ copy }: Site) {
  return [
    `cd ${quoted(copy)}`,
    'test/fixtures/commit.sh .. avril GREETING=Bonjour',
    'npx tsx scripts/deploy_local.ts avril',
  ]
}
