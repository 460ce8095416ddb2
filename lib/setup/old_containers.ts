// The containers of the old stack: stopped, kept from starting by themselves, and started again as they were.
import * as v from 'valibot'
import { docker } from '../docker/commands.ts'
import { idsWith, type Instance, isWell, readInstances } from '../docker/containers.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import { sleep } from '../system/signals.ts'
import type { OldMachine } from './old_machine.ts'
import { accompany } from './setup.ts'

type Engine = Pick<OldMachine, 'engine'>

/** How long it may take until they are healthy: an old phoenix compiles first. In milliseconds. */
const PATIENCE = 15 * 60_000

/** A container, when it starts by itself, and whether its health check was good or it had none. */
export const OLD_CONTAINER = v.object({
  id: v.string(),
  name: v.optional(v.string()),
  restart: v.string(),
  well: v.boolean(),
})
export type OldContainer = v.InferOutput<typeof OLD_CONTAINER>

/** What is noted of a container. */
export function keptOf(instance: Instance): OldContainer {
  const { id, name, restart, health = 'healthy' } = instance
  return { id, name, restart, well: health === 'healthy' }
}

const setPolicies = async ({ engine }: Engine, kept: OldContainer[], policyOf: (policy: string) => string) => {
  for (const policy of new Set(kept.map(({ restart }) => restart))) {
    const ids = kept.filter(({ restart }) => restart === policy).map(({ id }) => id)
    await capture(docker('update', '--restart', policyOf(policy), ...ids), {
      what: 'setting when the old stack restarts',
      engine,
    })
  }
}

/** "restart: always" would start what was stopped at the next boot, and it would take the ports. */
export function keepFromStarting(machine: Engine, kept: OldContainer[]) {
  return setPolicies(machine, kept, () => 'no')
}

/** Stops them; those that do not end by themselves are killed after `grace` seconds. */
export async function stopOld({ engine }: Engine, ids: string[], grace: number) {
  if (ids.length === 0) return
  await capture(docker('stop', '--time', String(grace), ...ids), { what: 'stopping the old stack', engine })
}

const withoutGone = async ({ engine }: Engine, kept: OldContainer[]) => {
  const all = await idsWith([], engine)
  return kept.filter(({ id }) => all.includes(id))
}

/** Throws a Failure (69) when one of them is gone. */
export async function proveThere(machine: Engine, kept: OldContainer[]) {
  const there = await withoutGone(machine, kept)
  const gone = kept.filter(it => !there.includes(it)).map(({ id, name = id.slice(0, 12) }) => name)
  if (gone.length > 0)
    throw new Failure(`of the old stack are gone: ${gone.join(', ')} (docker system prune?)`, {
      exitCode: EXIT.unreachable,
      hint:
        'nothing was changed. docker-compose up -d in the old folder makes them anew, when this stack is stopped ' +
        '(docker compose stop); the files of a minio without a volume went with its container, and are in the one ' +
        'here',
    })
}

/** Starts those that are there, in their order, and has them start by themselves as before. Throws a Failure. */
export async function startOld(machine: Engine, kept: OldContainer[]) {
  const there = await withoutGone(machine, kept)
  await setPolicies(machine, there, policy => policy)
  const words = there.map(({ id }) => id)
  await capture(docker('start', ...words), { what: 'starting the old stack', engine: machine.engine })
}

const unwell = async ({ engine }: Engine, kept: OldContainer[]) => {
  const wereWell = new Set(kept.filter(({ well }) => well).map(({ id }) => id))
  const instances = await readInstances(
    kept.map(({ id }) => id),
    engine,
  )
  return instances
    .filter(it => !(wereWell.has(it.id) ? isWell(it) : it.running))
    .map(({ name, running, health }) => `${name} (${(running && health) || 'not running'})`)
}

/** Waits until all of them run, and are healthy where they were. Throws a Failure that names those that are not. */
export async function awaitOld(machine: Engine, kept: OldContainer[]) {
  const end = Date.now() + PATIENCE
  const wait = async () => {
    for (;;) {
      const names = await unwell(machine, kept)
      if (names.length === 0) return
      if (Date.now() > end)
        throw new Failure(`not all of the old stack came back: ${names.join(', ')}`, {
          exitCode: EXIT.unreachable,
          hint: 'they were started; docker logs <name> says what is wrong',
        })
      await sleep(500)
    }
  }
  await accompany(wait(), async spent => `after ${spent}: waiting for ${(await unwell(machine, kept)).join(', ')}`)
}
