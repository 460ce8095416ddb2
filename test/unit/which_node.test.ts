// Which machine may become a node, and which node somebody means.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkBind, checkFirst, checkJoining, type OwnSwarm, pickNode, poolBeside } from '../../lib/setup/which_node.ts'
import { Failure } from '../../lib/system/errors.ts'
import { ownCheckout } from '../helpers/own_checkout.ts'

const swarmOf = (LocalNodeState: string, more: Partial<OwnSwarm> = {}): OwnSwarm => ({
  LocalNodeState,
  NodeID: LocalNodeState === 'active' ? 'n1' : '',
  NodeAddr: LocalNodeState === 'active' ? '10.0.0.1' : '',
  ControlAvailable: LocalNodeState === 'active',
  Name: 'node9',
  ServerVersion: '26.1.5+dfsg1',
  ...more,
})
const own = [
  { address: '192.0.2.7', network: '192.0.2.7/24' },
  { address: '10.0.0.1', network: '10.0.0.1/24' },
]

const fails = (work: () => unknown, exitCode: number, said: RegExp) =>
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof Failure)
    assert.match(`${error.message}; ${error.hint}`, said)
    return error.exitCode === exitCode
  })

for (const state of ['inactive', 'active'])
  void test(`the first node: ${state}`, () => checkFirst('10.0.0.1', swarmOf(state), own))

const first: [string, string, OwnSwarm, number, RegExp][] = [
  ['an address of nobody here', '10.0.0.9', swarmOf('inactive'), 64, /it has 192\.0\.2\.7, 10\.0\.0\.1/],
  ['half in a Swarm', '10.0.0.1', swarmOf('pending'), 78, /stuck in a Swarm \(pending\).*docker swarm leave/],
  ['a worker', '10.0.0.1', swarmOf('active', { ControlAvailable: false }), 78, /worker of another Swarm/],
  ['a Swarm at another address', '192.0.2.7', swarmOf('active'), 78, /with the address 10\.0\.0\.1/],
]
for (const [what, address, swarm, exitCode, said] of first)
  void test(`no first node: ${what}`, () => fails(() => checkFirst(address, swarm, own), exitCode, said))

for (const bind of [undefined, '0.0.0.0'])
  void test(`nginx of all nodes: NGINX_BIND ${bind}`, () => checkBind({ NGINX_BIND: bind }))
for (const bind of ['127.0.0.1', '10.0.0.1'])
  void test(`nginx of no other node: NGINX_BIND ${bind}`, () =>
    fails(() => checkBind({ NGINX_BIND: bind }), 78, /would listen to nobody/))

const nodes = [
  {
    id: 'n1',
    name: 'debian',
    host: '10.0.0.1',
    isHere: true,
    isUp: true,
    labels: { 'avril.db': 'true' },
    isManager: true,
    engineVersion: '26.1.5',
  },
  {
    id: 'n2',
    name: 'debian',
    host: 'root@10.0.0.2',
    isHere: false,
    isUp: true,
    labels: {},
    isManager: false,
    engineVersion: '26.1.5',
  },
  {
    id: 'n3',
    name: 'node3',
    host: 'root@10.0.0.3',
    isHere: false,
    isUp: false,
    labels: {},
    isManager: false,
    engineVersion: '26.1.5',
  },
]

const AS_WORKER = { manager: false }

void test('a bare machine joins, and a node is brought up to date', () => {
  checkJoining('root@10.0.0.9', swarmOf('inactive'), nodes, AS_WORKER)
  checkJoining('root@10.0.0.3', swarmOf('inactive', { Name: 'node3' }), nodes, AS_WORKER)
  const again = { ...nodes[2]!, isUp: true }
  checkJoining('root@10.0.0.3', swarmOf('inactive', { Name: 'node3' }), [again], AS_WORKER)
  checkJoining('root@10.0.0.2', swarmOf('active', { NodeID: 'n2' }), nodes, AS_WORKER)
})

const joining: [string, OwnSwarm, number, RegExp][] = [
  ['the db node itself, whose nginx says who is live', swarmOf('active'), 64, /is the db node/],
  ['a node of another Swarm', swarmOf('active', { NodeID: 'x' }), 78, /in another Swarm.*ssh h docker swarm leave/],
  ['one that is called as another', swarmOf('inactive', { Name: 'debian' }), 78, /called debian already.*hostnamectl/],
  ['one that waits for lost managers', swarmOf('pending'), 78, /stuck/],
  ['one that is locked', swarmOf('locked'), 78, /stuck in a Swarm \(locked\)/],
]
for (const [what, swarm, exitCode, said] of joining)
  void test(`does not join: ${what}`, () => fails(() => checkJoining('h', swarm, nodes, AS_WORKER), exitCode, said))

const versions: [there: string, joining: string, manager: boolean, joins: boolean][] = [
  ['20.10.24', '28.5.2', true, false],
  ['20.10.24', '28.5.2', false, true],
  ['20.10.24', '20.10.5', true, true],
  ['26.1.5', '28.5.2', true, true],
  ['28.5.2', '20.10.24', true, false],
  ['28.5.2', '20.10.24', false, true],
]
for (const [there, ServerVersion, manager, joins] of versions)
  void test(`Docker ${ServerVersion} as a ${manager ? 'manager' : 'worker'} beside a manager with ${there}: ${joins ? 'joins' : 'not'}`, () => {
    const work = () =>
      checkJoining('h', swarmOf('inactive', { ServerVersion }), [{ ...nodes[0]!, engineVersion: there }], { manager })
    const said = new RegExp(`h has Docker ${ServerVersion}, and the manager debian has ${there}.*without --manager`)
    if (joins) work()
    else fails(work, 78, said)
  })

void test('Docker 20.10 as a manager: one that is lost is no obstacle, and who is one stays one', () => {
  const swarm = swarmOf('active', { NodeID: 'n2', ServerVersion: '20.10.24' })
  const lost = { ...nodes[2]!, isManager: true }
  checkJoining('root@10.0.0.2', swarm, [nodes[1]!, lost], { manager: true })
  checkJoining('root@10.0.0.2', swarm, [nodes[0]!, { ...nodes[1]!, isManager: true }], { manager: true })
  fails(
    () => checkJoining('h', swarm, [nodes[0]!, nodes[1]!], { manager: true }),
    78,
    /the manager debian has 26\.1\.5/,
  )
})

for (const [wanted, id] of [
  ['node3', 'n3'],
  ['n1', 'n1'],
  ['root@10.0.0.2', 'n2'],
] as const)
  void test(`the node ${wanted}`, () => assert.equal(pickNode(nodes, wanted).id, id))

void test('a name of two nodes is neither of them', () =>
  fails(() => pickNode(nodes, 'debian'), 64, /2 nodes.*n1 \(10\.0\.0\.1, up\), n2 \(root@10\.0\.0\.2, up\)/))

void test('a name of none', () => fails(() => pickNode(nodes, 'node4'), 64, /no node node4.*one of: debian/))

const pools: [string, string[], string][] = [
  ['a usual network', ['10.0.0.1/24'], '10.201.0.0/16'],
  ['none', [], '10.201.0.0/16'],
  ['one inside it', ['10.201.3.1/24'], '198.18.0.0/16'],
  ['one around it', ['10.0.0.1/8', '172.17.0.1/16'], '198.18.0.0/16'],
]
for (const [what, networks, pool] of pools)
  void test(`the addresses of the Swarm's networks, beside ${what}`, () =>
    assert.equal(poolBeside(networks.map(network => ({ address: network.replace(/\/.*/, ''), network }))), pool))

void test('a checkout on another node starts no second database', async () => {
  const checkout = ownCheckout('.env.example')
  const settings = readFileSync(join(checkout, '.env.example'), 'utf8')
  writeFileSync(join(checkout, '.env'), `${settings}\nSWARM=192.0.2.77\n`)
  const { openStack } = (await import(join(checkout, 'lib/docker/stack.ts'))) as { openStack: () => Promise<unknown> }
  await assert.rejects(openStack(), (error: Failure) => error.exitCode === 78 && /192\.0\.2\.77/.test(error.message))
})
