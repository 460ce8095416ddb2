// What the demo reads from the programs that it runs, and how it shows that.
import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { siteFrom, stopCommand } from './site.ts'
import { composeReader, readDeploy } from './steps.ts'
import { fitted, plain } from './view.ts'

void test('the lines of a deploy: its phases, what is kept, and what only passes', () => {
  deepEqual(readDeploy('→ build: avril-phoenix:1a2b'), { phase: 'build', text: 'avril-phoenix:1a2b', keep: true })
  deepEqual(readDeploy('→ tidy'), { phase: 'tidy', text: '', keep: true })
  deepEqual(readDeploy('→ avril: deploying 1a2b, in place of nothing'), { keep: true })
  deepEqual(readDeploy('  #11 RUN mix compile'), { text: '#11 RUN mix compile' })
  deepEqual(readDeploy('{"result":"deployed"}'), {})
})

void test('the lines of Compose: the build, then those that are waited for', () => {
  const read = composeReader('avril-demo')
  const text = (line: string) => read(line).text
  equal(text('#9 [phoenix 2/8] RUN apt-get update'), '[phoenix 2/8] RUN apt-get update')
  equal(text(' Container avril-demo-postgres-1  Waiting'), 'waiting until healthy: postgres')
  equal(text(' Container avril-demo-nuxt_profile-1  Waiting'), 'waiting until healthy: postgres, nuxt_profile')
  equal(text(' Container avril-demo-postgres-1  Healthy'), 'waiting until healthy: nuxt_profile')
  equal(text(' Container avril-demo-nuxt_profile-1  Healthy'), 'Container avril-demo-nuxt_profile-1  Healthy')
})

void test('a row never wraps, and holds nothing that moves the cursor', () => {
  const rows = fitted(
    [
      { label: 'build', text: `a\tb\u001b[2J${'x'.repeat(100)}` },
      { label: 'p99', text: '1 ms' },
    ],
    40,
  )
  for (const row of rows) ok(row.length < 40)
  ok(rows[0]?.startsWith('  build  a b [2Jxxx'))
  equal(
    plain([
      { label: 'failed', text: '0' },
      { label: 'p99', text: '1 ms' },
    ]),
    'failed 0 · p99 1 ms',
  )
})

void test('the name of a real stack is refused, and the command that stops the demo survives a space in its path', () => {
  throws(() => siteFrom({ DEMO_NAME: 'avril' }), /DEMO_NAME "avril"/)
  throws(() => siteFrom({ DEMO_PORT: '80' }), /DEMO_PORT "80"/)
  const site = siteFrom({ DEMO_FOLDER: "/tmp/it's a demo" })
  equal(
    stopCommand(site),
    String.raw`docker compose -p avril-demo --project-directory '/tmp/it'\''s a demo/avril-demo/avril-scripts' down --volumes`,
  )
})
