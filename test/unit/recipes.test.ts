// The programs of recipes/nuxt.yml, run as the build runs them, on small repositories and with npm, yarn and pnpm that
// only say what they were told.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

const recipe = readFileSync(join(root, 'recipes/nuxt.yml'), 'utf8').replaceAll('$$', '$')

/** The value of an ARG, as Docker reads it: lines that end with a backslash go on. */
const program = (name: string) => new RegExp(`ARG ${name}='([^']*)'`).exec(recipe)?.[1]?.replaceAll('\\\n', '') ?? ''

type Files = Record<string, string | object>

const write = (folder: string, files: Files) => {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
}

const run = (context: TestContext, name: string, files: Files, settings = '', argument = '') => {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const [tools, app, manifests] = ['tools', 'app', 'manifests'].map(part => join(folder, part)) as [
    string,
    string,
    string,
  ]
  for (const part of [tools, app, manifests]) mkdirSync(part)
  for (const tool of ['npm', 'yarn', 'pnpm']) {
    writeFileSync(join(tools, tool), '#!/bin/sh\necho "$(basename "$0") $*"\nenv -0 >../environment\n')
    chmodSync(join(tools, tool), 0o755)
  }
  write(app, files)
  const env = { PATH: `${tools}:${process.env.PATH}`, [name]: program(name), SETTINGS: settings }
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['-e', `eval(process.env.${name})`, argument || manifests],
    { cwd: app, env, encoding: 'utf8' },
  )
  const at = (path: string) => readFileSync(join(folder, path), 'utf8')
  return {
    status,
    said: stdout + stderr,
    kept: (readdirSync(manifests, { recursive: true }) as string[]).toSorted(),
    at,
    environment: () => at('environment').split('\0'),
  }
}

const packages = { dependencies: { nuxt: '2' } }

for (const [what, files, said] of [
  [
    'yarn.lock',
    { 'yarn.lock': 'a@1:\n' },
    /install --global --prefix \/opt\/tool yarn@1\.[\d.]+\nyarn install --frozen-lockfile .*--production=false/,
  ],
  ['package-lock.json', { 'package-lock.json': '{}' }, /^npm ci --include=dev$/m],
  ['npm-shrinkwrap.json', { 'npm-shrinkwrap.json': '{}' }, /^npm ci --include=dev$/m],
  [
    'pnpm-lock.yaml',
    { 'pnpm-lock.yaml': "lockfileVersion: '9.0'\n" },
    /pnpm@10\.[\d.]+\npnpm install --frozen-lockfile/,
  ],
  ['an older pnpm-lock.yaml', { 'pnpm-lock.yaml': 'lockfileVersion: 5.4\n' }, /pnpm@7\./],
  [
    'packageManager',
    { 'package.json': { ...packages, packageManager: 'yarn@1.22.19+sha1.abc' }, 'yarn.lock': 'a@1:\n' },
    /yarn@1\.22\.19\n/,
  ],
] as const) {
  void test(`an install goes by ${what}`, context => {
    const { status, said: words } = run(context, 'INSTALL', { 'package.json': packages, ...files })
    assert.match(words.replaceAll(/^> .*\n/gm, ''), said)
    assert.equal(status, 0)
  })
}

for (const [what, files, said] of [
  ['packages and no lock file', { 'package.json': packages }, /there is no yarn\.lock/],
  [
    'a yarn.lock of yarn 4',
    { 'package.json': packages, 'yarn.lock': '__metadata:\n  version: 8\n' },
    /yarn 2 or later/,
  ],
  [
    'a lock file of an unknown pnpm',
    { 'package.json': packages, 'pnpm-lock.yaml': 'lockfileVersion: 77\n' },
    /unknown version/,
  ],
] as const) {
  void test(`an install with ${what} fails, and says what to do`, context => {
    const { status, said: words } = run(context, 'INSTALL', files)
    assert.match(words, said)
    assert.equal(status, 1)
  })
}

void test('nothing is installed for a package without packages, nor removed from one without devDependencies', context => {
  assert.equal(run(context, 'INSTALL', { 'package.json': {} }).said, '')
  assert.equal(run(context, 'INSTALL', { 'package.json': packages, 'yarn.lock': 'a@1:\n' }, '', 'production').said, '')
})

// A prepare script of the repository calls what is not there any more (husky and its like).
for (const [lock, text, said] of [
  ['yarn.lock', 'a@1:\n', /^yarn install .*--production=true --ignore-scripts$/m],
  ['package-lock.json', '{}', /^npm prune --omit=dev --ignore-scripts$/m],
  ['pnpm-lock.yaml', "lockfileVersion: '9.0'\n", /^pnpm install .*--prod --ignore-scripts$/m],
] as const) {
  void test(`what runs has no devDependencies, and their removal runs no script: ${lock}`, context => {
    const { said: words } = run(
      context,
      'INSTALL',
      { 'package.json': { devDependencies: { jest: '1' } }, [lock]: text },
      '',
      'production',
    )
    assert.match(words.replaceAll(/^> .*\n/gm, ''), said)
  })
}

void test('an install sees manifests and packages of the repository, theirs too, and no page', context => {
  const { kept } = run(context, 'MANIFESTS', {
    'package.json': {
      dependencies: { a: 'file:vendor/a', b: './b.tgz', c: '^1.0.0' },
      scripts: { postinstall: 'nuxt prepare' },
    },
    'vendor/a/package.json': { dependencies: { d: 'file:../d' } },
    'vendor/d/index.js': '',
    'vendor/e/index.js': '',
    'b.tgz': '',
    'yarn.lock': '',
    '.npmrc': '',
    '.yarnrc': '',
    'pages/index.vue': '',
  })
  assert.deepEqual(kept, [
    '.npmrc',
    '.yarnrc',
    'b.tgz',
    'package.json',
    'vendor',
    'vendor/a',
    'vendor/a/package.json',
    'vendor/d',
    'vendor/d/index.js',
    'yarn.lock',
  ])
})

void test('all is there for a script that runs in an install', context => {
  const { kept, said } = run(context, 'MANIFESTS', {
    'package.json': { scripts: { postinstall: 'node scripts/x.js' } },
    'scripts/x.js': '',
  })
  assert.deepEqual(kept, ['package.json', 'scripts', 'scripts/x.js'])
  assert.match(said, /postinstall may read any file/)
})

void test('the build gets the settings that are set, as they are, and none other', context => {
  const { status, environment } = run(
    context,
    'BUILD',
    { 'package.json': {} },
    'EMPTY=\nSPACES= a  b \nODD=$(id) `id` "x" \'y\' a=b;c\nnot a setting\nNUXT_BUILD_DIR=/build\n',
  )
  assert.equal(status, 0)
  const got = environment()
  for (const line of ['SPACES= a  b ', 'ODD=$(id) `id` "x" \'y\' a=b;c', 'NUXT_BUILD_DIR=.nuxt'])
    assert.ok(got.includes(line), line)
  assert.deepEqual(
    got.filter(line => /^(EMPTY|SETTINGS|BUILD)=/.test(line)),
    [],
  )
})

void test('a secret among the settings stops the build', context => {
  const { status, said } = run(context, 'BUILD', { 'package.json': {} }, 'SECRET_KEY_BASE=x')
  assert.match(said, /SECRET_KEY_BASE in SETTINGS/)
  assert.equal(status, 1)
})

void test('the commits of packages from git are named, and no others', context => {
  const commit = '8511ba5dffb675ea6d1dcc19e8f522af408f264f'
  const lock =
    `avril@Owner/shared:\n  resolved "https://codeload.github.com/Owner/shared/tar.gz/${commit}"\n\nnuxt@2:\n  ` +
    `resolved "https://registry.yarnpkg.com/nuxt/-/nuxt-2.17.0.tgz#419de827175d36e206a6f0e9b70b02bebec1cbd4"\n`
  const { said } = run(context, 'BUILD', {
    'package.json': {},
    'yarn.lock': lock,
    'package-lock.json': `"resolved": "git+ssh://git@github.com/a/b.git#${commit}"`,
  })
  assert.deepEqual(said.match(/^.* is taken at commit \w+, which [\w.-]+ pins/gm), [
    `Owner/shared is taken at commit ${commit}, which yarn.lock pins`,
    `a/b is taken at commit ${commit}, which package-lock.json pins`,
  ])
})

for (const [what, files, start] of [
  ['its own start script', { 'package.json': { scripts: { start: 'node x.js' } } }, 'node x.js'],
  [
    '.output, without a start script',
    { 'package.json': {}, '.output/server/index.mjs': '' },
    'node .output/server/index.mjs',
  ],
  ['nuxt start, without either', { 'package.json': {} }, 'nuxt start'],
] as const) {
  void test(`an app is started by ${what}`, context => {
    assert.equal(JSON.parse(run(context, 'BUILD', files).at('app/package.json')).scripts.start, start)
  })
}

void test('phoenix: settings and secrets reach the compiler as they are, and no command line', context => {
  const folder = mkdtempSync(join(tmpdir(), 'recipe-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const [script = ''] =
    /names=;.*?mix compile/s.exec(
      readFileSync(join(root, 'recipes/phoenix.yml'), 'utf8').replaceAll('$$', '$').replaceAll('\\\n', ''),
    ) ?? []
  write(folder, {
    'run/KEY': '-----BEGIN-----\nit\'s "$(x)" `y`\n',
    'run/EMPTY': '',
    mix: '#!/bin/sh\n[ "$1" = compile ] && env -0 >"$0.environment"\n',
  })
  chmodSync(join(folder, 'mix'), 0o755)
  const here = script.replaceAll('/run/secrets/', `${folder}/run/`).replaceAll('/tmp/settings', `${folder}/settings`)
  const settings = `A=a b; $(id) \`id\` # "'\nNONE=\nlower=x\nB=\\n=c\n`
  const { status, stdout, stderr } = spawnSync('sh', ['-c', here], {
    env: { PATH: `${folder}:${process.env.PATH}`, SETTINGS: settings },
    encoding: 'utf8',
  })
  assert.deepEqual([status, stdout, stderr], [0, 'settings at compile time: A B KEY\n', ''])
  const got = readFileSync(join(folder, 'mix.environment'), 'utf8')
    .split('\0')
    .filter(line => /^(A|B|KEY|NONE|EMPTY|SETTINGS|lower)=/.test(line))
  assert.deepEqual(got.toSorted(), ['A=a b; $(id) `id` # "\'', 'B=\\n=c', 'KEY=-----BEGIN-----\nit\'s "$(x)" `y`'])
  assert.doesNotMatch(script, /env .*"\$@"/)
})
