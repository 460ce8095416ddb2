// A deploy is killed, stopped, or fails at each single thing that it asks of Docker, in a model of the engine: visitors
// reach an instance that is ready all the time, and the next deploy leaves one instance of the new release, and nothing
// else.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'
import { startModelEngine, type Trap } from './model_engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'every-call-'))
const site = join(folder, 'a site', 'avril-scripts')
const run = (program: string, ...words: string[]) =>
  execFileSync(program, words, {
    encoding: 'utf8',
    env: { ...process.env, STACK_NAME: 'model', STACK_PORT: '18299' },
  }).trim()
run(join(root, 'test', 'stack.sh'), join(folder, 'a site'))
run(process.execPath, join(root, 'test', 'helpers', 'compile.mjs'), site)

const SERVICE = 'nuxt_profile'
const REPOSITORY = 'avril-profil'
const engine = await startModelEngine(folder, site, {
  name: 'model',
  services: {
    nginx: { environment: { WHOST: 'localhost' }, networks: { default: null } },
    [SERVICE]: {
      build: { context: join(folder, 'a site', REPOSITORY) },
      healthcheck: { test: ['CMD', 'true'] },
      networks: { default: null },
      labels: {
        'avril.repository': REPOSITORY,
        'avril.port': '3000',
        'avril.path': '/mon-espace/',
        'avril.migrate': 'mix ecto.migrate',
        'avril.assets': '/app/dist:/mon-espace/_nuxt/',
      },
    },
  } as Record<string, object>,
})
// Not a hook: it would come after the first of the tests that are begun one after another.
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

interface End {
  code: number | null
  said: string
}

/** Runs a deploy, with a trap that is given its process, and further options. */
const deploy = (trapOf: (child: ChildProcess) => Trap = () => ({}), ...options: string[]) =>
  new Promise<End>(resolve => {
    const words = ['--observe', '0', '--probation', '0', '--if-change', ...options, REPOSITORY]
    const child = spawn(process.execPath, [join(site, 'scripts', 'deploy_local.js'), ...words], {
      env: { ...process.env, ...engine.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    engine.setTrap(trapOf(child))
    let said = ''
    child.stderr.on('data', chunk => {
      said += chunk
    })
    child.on('close', (code, signal) => resolve({ code: signal === 'SIGKILL' ? 137 : code, said }))
  })

const commit = () => run(join(root, 'test', 'fixtures', 'commit.sh'), join(folder, 'a site'), REPOSITORY)

// A site with one release that was deployed, and a new commit.
engine.addImage(`model-${SERVICE}:compose`)
for (const service of ['nginx', SERVICE]) engine.run(service)
const first = await deploy()
assert.equal(first.code, 0, first.said)
assert.deepEqual(engine.faults(), [])
commit()
const KEPT = ['.state', '.env', 'nginx/live', 'nginx/assets', 'docker-compose.releases.yml']
const copy = (from: string, to: string) => {
  for (const path of KEPT) {
    rmSync(join(to, path), { recursive: true, force: true })
    if (existsSync(join(from, path))) cpSync(join(from, path), join(to, path), { recursive: true })
  }
}
copy(site, join(folder, 'kept'))
const memory = engine.remember()
const anew = () => {
  copy(join(folder, 'kept'), site)
  engine.restore(memory)
  engine.faults()
}

const assertInOrder = ({ code, said }: End) => {
  assert.equal(code, 0, said)
  const [live, ...others] = engine.ofService(SERVICE)
  assert.deepEqual(others, [], said)
  assert.notEqual(live?.image, memory.containers.find(({ service }) => service === SERVICE)?.image, said)
  assert.deepEqual(engine.reached(SERVICE), [live], said)
  assert.deepEqual(engine.paused(), [], said)
  for (const left of ['rollout.json', 'next.yml', 'build', 'assets'])
    assert.ok(!existsSync(join(site, '.state', left)), left)
}

const shown = ([program = '', second = '', ...rest]: string[]) => {
  if (program === 'compose') return `compose ${rest.find(word => /^(config|create|build)$/.test(word))}`
  return `${program} ${program === 'exec' ? rest[0] : second}`.slice(0, 30)
}

/** The names of the calls of a deploy that nothing happens to. */
const callsOf = async (...options: string[]) => {
  anew()
  const names: string[] = []
  const after = (_: number, words: string[]) => {
    names.push(shown(words))
    if (words.includes('run')) assert.deepEqual(engine.paused(), options.includes('--pause') ? [SERVICE] : [])
  }
  assertInOrder(await deploy(() => ({ after }), ...options))
  assert.deepEqual(engine.faults(), [])
  assert.ok(names.length > 20, names.join())
  return names
}

const isAsBefore = () => {
  assert.deepEqual(
    engine.ofService(SERVICE).map(({ id }) => id),
    memory.containers.filter(({ service }) => service === SERVICE).map(({ id }) => id),
  )
  assert.ok(!existsSync(join(site, '.state', 'rollout.json')), 'a journal is left')
  assert.deepEqual(engine.paused(), [])
}

/** What may happen at a call; gives what must hold then. */
const FAULTS = {
  'is killed': async (isIt: (call: number) => boolean, ...options: string[]) => {
    const { code } = await deploy(child => ({ after: call => void (isIt(call) && child.kill('SIGKILL')) }), ...options)
    // What it asks last may have been asked too late to be killed by.
    if (code !== 0) assert.equal(code, 137)
    assertInOrder(await deploy())
  },
  'is killed, and the release of the next one dies,': async (isIt: (call: number) => boolean, ...options: string[]) => {
    await deploy(child => ({ after: call => void (isIt(call) && child.kill('SIGKILL')) }), ...options)
    const { code, said } = await deploy(() => ({ dies: true }))
    // What was killed late enough is completed, and nothing is started.
    if (code !== 0) assert.match(said, /ended with exit code 137[^]*the site is as it was/)
    assertInOrder(await deploy())
  },
  'is stopped': async (isIt: (call: number) => boolean, ...options: string[]) => {
    const end = await deploy(child => ({ after: call => void (isIt(call) && child.kill('SIGTERM')) }), ...options)
    if (end.code === 0) return assertInOrder(end)
    assert.equal(end.code, 143, end.said)
    isAsBefore()
  },
  'is refused': async (isIt: (call: number) => boolean, ...options: string[]) => {
    const refused = { failed: true, out: 'the engine is busy' }
    const { code, said } = await deploy(() => ({ before: call => (isIt(call) ? refused : undefined) }), ...options)
    assert.doesNotMatch(said, /this is a bug/)
    if (code !== 0) assert.match(said, /error: /)
    assertInOrder(await deploy())
  },
}

/**
 * The tests of a deploy with these options. All faults at each call take minutes: one at every other call, unless all
 * tests are wanted.
 */
export async function testEveryCall(...options: string[]) {
  for (const [index, name] of (await callsOf(...options)).entries())
    for (const [number, [what, happens]] of Object.entries(FAULTS).entries()) {
      if (process.env.TEST_ALL === undefined && (index + 2 * number) % 8 !== options.length) continue
      await test(`a deploy ${[...options, what].join(' ')} at its call ${index + 1}, ${name}`, async () => {
        anew()
        await happens(call => call === index + 1, ...options)
        assert.deepEqual(engine.faults(), [])
      })
    }
  engine.stop()
}
