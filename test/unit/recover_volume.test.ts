// A machine that is a node of a Swarm gets no recovered site, and its other sites are left alone by what it is told.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { checkNoNode } from '../../lib/setup/recover_volume.ts'
import type { Failure } from '../../lib/system/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'avril-recover-'))
after(() => rmSync(folder, { recursive: true }))
process.env.PATH = `${folder}:${process.env.PATH}`
const says = (state: string) => {
  writeFileSync(join(folder, 'docker'), `#!/bin/sh\necho '${state}'\n`)
  chmodSync(join(folder, 'docker'), 0o755)
}

void test('no node', async () => {
  says('inactive')
  await checkNoNode({ COMPOSE_PROJECT_NAME: 'avril' })
})

void test('a node: only what is of the site is to be removed', async () => {
  says('active')
  await assert.rejects(checkNoNode({ COMPOSE_PROJECT_NAME: 'avril' }), ({ exitCode, hint = '' }: Failure) => {
    assert.match(
      hint,
      /docker ps --all --quiet --filter label=com\.docker\.compose\.project=avril \| xargs -r docker rm/,
    )
    return exitCode === 78
  })
})
