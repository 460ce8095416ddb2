// What nginx is told of a pause, and in which order.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { waitedBefore } from '../../lib/deploy/recover.ts'
import type { Rollout } from '../../lib/deploy/rollout.ts'
import { stagesOf } from '../../lib/deploy/stages.ts'
import { withRefused } from '../../lib/deploy/visits.ts'
import type { Nginx } from '../../lib/nginx/container.ts'
import { pauseRequests } from '../../lib/nginx/pause.ts'
import { reportTo, SILENT } from '../../lib/system/progress.ts'

reportTo(SILENT)

/** An nginx that notes what it is told; after hold() it hears the next thing only when that is let go. */
const nginxOf = (answerTo: (words: string) => string | undefined) => {
  const told: string[] = []
  let letGo = () => {}
  let held: Promise<void> | undefined
  const run = async (command: string[]) => {
    const words = command
      .slice(command.indexOf('--request') + 1)
      .join(' ')
      .replace('http://127.0.0.1:8081/nginx/', '')
    const late = held
    held = undefined
    await late
    told.push(words)
    const stdout = answerTo(words)
    return stdout === undefined ? { code: 22, stdout: '', stderr: 'curl: (22) 500' } : { code: 0, stdout, stderr: '' }
  }
  const hold = () => {
    held = new Promise(resolve => {
      letGo = resolve
    })
  }
  return { nginx: { run, others: [], left: new Set() } as unknown as Nginx, told, hold, letGo: () => letGo() }
}
const well = (words: string) => (words.startsWith('GET') ? '0' : 'true')

await test('a pause that is just being said again has been said before it ends', async () => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const { nginx, told, hold, letGo } = nginxOf(well)
  const pause = await pauseRequests(nginx, ['phoenix'])
  hold()
  mock.timers.tick(10_000)
  const ended = pause.end('phoenix')
  // Whoever does not wait has told the end by now.
  await new Promise(resolve => setImmediate(resolve))
  letGo()
  await ended
  mock.timers.reset()
  assert.deepEqual(told, ['POST paused/phoenix', 'GET quiet/phoenix', 'POST paused/phoenix', 'DELETE paused/phoenix'])
})

await test('an end that nginx refuses is said again', async () => {
  let refused = 0
  const { nginx, told } = nginxOf(words => (words.startsWith('DELETE') && refused++ === 0 ? undefined : well(words)))
  await (await pauseRequests(nginx, ['phoenix'])).dispose()
  assert.deepEqual(told.slice(2), ['DELETE paused/phoenix', 'DELETE paused/phoenix'])
})

await test('who has waited in vain is counted by nginx, and is among the requests that failed', async () => {
  const { nginx } = nginxOf(words => (words.startsWith('DELETE') ? '7' : well(words)))
  const pause = await pauseRequests(nginx, ['phoenix'])
  await pause.dispose()
  assert.equal(pause.refused('phoenix'), 7)
  const during = { requests: 3, failed: 1, p50: 0.1, p99: 0.2 }
  assert.deepEqual(withRefused({ before: null, during }, 7).during, { ...during, requests: 10, failed: 8 })
})

await test('when nginx does not say what is on its way there is no pause', async () => {
  const { nginx, told } = nginxOf(words => (words.startsWith('GET') ? undefined : 'true'))
  await assert.rejects(pauseRequests(nginx, ['phoenix']), /does not say what is on its way/)
  assert.equal(told.at(-1), 'DELETE paused/phoenix')
})

// which of what has changed migrates, whether a pause is wanted, the probation that was said → how it is replaced
const OBSERVATION = { seconds: 30, canary: undefined, errors: 5, slower: 5 }
for (const [migrating, wanted, said, pause, probation] of [
  [[true, false], true, undefined, true, 0],
  [[true], true, 5, true, 5],
  [[true], false, undefined, false, 7],
  // The app with the migration is as it was: the others are deployed as always.
  [[false, false], true, undefined, false, 7],
] as const)
  await test(`${migrating.join(' and ')} to migrate, ${wanted ? '' : 'no '}pause wanted`, () => {
    const parts = migrating.map(it => ({
      rollout: { app: { migrate: it ? ['migrate'] : [] } },
      plan: { rollback: false },
    }))
    assert.deepEqual(stagesOf(parts, { pause: wanted, probation: said, observation: OBSERVATION }), {
      pause,
      probation,
      observation: { ...OBSERVATION, seconds: pause ? 0 : 30 },
    })
  })

// the phases that the journal has of an app with a migration and of one without, and the one it was killed in → who
// waits again
for (const [phases, phase, waits] of [
  [{ build: 1, pause: 0 }, 'migrate', ['phoenix']],
  [{ build: 1 }, 'pause', ['phoenix']],
  [{ build: 1 }, 'migrate', []],
] as const)
  await test(`a deploy that was killed in ${phase}, ${'pause' in phases ? 'after' : 'without'} a pause`, () => {
    const rolloutOf = (service: string, migrate: string[]) =>
      ({ app: { service, migrate }, progress: { journal: { phase, phases } } }) as unknown as Rollout
    const rollouts = [rolloutOf('phoenix', ['migrate']), rolloutOf('nuxt_profile', [])]
    assert.deepEqual(
      waitedBefore(rollouts).map(({ app }) => app.service),
      waits,
    )
  })
