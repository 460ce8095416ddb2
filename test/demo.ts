// npm run demo: from nothing to a site, and an app of it replaced under load without losing a request.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { DeployResult } from '../lib/deploy/deploy.ts'
import { root } from '../lib/system/checkout.ts'
import { main } from '../lib/cli/main.ts'
import { say } from '../lib/system/progress.ts'
import { print } from '../lib/cli/terminal.ts'
import { seconds as elapsed } from '../lib/system/format.ts'
import { checkInterruption, interruption } from '../lib/system/signals.ts'
import * as demo from './demo/site.ts'
import { composeReader, readDeploy, readScript, runStep, type Step } from './demo/steps.ts'
import { farewell, results } from './demo/summary.ts'
import { startView } from './demo/view.ts'
import { type Load, startLoad } from './load/load.ts'
import { assertRan } from './load/report.ts'

const command = {
  usage: 'npm run demo',
  summary: `Makes everything from nothing: the Docker engine, images, a stack of its own, a first deploy; then deploys a
new commit while requests arrive, and tells how many were lost. Ends with 0 when none was. An earlier demo is replaced.

  DEMO_PORT    the port of the site (8080)
  DEMO_RATE    requests a second (250)
  DEMO_NAME    the Compose project (avril-demo)
  DEMO_FOLDER  where everything is made (.demo in this checkout)`,
  words: [0, 0] as [number, number],
  options: {},
  examples: [['DEMO_PORT=8090 npm run demo', 'on another port']] as [string, string][],
}

/** seconds of load before and after the deploy */
const BEFORE = 5
const AFTER = 2

/** All the POSTs come from one client here. */
const SETTINGS = { POST_RATE: '10000', DRAIN_SECONDS: '10' }

const steps: Record<string, number> = {}

const step = async (step: Step) => {
  const { stdout, took } = await runStep(step)
  steps[step.name] = took
  return stdout
}

const makeStack = async (site: demo.Site) => {
  const script = (name: string) => join(root, 'test', name)
  const engine = [script('engine.sh')]
  await step({ name: 'engine', what: 'Docker with Compose', command: engine, cwd: root, read: readScript })
  if (await demo.removeFormer(site)) say.step('the demo of an earlier run was removed; this one replaces it')
  const folder = ['env', `STACK_NAME=${site.name}`, `STACK_PORT=${site.port}`, script('stack.sh'), site.play]
  await step({ name: 'folder', what: site.play, command: folder, cwd: root, read: readScript })
  await demo.changeSettings(site, SETTINGS)
  await demo.makeMountedFolders(site)
  // The copy's, since its .env says which ones.
  const images = join(site.copy, 'test', 'images.sh')
  await step({
    name: 'images',
    what: 'what docker-compose.yml names',
    command: [images],
    cwd: site.copy,
    read: readScript,
  })
  const up = ['docker', 'compose', '--progress', 'plain', 'up', '--detach', '--wait', '--build', '--quiet-pull']
  const what = 'three apps are built, six services started'
  await step({ name: 'stack', what, command: up, cwd: site.copy, read: composeReader(site.name) })
}

const deployStep = ({ copy }: demo.Site, name: string, what: string, ...options: string[]): Step => {
  const command = [
    process.execPath,
    '--import',
    'tsx',
    join('scripts', 'deploy_local.ts'),
    '--json',
    '--observe',
    '5',
    ...options,
    'avril',
  ]
  return { name, what, command, cwd: copy, read: readDeploy }
}

const loadRows = (load: Load) => {
  const { sent, failed, open, lastSecond, instance } = load.snapshot()
  const now = lastSecond.answered + lastSecond.failed
  return [
    { label: 'requests', text: `${now} in the last second, ${sent} sent, ${open} open` },
    { label: 'failed', text: String(failed), bad: failed > 0 },
    { label: 'p99', text: `${lastSecond.fast.p99.toFixed(1)} ms in the last second` },
    { label: 'answers', text: instance },
  ]
}

/** Shows the load while something else is waited for. */
const watchLoad = async <T>(load: Load, label: string, other: Promise<T>) => {
  const begin = performance.now()
  const endView = startView(() => [{ label, text: elapsed(performance.now() - begin) }, ...loadRows(load)], 1)
  try {
    return await other
  } finally {
    endView()
  }
}

const wait = async (seconds: number) => {
  await pause(seconds * 1000, undefined, { signal: interruption }).catch(() => {})
  checkInterruption()
}

const stopLoad = (load: Load) => watchLoad(load, 'last answers', load.stop())

/** Deploys a new commit while requests arrive. */
const deployUnderLoad = async (site: demo.Site) => {
  const commit = [
    join(site.copy, 'test', 'fixtures', 'commit.sh'),
    '..',
    'avril',
    'GREETING=a new release',
    'READY_AFTER=3',
  ]
  await step({
    name: 'commit',
    what: 'an app that takes 3 s to get ready',
    command: commit,
    cwd: site.copy,
    read: readScript,
  })
  say.step(`load: ${site.rate} requests a second, on kept-alive and new connections, POSTs, slow ones, a websocket`)
  const load = startLoad({ url: site.url, rate: site.rate, drain: Number(SETTINGS.DRAIN_SECONDS) })
  try {
    await watchLoad(load, 'before', wait(BEFORE))
    load.mark('during')
    const what = 'the new commit, under load'
    const { phases } = JSON.parse(
      await step({ ...deployStep(site, 'deploy', what), beside: () => loadRows(load) }),
    ) as DeployResult
    load.mark('after')
    await watchLoad(load, 'after', wait(AFTER))
    return { report: await stopLoad(load), phases, steps }
  } finally {
    await stopLoad(load)
  }
}

const play = async (site: demo.Site) => {
  await makeStack(site)
  // Nobody is there yet who could lose anything by a release that dies after some seconds.
  await step(deployStep(site, 'first deploy', 'avril, for the first time', '--probation', '0'))
  const measured = await deployUnderLoad(site)
  assertRan(measured.report)
  print(`\n${results(measured)}\n\n${farewell(site)}`)
  return measured.report.failed === 0 ? 0 : 1
}

await main(command, async () => {
  const site = demo.siteFrom(process.env)
  await demo.forgetSettings()
  await demo.checkFree(site)
  const release = await demo.takeFolder(site)
  try {
    return await play(site)
  } catch (error) {
    if (existsSync(site.copy))
      say.line(`what was made stays; the next demo replaces it, or this ends it:\n  ${demo.stopCommand(site)}`)
    throw error
  } finally {
    await release()
  }
})
