import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  buildSettingsOf,
  checkElixir,
  elixirOf,
  elixirWanted,
  fitsElixir,
  isSecretName,
  readAtBuild,
} from '../../lib/docker/build_settings.ts'
import { Failure } from '../../lib/system/errors.ts'

for (const [version, requirement, fits] of [
  ['1.8.2', '~> 1.8.2', true],
  ['1.8.9', '~> 1.8.2', true],
  ['1.8.1', '~> 1.8.2', false],
  ['1.9.0', '~> 1.8.2', false],
  ['1.20.2', '~> 1.8.2', false],
  ['1.14.0', '~> 1.14', true],
  ['1.20.2', '~> 1.14', true],
  ['2.0.0', '~> 1.14', false],
  ['1.13.4', '~> 1.14', false],
  ['1.8.2', '>= 1.8.0 and < 1.9.0', true],
  ['1.9.0', '>= 1.8.0 and < 1.9.0', false],
  ['1.15.1', '~> 1.8.2 or ~> 1.15', true],
  ['1.8.2', '1.8.2', true],
  ['1.8.3', '== 1.8.2', false],
  ['1.8.3', '!= 1.8.2', true],
  ['1.8.3', '> 1.8.3', false],
  ['1.8.3', '<= 1.8.3', true],
  ['1.20', '~> 1.8', true],
] as const) {
  void test(`Elixir ${version} ${fits ? 'fits' : 'does not fit'} ${JSON.stringify(requirement)}`, () =>
    assert.equal(fitsElixir(version, requirement), fits))
}

for (const [image, version] of [
  ['elixir:1.8.2', '1.8.2'],
  ['elixir:1.20.2-slim', '1.20.2'],
  ['registry.test:5000/library/elixir:1.14-alpine', '1.14'],
  ['hexpm/elixir:1.15.7-erlang-26', '1.15.7'],
  ['elixir:latest', undefined],
  ['my-elixir:1.8', undefined],
  ['node:24', undefined],
] as const) {
  void test(`the Elixir of ${image}`, () => assert.equal(elixirOf(image), version))
}

void test('a base image whose Elixir does not fit is refused with 78, both versions and the setting', () => {
  const mix = 'def project do\n  [\n    app: :vae,\n    elixir: "~> 1.8.2",\n'
  assert.equal(elixirWanted(mix), '~> 1.8.2')
  assert.throws(
    () => checkElixir('phoenix', 'elixir:1.20.2-slim', mix),
    (error: unknown) =>
      error instanceof Failure &&
      error.exitCode === 78 &&
      /~> 1\.8\.2.*1\.20\.2/.test(error.message) &&
      /PHOENIX_BASE_IMAGE/.test(error.hint ?? ''),
  )
  assert.equal(elixirWanted('# elixir: "~> 9"\n[app: :a, elixir: "~> 1.14", x: 1]'), '~> 1.14')
  checkElixir('phoenix', 'elixir:1.8.2', mix)
  checkElixir('phoenix', 'own-image:3', mix)
  checkElixir('phoenix', 'elixir:1.20.2', 'no requirement')
})

void test('the settings of a build are the names on its lines', () => {
  assert.deepEqual(buildSettingsOf({ BASE: 'node:24', SETTINGS: 'A=1\n  B_2=x=y\n\nnot a setting\n' }), ['A', 'B_2'])
  assert.deepEqual(buildSettingsOf(undefined), [])
})

for (const name of [
  'SECRET_KEY_BASE',
  'POSTGRES_PASSWORD',
  'PGPASSWORD',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'MINIO_SECRET_KEY',
  'AVRIL_GIT_URL',
  'NPM_TOKEN',
  'MAILJET_PRIVATE_API_KEY',
  'PE_CONNECT_CLIENT_SECRET',
  'OFFSITE_BUCKET',
  'RNCP_PASS',
  'DATABASE_URL',
]) {
  void test(`${name} is a secret`, () => assert.equal(isSecretName(name), true))
}
for (const name of [
  'NUXT_PROFILE_PATH',
  'CLIENT_TO_PHOENIX_URL',
  'NUXT_PROFILE_SENTRY_DSN',
  'HOTJAR_ID',
  'DEV_EMAILS',
  'WHITELIST_EMAILS',
  'TAG_COMMANDER',
  'COMPASS_ID',
]) {
  void test(`${name} is none`, () => assert.equal(isSecretName(name), false))
}

void test('what code reads while it is built is found', () => {
  const lines = [
    '  @override_to System.get_env("DEV_EMAILS")',
    '  @whitelist (System.get_env("WHITELIST_EMAILS") || "") |> String.downcase()',
    '  @cc System.fetch_env!("CC")',
    '    System.get_env("FRANCE_VAE_CLIENT_ID")',
    '    base: process.env.NUXT_PROFILE_PATH, x: process.env.NUXT_PROFILE_SENTRY_DSN',
  ]
  assert.deepEqual(readAtBuild(lines), [
    'CC',
    'DEV_EMAILS',
    'NUXT_PROFILE_PATH',
    'NUXT_PROFILE_SENTRY_DSN',
    'WHITELIST_EMAILS',
  ])
})
