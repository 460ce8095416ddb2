// switch.sh, by which .env comes to name another volume.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

// What happens while the former server stops, how the switch ends, and what .env says then.
for (const [what, meanwhile, code, said] of [
  ['nothing', ':', 0, 'POSTGRES_VOLUME=next\n'],
  ['somebody changes .env', 'sleep 0.05; echo SMTP=mine >>"$0.env"', 1, 'POSTGRES_VOLUME=former\nSMTP=mine\n'],
] as const)
  void test(`${what} while the former server stops: .env says ${JSON.stringify(said)}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'avril-switch-'))
    try {
      const docker = join(folder, 'docker')
      const [env, next, log] = [`${docker}.env`, `${docker}.env.next`, join(folder, 'log')]
      writeFileSync(env, 'POSTGRES_VOLUME=former\n')
      writeFileSync(next, 'POSTGRES_VOLUME=next\n')
      writeFileSync(docker, `#!/bin/sh\necho "$*" >>"$0.told"\ncase $1 in stop) ${meanwhile} ;; esac\n`)
      chmodSync(docker, 0o755)
      const script = join(import.meta.dirname, '../../lib/upgrade/switch.sh')
      const words = [script, log, 'old', next, env, 'v', 'i', '', 'docker', 'compose', 'up']
      const { status } = spawnSync('bash', words, { env: { ...process.env, PATH: `${folder}:${process.env.PATH}` } })
      assert.equal(status, code, readFileSync(log, 'utf8'))
      assert.equal(readFileSync(env, 'utf8'), said)
      const told = readFileSync(`${docker}.told`, 'utf8')
      assert.equal(told, code === 0 ? 'stop old\ncompose up\n' : 'stop old\nstart old\n')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
