// The state of the stack, as status.ts shows it.
import { type Entry, readHistory } from '../deploy/history.ts'
import { type Instance, listInstances } from '../docker/containers.ts'
import { readJournal, type ReleaseJournal } from '../deploy/journal.ts'
import { type Nginx, nginxAmong } from '../nginx/container.ts'
import { type Maintenance, readMaintenance } from '../nginx/maintenance.ts'
import { pageTrouble } from '../nginx/prove.ts'
import { readPins } from '../docker/release_pins.ts'
import { isSwarm } from '../docker/swarm.ts'
import { type NodeState, readNodes } from './nodes_status.ts'
import { describe } from '../deploy/plan.ts'
import { releaseText } from '../deploy/release_text.ts'
import type { App, Stack } from '../docker/stack.ts'

interface ServiceState {
  service: string
  /** what is wrong with it, in words; null when nothing is */
  trouble: string | null
  instances: { name: string; health: string; since: string; image: string; standIn: boolean }[]
  release?: { image: string; revision: string | null; date: string | null; subject: string | null; text: string }
}

export interface StackState {
  project: string
  healthy: boolean
  /** how the site is closed for visitors */
  maintenance: Maintenance | null
  services: ServiceState[]
  /** a deploy that is running, or was killed */
  rollout: ReleaseJournal | null
  deploys: Entry[]
  /** of a Swarm */
  nodes?: NodeState[]
}

const healthOf = ({ running, health }: Instance) => (running ? (health ?? 'running') : 'stopped')

/** What is wrong with the instances of a service, in words that follow its name; empty when nothing is. */
export function serviceTrouble(instances: Instance[], replicas: number) {
  const running = instances.filter(({ running }) => running)
  if (running.length === 0) return 'is not running'
  const ill = running.filter(({ health }) => health !== undefined && health !== 'healthy')
  if (ill.length > 0) return `is ${ill.map(healthOf).join(', ')}`
  return running.length < replicas ? `has ${running.length} of ${replicas} instances` : null
}

// One whose health check is good may still have no page to show.
const troubleOfPage = async (stack: Stack, app: App | undefined, nginx: Nginx | undefined) => {
  if (!app || !nginx) return null
  const trouble = await pageTrouble(nginx, stack, app)
  return trouble === undefined ? null : `is healthy, but ${trouble}`
}

const stateOf = async (
  stack: Stack,
  service: string,
  instances: Instance[],
  nginx: Nginx | undefined,
): Promise<ServiceState> => {
  const app = stack.apps.find(it => it.service === service)
  const state: ServiceState = {
    service,
    trouble: serviceTrouble(instances, app?.replicas ?? 1) ?? (await troubleOfPage(stack, app, nginx)),
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
  const nginx = nginxAmong(all)
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
  const nodes = isSwarm() ? await readNodes(stack) : undefined
  return {
    project: stack.project,
    ...(nodes && { nodes }),
    healthy: [...services, ...(nodes ?? [])].every(({ trouble }) => trouble === null),
    maintenance: readMaintenance() ?? null,
    services,
    rollout: readJournal() ?? null,
    deploys: readHistory().slice(-deploys),
  }
}
