// What has been made for a change that did not come to its end is removed, and nothing that the site may have.
import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownCheckout } from '../helpers/own_checkout.ts'
import type { Stack } from '../../lib/docker/stack.ts'
import type { ClusterChange } from '../../lib/postgres/upgrade_note.ts'
import type { Settings } from '../../lib/system/settings.ts'

// A checkout of its own: what is read and written is its .env and its .state.
const checkout = ownCheckout('.env.example')
cpSync(join(checkout, '.env.example'), join(checkout, '.env'))
const [named, removed, note] = ['named', 'removed', '.state/postgres_upgrade.json'].map(it => join(checkout, it)) as [
  string,
  string,
  string,
]

const config = JSON.stringify({
  name: 's',
  services: {
    postgres: { image: 'i', volumes: [{ type: 'volume', source: 'p', target: '/var/lib/postgresql' }] },
  },
  volumes: { p: { name: '%s' } },
})

// No server starts on this engine, which notes what it is to remove; by Compose .env names a volume.
mkdirSync(join(checkout, 'bin'))
writeFileSync(
  join(checkout, 'bin/docker'),
  `#!/bin/sh
case "$*" in
  *'config --format json') printf '${config}' "$(cat ${named})" ;;
  *' up '*) echo 'its data are damaged' >&2; exit 1 ;;
  'volume rm'*) echo "$*" >>${removed} ;;
esac
`,
)
chmodSync(join(checkout, 'bin/docker'), 0o755)
process.env.PATH = `${join(checkout, 'bin')}:${process.env.PATH}`
const { discard, recoverChange } = (await import(
  join(checkout, 'lib/upgrade/switch.ts')
)) as typeof import('../../lib/upgrade/switch.ts')

const cluster = (volume: string, version: number) => ({
  image: 'i',
  volume,
  version,
  settings: { POSTGRES_IMAGE: '', POSTGRES_VOLUME: volume },
})
const upgrade: ClusterChange = {
  since: '2026-11-29T00:00:00Z',
  former: cluster('former', 17),
  next: cluster('next', 18),
}
const restore = { ...upgrade, moment: 'the end of the WAL' }
const stack = { project: 's' } as Stack

/** What was removed by a work, and how it ended. */
const outcomeOf = async (change: ClusterChange, name: string, work: () => Promise<unknown>) => {
  writeFileSync(named, name)
  writeFileSync(removed, '')
  writeFileSync(note, JSON.stringify({ kept: [], under_way: change }))
  const error = await work().then(
    () => '',
    (error: unknown) => String(error),
  )
  return { error, removed: readFileSync(removed, 'utf8'), isNoted: readFileSync(note, 'utf8').includes('under_way') }
}
const GONE = 'volume rm --force next\n'

// What did not end, which volume .env names, what is done then; and what comes of it.
for (const [what, change, name, work, error, gone, isNoted = gone === ''] of [
  ['a restore is given up', restore, 'former', () => discard(stack, {} as Settings, restore), /^$/, GONE],
  // The way back could not be written: the disk is full.
  [
    'a restore is given up, and .env names its volume',
    restore,
    'next',
    () => discard(stack, {} as Settings, restore),
    /\.env names the volume next/,
    '',
  ],
  [
    'an upgrade was killed, and the former server does not start any more',
    upgrade,
    'former',
    () => recoverChange(stack, {} as Settings),
    /starting postgres failed/,
    '',
  ],
  [
    'the same, and the whole server is to be restored',
    upgrade,
    'former',
    () => recoverChange(stack, {} as Settings, true),
    /^$/,
    GONE,
  ],
  [
    'an upgrade was killed when it was made, and its server does not start any more',
    upgrade,
    'next',
    () => recoverChange(stack, {} as Settings, true),
    /^$/,
    '',
    false,
  ],
] as const)
  void test(`${what}: the new volume ${gone ? 'goes' : 'stays'}`, async () => {
    const outcome = await outcomeOf(change, name, work)
    assert.match(outcome.error, error)
    assert.deepEqual([outcome.removed, outcome.isNoted], [gone, isNoted])
  })
