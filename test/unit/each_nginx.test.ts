// The same of each nginx of a Swarm: one that is not reached is left out, one that answers wrong is not.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Nginx, ofEach, type Other, othersOf } from '../../lib/nginx/container.ts'
import { ownCheckout } from '../helpers/own_checkout.ts'

const checkout = ownCheckout()
const { switchLive } = (await import(join(checkout, 'lib/nginx/live.ts'))) as typeof import('../../lib/nginx/live.ts')

const answering =
  (code: number, stdout = '', stderr = '') =>
  () =>
    Promise.resolve({ code, stdout, stderr })

const swarmOf = (id: string, ...codes: number[]) => {
  const others = codes.map((code, index) => {
    const other = {
      id: `${id}-${index}`,
      node: `node${index + 2}`,
      others: [],
      run: answering(code, `other ${index}`, 'no'),
    }
    return other as unknown as Other
  })
  return { id, run: answering(0, 'first'), others, left: new Set() } as unknown as Nginx
}

const ask = async (one: Nginx) => {
  const { code, stdout } = await one.run(['curl'])
  if (code !== 0) throw new Error(`it answers ${code}`)
  return stdout
}

void test('one server: what it answers, and nobody else is asked', async () => {
  const nginx = swarmOf('one')
  assert.deepEqual(await ofEach(nginx, ask), ['first'])
  assert.equal(nginx.left.size, 0)
})

void test('all answer', async () =>
  assert.deepEqual(await ofEach(swarmOf('all', 0, 0), ask), ['first', 'other 0', 'other 1']))

for (const code of [1, 125, 126, 137, 143, 255])
  void test(`who is not reached is left out from then on (${code})`, async () => {
    const nginx = swarmOf(`lost-${code}`, code, 0)
    assert.deepEqual(await ofEach(nginx, ask), ['first', 'other 1'])
    assert.deepEqual(
      othersOf(nginx).map(({ node }) => node),
      ['node3'],
    )
    assert.deepEqual([...nginx.left], ['node2'])
    assert.equal(nginx.others.length, 2)
  })

for (const code of [2, 7, 22, 28, 124])
  void test(`who is reached and does not do it is an error with its name (${code})`, async () => {
    const nginx = swarmOf(`wrong-${code}`, 0, code)
    await assert.rejects(ofEach(nginx, ask), /on node3: it answers/)
    assert.equal(othersOf(nginx).length, 2)
  })

void test("this machine's own is never left out", async () => {
  const nginx = { ...swarmOf('own', 0), run: answering(1) } as Nginx
  await assert.rejects(ofEach(nginx, ask), /it answers 1/)
})

void test('work that was ended by its signal is no lost node', async () => {
  const nginx = swarmOf('ended', 143)
  const signal = AbortSignal.abort()
  await assert.rejects(
    ofEach(nginx, async one => {
      const { code } = await one.run(['curl'], { signal })
      if (code !== 0) throw new Error('ended')
    }),
    /on node2: ended/,
  )
  assert.equal(othersOf(nginx).length, 1)
})

const route = { upstreams: [{ address: 'phoenix-2:4000', rollout: 'two' }] }
const told = { code: 0, stdout: JSON.stringify({ route, open: {}, waiting: {} }), stderr: '' }
const late = { code: 22, stdout: 'first.avril-nginx:8082 does not say who is live: read timed out', stderr: '' }

for (const [what, answers, asked] of [
  ['at once', [told], 1],
  ['late', [late, late, told], 3],
  ['not at all', [late, late, late, late], 3],
] as [string, (typeof told)[], number][])
  void test(`another nginx hears ${what} of a switch`, async () => {
    let calls = 0
    const nginx = swarmOf(`switch-${asked}`, 0)
    Object.assign(nginx, { run: () => Promise.resolve(told) })
    Object.assign(nginx.others[0]!, { run: () => Promise.resolve(answers[calls++]) })
    const work = switchLive(nginx, 'phoenix', route)
    await (answers.includes(told) ? work : assert.rejects(work, /on node2: .*read timed out/))
    assert.equal(calls, asked)
    assert.equal(nginx.left.size, 0)
  })
