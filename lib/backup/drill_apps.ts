// The live release of each app that uses the database, started on what a drill has restored: data that the app cannot
// read are no backup. It shares the network of the throw-away server, which has none but itself, so it reaches that one
// and nobody else: no mail, no webhook, no file of the site.
// Long, since all that keeps such an app apart from the live one stands here together.
import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { compose, docker, logs, removeContainers } from '../docker/commands.ts'
import { watchService } from '../docker/container_events.ts'
import { isWell, listIds, listInstances, readInstance } from '../docker/containers.ts'
import { lastWordsOf, showLog } from '../docker/last_words.ts'
import { loneService } from '../docker/lone_service.ts'
import { type App, DRILL_LABEL, type Stack } from '../docker/stack.ts'
import type { StackConfig } from '../docker/stack_config.ts'
import { askApp } from '../nginx/prove.ts'
import { giveToApp } from '../postgres/app_role.ts'
import { type Server, sql } from '../postgres/server.ts'
import { DATABASE, DRILL_MARK } from '../postgres/throw_away.ts'
import { badConfig, EXIT, Failure, messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { attempt, capture, failureOf, follow, showAttempt } from '../system/run.ts'
import { wholeNumber } from '../system/schema.ts'
import type { Run } from '../system/shell_session.ts'
import { checkInterruption, shielded } from '../system/signals.ts'
import type { DataWork } from '../system/work_lock.ts'

/** The service by which the apps know their database, and the name by which they reach it. */
export const DATABASE_SERVICE = 'postgres'

/** Seconds that it may take to get healthy: as in a deploy. */
const TIMEOUT = 300
/** Hours that its migration may take: nobody looks on, and no backup runs meanwhile. */
const MIGRATION = 6

export const APP_DRILL = v.object({
  service: v.string(),
  /** its live release */
  image: v.exactOptional(v.string()),
  /** why it was not started: its label says so, or no instance of it is live */
  skipped: v.exactOptional(v.picklist(['label', 'not live'])),
  /** from its start to its last answer */
  seconds: v.exactOptional(v.number()),
  answers: v.exactOptional(v.array(v.object({ path: v.string(), status: wholeNumber }))),
})

export type AppDrill = v.InferOutput<typeof APP_DRILL>

/** What a drill of the apps is about. */
export interface Drilled {
  stack: Stack
  /** with the releases that are live */
  config: StackConfig
  /** the throw-away server, with what was restored */
  server: Server
  /** the names on the live server: of its superuser, of the role of the apps, of their database */
  logins: Pick<Server, 'user' | 'app' | 'database'>
  searchPath: string | undefined
  work: DataWork
  set: string
}

/**
 * The apps that use the database, and of those that are not started why. `live` are the services with a live instance.
 */
export function appsToTry(apps: App[], live: string[]): { app: App; skipped?: 'label' | 'not live' }[] {
  const skippedOf = ({ drilled, service }: App) => {
    if (!drilled) return 'label' as const
    return live.includes(service) ? undefined : ('not live' as const)
  }
  return apps
    .filter(({ needs }) => needs.includes(DATABASE_SERVICE))
    .map(app => {
      const skipped = skippedOf(app)
      return skipped === undefined ? { app } : { app, skipped }
    })
}

const RENAME = `
drop database if exists :"name" with (force);
alter database :"scratch" rename to :"name";
`
const ROLE = `
select format('create role %I login', :'app') where not exists (select from pg_roles where rolname = :'app') \\gexec
`
// A text of the set's manifest: the server reads it as a setting, and as nothing else.
const SEARCH_PATH = `
select set_config('search_path', :'path', false) \\g /dev/null
alter database :"name" set search_path from current;
`

/** Gives the database the name, the role and the search_path by which the apps find it on the live server. */
const prepareForApps = async ({ server, logins, searchPath }: Drilled) => {
  const { app, database: name } = logins
  const script = [name !== DATABASE && RENAME, ROLE, searchPath !== undefined && SEARCH_PATH].filter(Boolean).join('')
  await sql(server, 'template1', script, { name, scratch: DATABASE, app, path: searchPath ?? '' })
  // Without a role of its own the app is the superuser, and an older set has it all with him.
  if (app === logins.user) return
  await giveToApp({ ...server, app, database: name }, name).catch((error: unknown) => {
    checkInterruption()
    say.warn(messageOf(error))
  })
}

/** Runs a program of nginx's image in the network of the throw-away server. */
const runBeside = (project: string, image: string, network: string): Run => {
  const words = [
    'run',
    '--rm',
    '--pull',
    'never',
    '--network',
    `container:${network}`,
    '--label',
    `${DRILL_MARK}=${project}`,
  ]
  const confined = [
    '--cap-drop',
    'ALL',
    '--security-opt',
    'no-new-privileges',
    '--pids-limit',
    '64',
    '--memory',
    '128m',
  ]
  return ([program = '', ...rest], options) =>
    attempt(docker(...words, ...confined, '--user', '65534:65534', '--entrypoint', program, image, ...rest), options)
}

const hintFor = (service: string) =>
  `does the live one run well (scripts/status.ts)? Then what the set brings back is no backup of what ${service} ` +
  'reads: make a new one (scripts/backup.ts) and try that out. One that cannot start without the world outside is ' +
  `left out by its label ${DRILL_LABEL}: "no" in docker-compose.override.yml`

const fault = ({ service }: App, set: string, why: string[]) =>
  new Failure(`${service} cannot work with what ${set} brings back: ${why.join('\n')}`, {
    exitCode: EXIT.data,
    hint: hintFor(service),
  })

const tryApp = async (drilled: Drilled, app: App): Promise<AppDrill> => {
  const { stack, config, server, work, set } = drilled
  const { service, migrate } = app
  const image = config.services[service]?.image ?? ''
  const nginx = config.services.nginx?.image
  if (nginx === undefined) throw badConfig('docker-compose.yml has no nginx, so nobody asks for the pages of an app')
  const project = `${config.name}-drill-${randomUUID().slice(0, 8)}`
  const input = JSON.stringify(
    loneService(config, service, { project, network: server.id, label: { [DRILL_MARK]: config.name } }),
  )
  const of = (...words: string[]) => compose(['-'], '--project-name', project, ...words)
  if (migrate.length > 0) {
    work.step('migrate', `${service}, ${migrate.join(' ')}`)
    const command = of('run', '--rm', '--no-deps', '--no-TTY', '--interactive=false', service, ...migrate)
    const over = AbortSignal.timeout(MIGRATION * 3_600_000)
    const outcome = await showAttempt(command, { input, signal: over })
    if (over.aborted) throw fault(app, set, [`its migration did not end within ${MIGRATION} hours`])
    if (outcome.code !== 0) throw fault(app, set, [failureOf(command, outcome, { what: 'its migration' }).message])
  }
  work.step('app', `${service}, ${image}, with no network but that server`)
  const began = performance.now()
  const watch = watchService(project, service)
  try {
    // A client that is told to end while it makes the container may leave it behind.
    await shielded(() =>
      capture(of('up', '--detach', '--no-build', '--no-deps', '--pull', 'never', service), {
        input,
        what: `starting ${service}`,
        hint: hintFor(service),
        exitCode: EXIT.data,
      }),
    )
    const [id = ''] = await listIds(project, service)
    const instance = await readInstance(id)
    const log = follow(logs(id, '--follow'))
    void showLog(log.lines)
    try {
      await watch.untilHealthy(id, service, TIMEOUT)
      const run = runBeside(config.name, nginx, server.id)
      let answers: AppDrill['answers'] = []
      await watch.guard([{ id, name: service }], async over => {
        const asked = await askApp(run, stack, app, `http://127.0.0.1:${app.port}`, over)
        if (asked.trouble !== undefined) throw new Failure(`it is healthy, but ${asked.trouble}`)
        answers = asked.answers
      })
      const seconds = Number(((performance.now() - began) / 1000).toFixed(1))
      return { service, image: instance.image, seconds, answers }
    } catch (error) {
      checkInterruption()
      throw fault(app, set, [messageOf(error), ...(await lastWordsOf(id))])
    } finally {
      log.stop()
    }
  } finally {
    watch.stop()
    // The next one may want its port. What is left is swept with the server.
    await shielded(async () => attempt(removeContainers(await listIds(project)))).catch(() => {})
  }
}

/**
 * Starts each app on what was restored, one after another: its migration first, as in a deploy, since the set may be
 * older than the release. Gives what they answered. Whoever opened the throw-away server removes them with it. Throws
 * a Failure (65) with the end of its log when one cannot work with it.
 */
export async function tryApps(drilled: Drilled): Promise<AppDrill[]> {
  const { stack } = drilled
  const live = (await listInstances(stack.project)).filter(it => isWell(it) && !it.oneOff).map(({ service }) => service)
  const plan = appsToTry(stack.apps, live)
  if (plan.some(({ skipped }) => skipped === undefined)) await prepareForApps(drilled)
  const done: AppDrill[] = []
  for (const { app, skipped } of plan)
    done.push(skipped === undefined ? await tryApp(drilled, app) : { service: app.service, skipped })
  return done
}
