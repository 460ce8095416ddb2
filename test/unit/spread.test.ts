// When the same release is deployed again, so that nodes which have come get instances of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEven } from '../../lib/deploy/fleet.ts'

const at = (minute: number) => new Date(Date.UTC(2026, 10, 30, 8, minute)).toISOString()
const live = (...nodes: string[]) =>
  nodes.map(node => ({ started: at(10), task: { node, container: undefined, error: undefined } }))
const node = (id: string, minute = 0) => ({ id, changed: at(minute) })

const table: [string, ReturnType<typeof live>, ReturnType<typeof node>[], boolean][] = [
  ['one on each', live('a', 'b'), [node('a'), node('b')], true],
  ['a node came later', live('a', 'a'), [node('a'), node('b', 20)], false],
  ['it was there, and the Swarm left it out', live('a', 'a'), [node('a'), node('b', 5)], true],
  ['it came, and nobody has one to spare', live('a', 'b'), [node('a'), node('b'), node('c', 20)], true],
  ['a single instance stays where it is', live('a'), [node('a'), node('b', 20)], true],
  ['a node that has some was given other labels', live('a', 'a', 'b'), [node('a'), node('b', 20)], true],
  ['three on two, and a third comes', live('a', 'a', 'b'), [node('a'), node('b'), node('c', 20)], false],
]
for (const [what, instances, nodes, even] of table)
  void test(`spread over the nodes: ${what}`, () => assert.equal(isEven(instances, nodes), even))
