// A restore where neither the server of the stack nor one of its own serves the data: what is to be done next.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Stack } from '../../lib/docker/stack.ts'
import { openServer } from '../../lib/restore/open_server.ts'
import type { Failure } from '../../lib/system/errors.ts'
import type { Settings } from '../../lib/system/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'avril-open-'))
after(() => rmSync(folder, { recursive: true }))
process.env.PATH = `${folder}:${process.env.PATH}`

for (const [said, code, next] of [
  ['another server is using this data', 75, /run this again/],
  ['there is no data in /var/lib/postgresql', 66, /--whole-server/],
] as const)
  void test(`no server: ${said}`, async () => {
    writeFileSync(
      join(folder, 'docker'),
      `#!/bin/sh\ncase "$*" in *' run '*) echo '${said}' >&2; exit ${code} ;; esac\n`,
    )
    chmodSync(join(folder, 'docker'), 0o755)
    await assert.rejects(
      openServer({ project: 'avril' } as Stack, {} as Settings),
      ({ message, hint = '' }: Failure) => {
        assert.match(message, new RegExp(said))
        assert.match(hint, next)
        return true
      },
    )
  })
