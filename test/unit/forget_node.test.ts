// A node is taken out and leaves the Swarm: what it must not keep goes first, and who was killed half-way can run
// it again.
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Node } from '../../lib/docker/swarm.ts'
import type { Stack } from '../../lib/docker/stack.ts'
import { ownCheckout } from '../helpers/own_checkout.ts'

const checkout = ownCheckout('.env.example')
const example = readFileSync(join(checkout, '.env.example'), 'utf8')
writeFileSync(join(checkout, '.env'), `${example}\nSWARM=10.0.0.1\n`)
mkdirSync(join(checkout, 'nginx', 'live'), { recursive: true })
const spec = { Labels: {}, Role: 'worker', Availability: 'active' }
const description = { Hostname: 'node2', Engine: { EngineVersion: '28.5.2' } }
const status = { State: 'ready', Addr: '10.0.0.2' }
const known = JSON.stringify([{ ID: 'n2', UpdatedAt: '', Spec: spec, Description: description, Status: status }])
const [told, left, member] = [join(checkout, 'told'), join(checkout, 'left'), join(checkout, 'member')]
writeFileSync(member, '')
const program = (name: string, text: string) => {
  writeFileSync(join(checkout, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(checkout, name), 0o755)
}
program('ssh', `case "$*" in *" -L "*) echo ready; exec cat >/dev/null ;; *"rm -rf"*) echo files >>'${told}' ;; esac`)
program(
  'docker',
  `case "$*" in
  *'swarm leave --force')
    echo leave >>'${told}'
    [ ! -e '${left}' ] || { echo 'Error response from daemon: This node is not part of a swarm' >&2; exit 1; }
    [ -z "$BROKEN" ] || { echo 'Error response from daemon: context deadline exceeded' >&2; exit 1; }
    touch '${left}'
    ;;
  'node demote n2') echo demote >>'${told}'; echo yes >'${member}' ;;
  'node inspect --format'*) echo asked >>'${told}'; cat '${member}'; : >'${member}' ;;
  'node ls'*) echo n2 ;;
  'node inspect'*) echo '${known}' ;;
esac`,
)
process.env.PATH = `${checkout}:${process.env.PATH}`
process.env.XDG_RUNTIME_DIR = checkout
const { drainNode, forgetNode } = (await import(
  join(checkout, 'lib/setup/nodes.ts')
)) as typeof import('../../lib/setup/nodes.ts')
const { reportTo, SILENT } = (await import(
  join(checkout, 'lib/system/progress.ts')
)) as typeof import('../../lib/system/progress.ts')

const node = { id: 'n2', name: 'node2', host: 'root@h', isUp: true, isManager: false } as Node
const forget = async (isManager = false) => {
  rmSync(told, { force: true })
  await forgetNode({ ...node, isManager }, { project: 'avril' } as Stack)
  return readFileSync(told, 'utf8')
}

void test('a node that does not leave is told', async () => {
  process.env.BROKEN = '1'
  await assert.rejects(forget(), /taking node2 out of the Swarm failed.*deadline/s)
  delete process.env.BROKEN
})

void test('the keys go while the node can still be run for again', async () => {
  assert.equal(await forget(), 'asked\nfiles\nleave\n')
  assert.ok(existsSync(left))
})

void test('one that has left already, which the managers have not heard yet', async () =>
  assert.equal(await forget(), 'asked\nfiles\nleave\n'))

void test('a manager leaves when the others have agreed that it is none any more', async () =>
  assert.equal(await forget(true), 'demote\nasked\nasked\nfiles\nleave\n'))

void test('a node whose instances do not move is told to be out', async () => {
  const warnings: string[] = []
  reportTo({ ...SILENT, warn: text => warnings.push(text) })
  const work = drainNode('node2', 0, () => Promise.reject(new Error('the site is as it was')))
  await assert.rejects(work, /the site is as it was/)
  assert.match(warnings.join(), /^balancers send nobody to node2: .*--undrain node2/)
})
