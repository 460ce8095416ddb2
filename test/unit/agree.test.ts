// What is planned holds locks and folders: however a command ends, they are let go.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executeAgreed } from '../../lib/cli/agree.ts'

const ENDS: [how: string, words: { yes: boolean; 'dry-run'?: boolean }, works: boolean, events: string[]][] = [
  ['is executed', { yes: true }, true, ['execute', 'dispose']],
  ['is only shown', { yes: false, 'dry-run': true }, true, ['dispose']],
  ['fails', { yes: true }, false, ['execute', 'dispose']],
  ['needs a yes, and nobody can be asked', { yes: false }, false, ['dispose']],
]

for (const [how, words, works, wanted] of ENDS)
  void test(`what is planned is disposed of when it ${how}`, async () => {
    const events: string[] = []
    const execute = async () => {
      events.push('execute')
      if (!works) throw new Error('it does not work')
      return 'done'
    }
    const planned = { plan: {}, execute, dispose: () => void events.push('dispose') }
    const proposal = { plan: {}, text: 'this and that', question: ['this', 'that'] as [string, string] }
    const ended = executeAgreed(planned, proposal, words)
    if (works) assert.equal(await ended, events.includes('execute') ? 'done' : undefined)
    else await assert.rejects(ended)
    assert.deepEqual(events, wanted)
  })
