// What Compose makes of docker-compose.yml and .env, as it prints it.
import * as v from 'valibot'
import { badConfig } from '../system/errors.ts'
import { attempt, failureOf, type Outcome } from '../system/run.ts'
import { readAnswer } from './answers.ts'
import { composeConfig } from './commands.ts'

/** How Compose was told to build an app. */
export interface Build {
  context: string
  dockerfile?: string
  dockerfile_inline?: string
  args?: Record<string, string>
  secrets?: { source: string }[]
}

/** Where a build secret comes from: a setting of .env, or a file. */
export interface BuildSecret {
  environment?: string
  file?: string
}

/** A service in the JSON that `docker compose config` prints. */
export interface ServiceConfig {
  image?: string
  labels?: Record<string, string>
  build?: Build
  environment?: Record<string, string | null>
  healthcheck?: {
    test?: string[]
    disable?: boolean
    interval?: string
    timeout?: string
    retries?: number
    start_period?: string
  }
  deploy?: { replicas?: number | string }
  networks?: Record<string, unknown>
  depends_on?: Record<string, unknown>
  container_name?: string
  ports?: { host_ip?: string; published?: string; target?: number; protocol?: string }[]
  volumes?: { type: string; source?: string; target: string; read_only?: boolean }[]
  logging?: { driver?: string; options?: Record<string, string> }
  restart?: string
  /** it is started by name alone: in a Swarm an app, which is no container of Compose there */
  profiles?: string[]
  init?: boolean
  cap_drop?: string[]
  cap_add?: string[]
  mem_limit?: string | number
  pids_limit?: number
  cpus?: string | number
  read_only?: boolean
  stop_grace_period?: string
  stop_signal?: string
}

export interface StackConfig {
  name: string
  secrets?: Record<string, BuildSecret>
  networks?: Record<string, { name?: string; external?: boolean } | null>
  services: Record<string, ServiceConfig>
}

const OF_BUILD = v.object({
  context: v.string(),
  dockerfile: v.exactOptional(v.string()),
  dockerfile_inline: v.exactOptional(v.string()),
  args: v.exactOptional(v.record(v.string(), v.string())),
  secrets: v.exactOptional(v.array(v.object({ source: v.string() }))),
})

/** What the code reads of it; Compose prints more. */
const CONFIG = v.object({
  name: v.string(),
  services: v.record(
    v.string(),
    v.object({
      image: v.exactOptional(v.string()),
      labels: v.exactOptional(v.record(v.string(), v.string())),
      build: v.exactOptional(OF_BUILD),
      environment: v.exactOptional(v.record(v.string(), v.nullable(v.string()))),
      healthcheck: v.exactOptional(v.object({ test: v.exactOptional(v.array(v.string())) })),
      networks: v.exactOptional(v.record(v.string(), v.unknown())),
      depends_on: v.exactOptional(v.record(v.string(), v.unknown())),
      ports: v.exactOptional(v.array(v.unknown())),
      volumes: v.exactOptional(v.array(v.object({ type: v.string(), target: v.string() }))),
    }),
  ),
})

// As it came: fingerprints are made of all of it, in its order.
const parse = (text: string): StackConfig => {
  readAnswer(CONFIG, text, 'docker compose config')
  const config: StackConfig = JSON.parse(text)
  // A service that has no instance by its settings is none.
  const wanted = Object.entries(config.services).filter(([, { deploy }]) => Number(deploy?.replicas ?? 1) > 0)
  return { ...config, services: Object.fromEntries(wanted) }
}

/** Whether a service publishes a port twice, as a Compose makes of it that is too old. */
export function hasPortTwice({ services }: StackConfig) {
  const ports = (services.nginx?.ports ?? []).map(port => JSON.stringify(port))
  return new Set(ports).size < ports.length
}

/** What Compose has answered. Throws a Failure (78) with its words when it could not read the files. */
export function configOf(outcome: Outcome): StackConfig {
  if (outcome.code === 0) return parse(outcome.stdout)
  throw badConfig(failureOf([], outcome, { what: 'reading docker-compose.yml' }).message, 'nothing was touched')
}

/** What Compose makes of these files and .env. Throws a Failure (78) with its words when it cannot read them. */
export async function readConfig(files: string[]) {
  return configOf(await attempt(composeConfig(files)))
}
