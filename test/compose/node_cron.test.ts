// What cron starts on a node of a Swarm, by the entry itself, with an engine that has one container.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { nodeCronText } from '../../lib/setup/cron.ts'

const docker = execFileSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).trim()

// What a template comes to is asked of the client, which needs no engine for that.
const STANDIN = `#!/bin/sh
case $1 in
  ps) echo one ;;
  inspect)
    format=$(printf %s "$3" | sed "s/[.]State[.]Error/\\"$ERROR\\"/; s/{{[.]Id}}/one/" |
      sed "s/[.]HostConfig[.]RestartPolicy[.]Name/\\"$POLICY\\"/")
    exec ${docker} context inspect default --format "$format"
    ;;
  start) touch "$FOLDER/$2" ;;
esac
`

// Notes each rule that it is to put in; those that are asked for are not there.
const IPTABLES = `#!/bin/sh
[ "$2" = -I ] && echo "$@" >>"$FOLDER/rules"
`

const run = (ERROR: string, POLICY: string) => {
  const folder = mkdtempSync(join(tmpdir(), 'avril-cron-'))
  try {
    writeFileSync(join(folder, 'docker'), STANDIN, { mode: 0o755 })
    writeFileSync(join(folder, 'iptables'), IPTABLES, { mode: 0o755 })
    const [, command = ''] = /^\* \* \* \* \* root (.*)$/m.exec(nodeCronText('avril')) ?? []
    const env = { PATH: `${folder}:${process.env.PATH}`, HOME: folder, FOLDER: folder, ERROR, POLICY }
    execFileSync('sh', ['-c', command.replace('/run/', `${folder}/`)], { env })
    return { started: existsSync(join(folder, 'one')), rules: readFileSync(join(folder, 'rules'), 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

void test('no container reaches a network of the Swarm, and nodes reach each other through one of them', () => {
  const rules = run('', 'no').rules.trim().split('\n')
  const wanted = ['docker0', 'docker_gwbridge', 'br-+'].flatMap(bridge =>
    ['INPUT', 'DOCKER-USER'].map(chain => `-w -I ${chain} -i ${bridge} -p udp --dport 4789 -j DROP`),
  )
  assert.deepEqual(rules, wanted)
})

for (const [what, error, policy, expected] of [
  ['what the engine could not start', 'network x not found', 'unless-stopped', true],
  ['the same that is always to run', 'network x not found', 'always', true],
  ['what has ended, or was stopped', '', 'unless-stopped', false],
  ['what nobody starts again by itself', 'network x not found', 'no', false],
  ['the same, of a Compose that says nothing', 'network x not found', '', false],
] as const)
  void test(`cron on a node ${expected ? 'starts' : 'leaves'} ${what}`, () =>
    assert.equal(run(error, policy).started, expected))
