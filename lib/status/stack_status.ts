// The state of the stack, as status.ts shows it.
import { type Entry, readHistory } from '../deploy/history.ts'
import { type Instance, listInstances } from '../docker/containers.ts'
import { readJournal, type ReleaseJournal } from '../deploy/journal.ts'
import { pageTrouble } from '../nginx/prove.ts'
import { readPins } from '../docker/release_pins.ts'
import { describe } from '../deploy/plan.ts'
import { releaseText } from '../deploy/release_text.ts'
import type { App, Stack } from '../docker/stack.ts'

interface ServiceState {
  service: string
  /** what is wrong with it, in words; empty when nothing is */
  trouble: string
  instances: { name: string; health: string; since: string; image: string; standIn: boolean }[]
  release?: { image: string; revision: string | null; date: string | null; subject: string | null; text: string }
}

export interface StackState {
  project: string
  healthy: boolean
  services: ServiceState[]
  /** a deploy that is running, or was killed */
  rollout: ReleaseJournal | null
  deploys: Entry[]
}

const healthOf = ({ running, health }: Instance) => (running ? (health ?? 'running') : 'stopped')

const troubleOf = (instances: Instance[], replicas: number) => {
  const running = instances.filter(({ running }) => running)
  if (running.length === 0) return 'is not running'
  const ill = running.filter(({ health }) => health !== undefined && health !== 'healthy')
  if (ill.length > 0) return `is ${ill.map(healthOf).join(', ')}`
  return running.length < replicas ? `has ${running.length} of ${replicas} instances` : ''
}

// One whose health check is good may still have no page to show.
const troubleOfPage = async (stack: Stack, app: App | undefined, nginx: Instance | undefined) => {
  if (!app || !nginx) return ''
  const trouble = await pageTrouble(nginx, stack, app)
  return trouble === undefined ? '' : `is healthy, but ${trouble}`
}

const stateOf = async (
  stack: Stack,
  service: string,
  instances: Instance[],
  nginx: Instance | undefined,
): Promise<ServiceState> => {
  const app = stack.apps.find(it => it.service === service)
  const state: ServiceState = {
    service,
    trouble: troubleOf(instances, app?.replicas ?? 1) || (await troubleOfPage(stack, app, nginx)),
    instances: instances.map(it => ({
      name: it.name,
      health: healthOf(it),
      since: it.started,
      image: it.image,
      standIn: it.standIn,
    })),
  }
  const live = instances.find(({ rollout }) => rollout === readPins()[service]?.rollout)
  if (!app || !live) return state
  const commit = await describe(app.folder, live.revision)
  const text = await releaseText(app, live.revision)
  return {
    ...state,
    release: {
      image: live.image,
      revision: live.revision ?? null,
      date: commit?.date || null,
      subject: commit?.subject || null,
      text,
    },
  }
}

/** Asks the engine about every service of the stack. */
export async function readStackStatus(stack: Stack, deploys: number): Promise<StackState> {
  const all = (await listInstances(stack.project)).filter(({ oneOff }) => !oneOff)
  const nginx = all.find(({ service, running }) => service === 'nginx' && running)
  const services = await Promise.all(
    stack.services.map(name =>
      stateOf(
        stack,
        name,
        all.filter(({ service }) => service === name),
        nginx,
      ),
    ),
  )
  return {
    project: stack.project,
    healthy: services.every(({ trouble }) => trouble === ''),
    services,
    rollout: readJournal() ?? null,
    deploys: readHistory().slice(-deploys),
  }
}
