// nginx takes up its configuration: by a reload, which ends idle HTTP/2 connections and, after DRAIN_SECONDS,
// websockets. So a deploy does it only when something has changed.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { FOLDER, type Nginx } from './container.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { readOrEmpty } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { canSwitch, LIVE, readRoute, switchLive, type Upstream, writeLiveFile } from './live.ts'

const refused = (words: string) =>
  new Failure(`nginx's configuration does not pass its check (nginx -t):\n  ${words.trim().replaceAll('\n', '\n  ')}`, {
    hint:
      'nginx goes on with the configuration it has; after an update of these scripts: docker compose up -d nginx; ' +
      'else correct the file in nginx/, and run this again',
  })

/** Throws a Failure with nginx's own words when its configuration does not pass its check. */
export async function checkNginx(nginx: Nginx) {
  const outcome = await nginx.run(['nginx', '-t', '-q', '-c', `${FOLDER}/nginx.conf`])
  if (outcome.code !== 0) throw refused(outcome.stderr)
}

// What the container's start made of the settings is made again: it may be of a former version.
const reload = async (nginx: Nginx) => {
  for (const script of ['start/10-settings.sh', 'reload.sh']) {
    const outcome = await nginx.run([`${FOLDER}/${script}`])
    if (outcome.code === EXIT.config) throw refused(outcome.stderr)
    if (outcome.code !== 0) throw new Failure(`nginx could not be reloaded: ${outcome.stderr.trim()}`)
  }
}

/** After an update of the scripts there are many. */
const SHOWN = 5

const READ = ['-name', '*.conf', '-o', '-name', '*.js', '-o', '-name', '*-settings.sh']

/**
 * Has nginx take up what a person has changed in its configuration since it read that. Throws a Failure when it cannot.
 */
export async function takeUpChanges(nginx: Nginx) {
  const find = [
    'find',
    FOLDER,
    '-maxdepth',
    '2',
    '(',
    ...READ,
    ')',
    '-newercm',
    '/run/avril/taken_up',
    '-printf',
    '%P ',
  ]
  const { code, stdout } = await nginx.run(find)
  const changed = stdout.trim()
  if (code === 0 && changed === '') return
  const files = changed.split(' ')
  const named = files.length > SHOWN ? `${files.length} files in nginx/` : changed
  say.step(`nginx takes up what has changed: ${named || 'nobody knows since when'}`)
  await reload(nginx)
}

// What versions up to 0.3 leave: lines of a map of nginx's, which name the instances. Where there is one, it is the
// latest.
const mapOf = (service: string) => join(LIVE, `${service}.map`)
const formerMaps = () =>
  existsSync(LIVE)
    ? readdirSync(LIVE, { withFileTypes: true }).flatMap(it =>
        it.isFile() && it.name.endsWith('.map') ? [basename(it.name, '.map')] : [],
      )
    : []

const upstreamsIn = (map: string): Upstream[] =>
  [...map.matchAll(/ ([\w.-]+:\d+);$/gm)].map(([, address]) => ({ address: address!, rollout: null }))

/**
 * Has an nginx that was started with the configuration of a former version take up that of this one: by a reload, the
 * last that a deploy needs. Throws a Failure when it cannot; nginx goes on as it was then.
 */
export async function takeUpSwitch(nginx: Nginx, service: string) {
  const former = formerMaps().map(name => ({ name, upstreams: upstreamsIn(readOrEmpty(mapOf(name))) }))
  for (const { name, upstreams } of former) writeLiveFile(name, { upstreams })
  const isThere = await canSwitch(nginx, service)
  if (!isThere) {
    say.step('nginx takes up the configuration of these scripts, which were updated (once)')
    await reload(nginx)
    // Its old workers count nothing.
    await nginx.run([`${FOLDER}/drained.sh`])
    await readRoute(nginx, service)
  }
  for (const { name, upstreams } of former) {
    if (isThere) await switchLive(nginx, name, { upstreams })
    rmSync(mapOf(name))
  }
}
