import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Failure } from '../../lib/system/errors.ts'
import { appFor, stackOf } from '../../lib/docker/stack.ts'

const phoenix = {
  labels: { 'avril.repository': 'avril', 'avril.port': '4000', 'avril.path': '/', 'avril.migrate': 'mix ecto.migrate' },
  build: { context: '/repos/avril' },
  healthcheck: { test: ['CMD', 'true'] },
  networks: { default: null },
}
const stackWith = (change: object) =>
  stackOf({
    name: 'avril',
    services: {
      phoenix: { ...phoenix, ...change },
      nginx: { labels: { 'avril.refusal': 'it is the proxy. Instead: reload' } },
    },
  })

void test('an app is what its labels say', () => {
  const [app] = stackWith({}).apps
  assert.deepEqual(
    [app?.repository, app?.port, app?.migrate, app?.replicas],
    ['avril', '4000', ['mix', 'ecto.migrate'], 1],
  )
})

for (const [what, change, message] of [
  ['a container_name', { container_name: 'x' }, /container_name/],
  ['a published port', { ports: [{ target: 1 }] }, /publishes a port/],
  ['no health check', { healthcheck: undefined }, /has no health check/],
  ['a disabled health check', { healthcheck: { test: ['NONE'], disable: true } }, /has no health check/],
  [
    'a secret as a build argument',
    { build: { context: '/x', args: { SECRET_KEY_BASE: 'x' } } },
    /hands the secret SECRET_KEY_BASE to its build/,
  ],
  [
    'a secret among the settings of its build',
    { build: { context: '/x', args: { SETTINGS: 'WHOST=x\nPOSTGRES_PASSWORD=y\n' } } },
    /hands the secret POSTGRES_PASSWORD/,
  ],
  ['no folder of assets', { labels: { ...phoenix.labels, 'avril.assets': '/app/dist' } }, /avril\.assets/],
  ['a folder of assets outside', { labels: { ...phoenix.labels, 'avril.assets': '/app/../etc:/x/' } }, /avril\.assets/],
  ['a smoke test that is none', { labels: { ...phoenix.labels, 'avril.smoke': '/ ok' } }, /avril\.smoke/],
  ['no build section', { build: undefined }, /no build section/],
  ['a repository that is a path', { labels: { ...phoenix.labels, 'avril.repository': '../x' } }, /avril\.repository/],
  ['no port', { labels: { ...phoenix.labels, 'avril.port': '' } }, /avril\.port/],
] as const) {
  void test(`an app with ${what} is refused`, () =>
    assert.throws(
      () => stackWith(change),
      (error: unknown) => error instanceof Failure && error.exitCode === 78 && message.test(error.message),
    ))
}

for (const [what, change, doubt] of [
  [
    'replicas and state',
    { labels: { ...phoenix.labels, 'avril.state.save': 'x' }, deploy: { replicas: 2 } },
    /^phoenix keeps sessions in each of its 2 instances/,
  ],
  [
    'a health check that takes redirects',
    { healthcheck: { test: ['CMD-SHELL', 'curl -fsS http://127.0.0.1:4000/'] } },
    /^the health check of phoenix takes a redirect/,
  ],
  ['none of these', {}, /^$/],
] as const) {
  void test(`a deploy warns of an app with ${what}`, () =>
    assert.match(stackWith(change).apps[0]?.doubts.join() ?? '', doubt))
}

// In the first network that nginx is in too; the others are what the app itself needs.
for (const [networks, nginx, network] of [
  [{ default: null }, { default: null }, 'default'],
  [{ back: null, default: null }, { default: null, files: null }, 'default'],
  [{ back: null, front: null }, { front: null }, 'front'],
  [{ back: null }, undefined, 'back'],
  [undefined, undefined, 'default'],
] as const) {
  void test(`an app in ${JSON.stringify(networks)} is found in ${network} by nginx in ${JSON.stringify(nginx)}`, () => {
    const stack = stackOf({
      name: 'avril',
      services: { phoenix: { ...phoenix, networks: networks as never }, nginx: { networks: nginx as never } },
    })
    assert.equal(stack.apps[0]?.network, network)
  })
}

for (const [word, message] of [
  ['nginx', /cannot be rolled: it is the proxy/],
  ['phoenix', /phoenix is a service; name its repository: avril/],
  ['avirl', /there is no repository "avirl"/],
  ['', /there is no repository/],
  ['../avril', /there is no repository/],
] as const) {
  void test(`${JSON.stringify(word)} is refused with 64, the reason and the list`, () => {
    assert.throws(
      () => appFor(stackWith({}), word),
      (error: unknown) =>
        error instanceof Failure &&
        error.exitCode === 64 &&
        message.test(error.message) &&
        /avril \(phoenix\)/.test(error.hint ?? ''),
    )
  })
}
