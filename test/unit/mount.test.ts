import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountFindings } from '../../lib/setup/check_mount.ts'
import { linkOrCopy, sync } from '../../lib/system/files.ts'
import { type MountFacts, readMount } from '../../lib/system/mount.ts'

const ext4: MountFacts & { files: number } = {
  folder: '/mnt/b',
  type: 'ext4',
  mode: 0o600,
  isOwn: true,
  hasLinks: true,
  files: 0,
}
const closed = 'every user of this machine can read the dumps and the uploaded files there'

for (const [what, facts, expected] of [
  ['ext4', {}, ['good: /mnt/b keeps files for their owner, and has hard links']],
  [
    'exFAT as it is mounted by itself',
    { type: 'exfat', mode: 0o777, hasLinks: false, files: 3e9 },
    [
      `warning: /mnt/b (exfat) does not keep files for their owner: ${closed}`,
      'warning: /mnt/b (exfat) has no hard links: each set takes room for all uploaded files anew, 3.0 GB',
    ],
  ],
  [
    'exFAT for root alone',
    { type: 'exfat', mode: 0o700, hasLinks: false },
    ['warning: /mnt/b (exfat) has no hard links: each set takes room for all uploaded files anew'],
  ],
  [
    'FAT',
    { type: 'vfat', hasLinks: true },
    ['warning: /mnt/b (vfat) takes no file of more than 4 GB, so no dump either'],
  ],
  [
    'SMB with the files of a user',
    { type: 'cifs', mode: 0o600, isOwn: false },
    [
      'warning: /mnt/b (cifs) does not keep files for their owner: another user, to whom they belong, can read ' +
        'the dumps and the uploaded files there',
    ],
  ],
  [
    'open to a group',
    { mode: 0o660 },
    [
      'warning: /mnt/b (ext4) does not keep files for their owner: a group of users can read the dumps and the ' +
        'uploaded files there',
    ],
  ],
  [
    'of a kind that nobody told',
    { type: '', hasLinks: false },
    [
      'warning: /mnt/b (a file system of unknown kind) has no hard links: each set takes room for all uploaded ' +
        'files anew',
    ],
  ],
] as const) {
  void test(`what a file system lacks for the sets: ${what}`, () =>
    assert.deepEqual(
      mountFindings({ ...ext4, ...facts }, { ...ext4, ...facts }.files).map(({ level, text }) => `${level}: ${text}`),
      expected,
    ))
}

void test('it is found out in the folder itself, and nothing is left there', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'mount '))
  t.after(() => rmSync(folder, { recursive: true }))
  const { mode, isOwn, hasLinks } = await readMount(folder)
  assert.deepEqual([mode, isOwn, hasLinks], [0o600, true, true])
  assert.deepEqual(readdirSync(folder), [])
  await assert.rejects(readMount('/proc'), /\/proc cannot be written to/)
})

void test('a folder that cannot be synced is no fault of the backup, as on SMB', () => sync('/proc'))

void test('a file gets a second name, and on another disk a copy, even when it is asked for twice at once', async t => {
  const [here, there] = [mkdtempSync(join(tmpdir(), 'link ')), mkdtempSync('/dev/shm/link ')]
  t.after(() => [here, there].forEach(folder => rmSync(folder, { recursive: true })))
  const [file, second, far] = [join(here, 'a'), join(here, 'b'), join(there, 'a')]
  writeFileSync(file, 'content', { mode: 0o600 })
  await linkOrCopy(file, second)
  assert.equal(statSync(second).ino, statSync(file).ino)
  if (statSync(here).dev === statSync(there).dev) return
  await Promise.all([linkOrCopy(file, far), linkOrCopy(file, far)])
  assert.deepEqual(
    [readFileSync(far, 'utf8'), statSync(far).mode & 0o777, readdirSync(there)],
    ['content', 0o600, ['a']],
  )
})
