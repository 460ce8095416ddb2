import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SENT } from '../../lib/setup/nodes.ts'

// Programs as they are on a server that lacks Compose. They speak French where glibc would: in every locale but C.
const STANDINS: Record<string, string> = {
  docker: 'case "$*" in "compose version"*) [ -e installed ] && echo 2.32.4 ;; *) ;; esac',
  'apt-cache': `
    case $1-$(french) in
      policy-yes) printf '%s:\\n  Installé : (aucun)\\n  Candidat : %s\\n' "$2" 2.32.4-3 ;;
      policy-no) printf '%s:\\n  Installed: (none)\\n  Candidate: %s\\n' "$2" 2.32.4-3 ;;
      show-*) echo "Version: 2.32.4-3" ;;
    esac`,
  'apt-get': `
    echo "apt-get $*" >>log; cat >>log
    case $* in *install*) ;; *) exit 0 ;; esac
    [ -e mended ] || [ -z "$TROUBLE" ] || {
      case $TROUBLE-$(french) in
        lock-yes) echo "E: Impossible d'obtenir le verrou /var/lib/dpkg/lock-frontend" ;;
        lock-no) echo 'E: Could not get lock /var/lib/dpkg/lock-frontend' ;;
        interrupted-yes) echo "E: dpkg a été interrompu. Il est nécessaire d'utiliser « sudo dpkg --configure -a »" ;;
        interrupted-no) echo "E: dpkg was interrupted, you must manually run 'sudo dpkg --configure -a'" ;;
      esac
      exit 100
    }
    case $* in *compose*) touch installed ;; esac`,
  dpkg: '[ "$*" = "--configure -a" ] && touch mended',
  sleep: 'touch mended',
  id: 'echo 0',
  // Nothing is written outside of this folder, whatever goes wrong.
  install: 'exit 1',
  mkdir: 'exit 1',
}
const FRENCH = 'french() { case ${LC_ALL:-} in C | POSIX) echo no ;; *) echo yes ;; esac; }'

/** Runs engine.sh among these stand-ins, as a French user, and gives how it ended and what apt-get was told. */
const runEngine = (trouble: string, isSent = false) => {
  const folder = mkdtempSync(join(tmpdir(), 'avril-engine-'))
  try {
    for (const [name, text] of Object.entries(STANDINS)) {
      writeFileSync(join(folder, name), `#!/bin/sh\n${FRENCH}\n${text}\n`)
      chmodSync(join(folder, name), 0o755)
    }
    const env = {
      ...process.env,
      PATH: `${folder}:${process.env.PATH}`,
      LC_ALL: 'C.UTF-8',
      LANGUAGE: 'fr',
      TROUBLE: trouble,
    }
    const script = join(import.meta.dirname, '../../lib/docker/engine.sh')
    const packages = ['avril-cron']
    const [program, words, input] = isSent
      ? ['sh', ['-c', SENT, 'sh', ...packages], readFileSync(script)]
      : ['bash', [script, ...packages], '']
    const { status, stderr } = spawnSync(program, words, {
      input,
      cwd: folder,
      env,
      encoding: 'utf8',
      timeout: 30_000,
    })
    return { status, stderr, told: readFileSync(join(folder, 'log'), 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

for (const trouble of ['', 'lock', 'interrupted'])
  void test(`on a French server the distribution's Compose is installed${trouble && `, though at first apt says: ${trouble}`}`, () => {
    const { status, stderr, told } = runEngine(trouble)
    assert.equal(status, 0, stderr)
    assert.match(told, /install .*docker-compose-v2/)
    assert.match(told, /install .*avril-cron/)
  })

void test('a machine that is to be a node is sent it, and whatever reads its standard input gets nothing of it', () => {
  const { status, stderr, told } = runEngine('', true)
  assert.equal(status, 0, stderr)
  assert.match(told, /install .*docker-compose-v2/)
  assert.match(told, /install .*avril-cron/)
})
