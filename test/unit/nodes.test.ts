// What is said of the nodes of a Swarm.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FACTS } from '../../lib/setup/check_nodes.ts'
import { type NodeFacts, nodesFindings } from '../../lib/setup/node_findings.ts'
import { behindOf, nginxPaths, UNPACK } from '../../lib/setup/node_nginx.ts'
import { root } from '../../lib/system/checkout.ts'

const node = (name: string, more: object = {}) => ({
  name,
  roles: ['web'],
  engineVersion: '28.5',
  trouble: null,
  isOut: false,
  ...more,
})
const facts = (name: string, more: Partial<NodeFacts> = {}): NodeFacts => ({
  name,
  host: name === 'a' ? undefined : `root@${name}`,
  ahead: 0,
  free: 50e9,
  registry: 'good',
  closed: [],
  mtu: 1500,
  behind: [],
  starts: true,
  ...more,
})

const nodes = [node('a', { roles: ['web', 'database', 'leader'] }), node('b')]
const well = [facts('a'), facts('b')]

const table: [string, Parameters<typeof nodesFindings>, RegExp[]][] = [
  ['all is well', [nodes, well, 1450], [/^good 2 nodes, Docker 28\.5/]],
  [
    'a node is lost',
    [[nodes[0]!, node('b', { trouble: 'is not heard by the managers' })], [facts('a')], 1450],
    [/^bad b: is not heard/],
  ],
  ['a node is out', [[nodes[0]!, node('b', { isOut: true })], well, 1450], [/^warning b is taken out/]],
  ['versions differ', [[nodes[0]!, node('b', { engineVersion: '20.10' })], well, 1450], [/^warning .*28\.5, 20\.10/]],
  [
    'a manager whose leader is too old for it',
    [
      [
        node('a', { roles: ['leader'], engineVersion: '20.10' }),
        node('b', { roles: ['manager'] }),
        node('c', { roles: ['manager'] }),
      ],
      well,
      1450,
    ],
    [
      /^bad b \(Docker 28\.5\), c \(Docker 28\.5\) can start nothing: the leader, a \(20\.10\)/,
      /^warning the nodes have different/,
    ],
  ],
  [
    'a manager that is too old to become the leader',
    [
      [
        node('a', { roles: ['leader'] }),
        node('b', { roles: ['manager'] }),
        node('c', { roles: ['manager'], engineVersion: '20.10' }),
      ],
      well,
      1450,
    ],
    [
      /^warning a \(Docker 28\.5\), b \(Docker 28\.5\) can start nothing when c \(20\.10\) becomes the leader/,
      /^warning the nodes have different/,
    ],
  ],
  ['two managers', [[nodes[0]!, node('b', { roles: ['manager'] })], well, 1450], [/^warning 2 managers/]],
  ['a clock', [nodes, [facts('a'), facts('b', { ahead: -7 })], 1450], [/^warning the clock of b differs by 7 s/]],
  ['a disk', [nodes, [facts('a'), facts('b', { free: 1e9 })], 1450], [/^warning b has 1\.0 GB/]],
  [
    'the registry',
    [nodes, [facts('a'), facts('b', { registry: 'unreached' })], 1450],
    [/^bad b does not reach the registry/],
  ],
  [
    'the certificates of the registry',
    [nodes, [facts('a'), facts('b', { registry: 'refused' })], 1450],
    [/^bad b and the registry do not take each other's certificate/],
  ],
  [
    'a firewall',
    [nodes, [facts('a'), facts('b', { closed: ['2377', '7946'] })], 1450],
    [/^bad b does not reach the db node by 2377 and 7946/],
  ],
  ['packets', [nodes, [facts('a'), facts('b', { mtu: 1450 })], 1450], [/^bad b sends at most 1450 .* needs 1500/]],
  ['packets that fit', [nodes, [facts('a'), facts('b', { mtu: 1450 })], 1400], [/^good/]],
  [
    'an nginx of before',
    [nodes, [facts('a'), facts('b', { behind: ['DRAIN_SECONDS'] })], 1450],
    [/^warning nginx of b has something of before: DRAIN_SECONDS/],
  ],
  [
    'nothing after a power cut',
    [nodes, [facts('a'), facts('b', { starts: false })], 1450],
    [/^warning after a power cut nobody starts nginx on b/],
  ],
  [
    'one that says nothing',
    [nodes, [facts('a'), facts('b', { silent: new Error('Docker does not answer') })], 1450],
    [/^bad b does not say how it is: Docker does not answer$/],
  ],
]
for (const [what, words, expected] of table)
  void test(`nodes: ${what}`, () => {
    const said = nodesFindings(...words).map(({ level, text }) => `${level} ${text}`)
    assert.equal(said.length, expected.length, said.join('\n'))
    for (const [index, pattern] of expected.entries()) assert.match(said[index]!, pattern)
  })

void test('nodes: what a hint says to type is taken: --join goes by ssh, and the db node keeps its images', () => {
  const ill = { registry: 'refused', free: 1e9, starts: false } as const
  const hints = nodesFindings(nodes, [facts('a', ill), facts('b', { ...ill, behind: ['WHOST'] })], 1450).map(
    ({ hint = '' }) => hint,
  )
  const [own, others] = [hints.filter(it => !it.includes('root@b')), hints.filter(it => it.includes('root@b'))]
  assert.equal(others.length, 4, hints.join('\n'))
  for (const hint of others) assert.match(hint, /--join root@b |^ssh root@b docker image prune/)
  for (const hint of own) assert.doesNotMatch(hint, /--join (?!root)|image prune/)
})

const work = mkdtempSync(join(tmpdir(), 'avril-nodes-'))
after(() => rmSync(work, { recursive: true }))
const volume = (source: string, read_only?: boolean) => ({
  type: 'bind',
  source,
  target: '/x',
  ...(read_only === undefined ? {} : { read_only }),
})

void test("a node gets what nginx reads, and no logs, which have visitors' addresses and would replace its own", () => {
  for (const name of ['ssl', 'logs', 'static']) mkdirSync(join(work, name))
  const volumes = [
    volume(join(work, 'ssl'), true),
    volume(join(work, 'static'), true),
    volume(join(work, 'gone'), true),
    volume('/dev/null', true),
    volume(join(work, 'logs')),
  ]
  assert.deepEqual(nginxPaths({ name: 'avril', services: { nginx: { volumes } } }), [
    join(root, 'nginx'),
    join(work, 'ssl'),
    join(work, 'static'),
  ])
})

void test('the settings that an nginx was started without as they are', () => {
  const env = ['PATH=/bin', 'DRAIN_SECONDS=30', 'WHOST=a', 'HTTP3=', 'NGINX_PORT=80']
  const wanted = { DRAIN_SECONDS: '5', WHOST: 'a', HTTP3: null, NGINX_PORT: '80', SWARM_NODE: 'x' }
  assert.deepEqual(behindOf(wanted, env), ['DRAIN_SECONDS', 'SWARM_NODE'])
})

void test('an entry of cron of before starts nothing as it is to be', () => {
  const [program, entry] = [join(work, 'cron'), join(work, 'entry')]
  copyFileSync('/bin/sleep', program)
  const cron = spawn(program, ['60'])
  const said = (text: string) =>
    execFileSync('sh', ['-c', FACTS, 'sh', '127.0.0.1', entry, text], { encoding: 'utf8' }).trim().split('\n').at(-1)
  try {
    writeFileSync(entry, 'one\ntwo\n')
    assert.equal(said('one\ntwo'), 'yes')
    assert.equal(said('one\nthree'), 'no')
    rmSync(entry)
    assert.equal(said('one\ntwo'), 'no')
  } finally {
    cron.kill()
  }
})

for (const [what, whole, expected] of [
  ['what is run at each start is what is so here', true, ['10-settings.sh']],
  [
    'of files that have not come whole, what was run at each start is there still',
    false,
    ['10-settings.sh', '20-old.sh'],
  ],
] as const)
  void test(what, () => {
    const folder = mkdtempSync(join(tmpdir(), 'avril-unpack-'))
    try {
      const start = join(folder, 'nginx', 'start')
      mkdirSync(start, { recursive: true })
      writeFileSync(join(start, '10-settings.sh'), '')
      const sent = execFileSync('tar', ['-C', '/', '-cf', '-', join(folder, 'nginx').slice(1)])
      writeFileSync(join(start, '20-old.sh'), '')
      const input = whole ? sent : sent.subarray(0, 100)
      const unpack = () => execFileSync('sh', ['-c', UNPACK, 'sh', folder, '10-settings.sh'], { input, stdio: 'pipe' })
      if (whole) unpack()
      else assert.throws(unpack)
      assert.deepEqual(readdirSync(start), expected)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
