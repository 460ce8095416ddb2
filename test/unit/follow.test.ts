// One of several nginx takes up what that of the db node says, and never what it has said before.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Zone } from '../helpers/njs_zone.ts'

const shared = Object.fromEntries(
  ['live', 'given', 'observed', 'followed', 'maintenance'].map(name => [name, new Zone()]),
)
/** answers that have not come yet, in the order of their questions */
const asked: ((routes: object) => void)[] = []
const ngx = {
  shared,
  ERR: 4,
  WARN: 5,
  log: () => {},
  fetch: () =>
    new Promise(resolve => {
      asked.push(routes => resolve({ ok: true, json: () => Promise.resolve({ routes, maintenance: 'null', out: [] }) }))
    }),
}
Object.assign(globalThis, { ngx })
interface Follow {
  follow: (session: { variables: object }) => Promise<void>
}
// @ts-expect-error njs's file has no types
const { follow } = ((await import('../../nginx/follow.js')) as { default: Follow }).default

const routesOf = (rollout: string) => ({
  phoenix: JSON.stringify({ upstreams: [{ address: `${rollout}:4000`, rollout }] }),
})
const liveNow = () => (shared.live!.get('phoenix') as string | undefined)?.match(/"rollout":"(\w+)"/)?.[1]
const ask = () => {
  const done = follow({ variables: { follows: 'first.avril-nginx:8082' } })
  return { done, answer: asked.pop()! }
}

void test('an answer that was asked for earlier and comes later takes nothing back', async () => {
  const [slow, quick] = [ask(), ask()]
  quick.answer(routesOf('after'))
  await quick.done
  assert.equal(liveNow(), 'after')
  slow.answer(routesOf('before'))
  await slow.done
  assert.equal(liveNow(), 'after')
})

void test('the next answer counts again, and so does one after a question that was never answered', async () => {
  void ask()
  const next = ask()
  next.answer(routesOf('next'))
  await next.done
  assert.equal(liveNow(), 'next')
})
