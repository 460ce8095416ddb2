// A service of the stack in a Compose project of its own, cut off from all that the stack reaches: it is what it is
// when it is live, and what it does there it does to nobody.
import type { ServiceConfig, StackConfig } from './stack_config.ts'

/**
 * What of a service says how it runs. All else leads to others, to what is kept, or to the machine: networks, volumes,
 * ports, devices, where its log goes.
 */
const KEPT = [
  'cap_add',
  'cap_drop',
  'command',
  'configs',
  'entrypoint',
  'environment',
  'group_add',
  'healthcheck',
  'image',
  'init',
  'mem_limit',
  'memswap_limit',
  'pids_limit',
  'platform',
  'read_only',
  'secrets',
  'security_opt',
  'shm_size',
  'stop_grace_period',
  'stop_signal',
  'tmpfs',
  'ulimits',
  'user',
  'working_dir',
]

/** How much of a log the engine keeps. */
export const SHORT_LOG = { 'max-size': '10m', 'max-file': '2' }

/** Whoever is live comes first: for the processor, and when memory is short. */
const YIELDING = { cpu_shares: 128, oom_score_adj: 1000 }

/**
 * The project, as Compose reads it: the service of these settings with the network of another container, which is all
 * that it reaches.
 */
export function loneService(
  config: StackConfig,
  service: string,
  { project, network, label }: { project: string; network: string; label: Record<string, string> },
) {
  const own = (config.services[service] ?? {}) as ServiceConfig & Record<string, unknown>
  const kept = Object.fromEntries(KEPT.flatMap(key => (own[key] === undefined ? [] : [[key, own[key]]])))
  // Its memory may be limited there instead (resources); how many there are does not matter here.
  const resources = (own.deploy as { resources?: unknown } | undefined)?.resources
  const tmpfs = own.volumes?.filter(({ type }) => type === 'tmpfs') ?? []
  const lone = {
    ...kept,
    ...YIELDING,
    ...(resources === undefined ? {} : { deploy: { resources } }),
    ...(tmpfs.length > 0 ? { volumes: tmpfs } : {}),
    network_mode: `container:${network}`,
    restart: 'no',
    // Its log is read, whatever the engine does with those of others, and does not fill the disk.
    logging: { driver: 'json-file', options: SHORT_LOG },
    labels: label,
  }
  const { secrets, configs } = config as StackConfig & { configs?: unknown }
  return {
    name: project,
    services: { [service]: lone },
    ...(secrets === undefined ? {} : { secrets }),
    ...(configs === undefined ? {} : { configs }),
  }
}
