// Closing the site when nginx, or somebody else, is in the way: in a checkout of its own.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownCheckout } from '../helpers/own_checkout.ts'
import type { Nginx } from '../../lib/nginx/container.ts'
import type { Maintenance } from '../../lib/nginx/maintenance.ts'
import type { Failure } from '../../lib/system/errors.ts'

const checkout = ownCheckout('nginx/errors')
const { setMaintenance } = (await import(
  join(checkout, 'lib/nginx/maintenance.ts')
)) as typeof import('../../lib/nginx/maintenance.ts')

const file = join(checkout, 'nginx/live/maintenance.json')
const closed = (message: string): Maintenance => ({
  since: '2026-11-29T17:00:00Z',
  who: 'ana',
  url: null,
  message,
  until: null,
  allow: [],
})
/** An nginx that holds what stands in the file, or refuses to. */
const nginxOf = (refuses: () => boolean, late: Promise<unknown> = Promise.resolve()) => {
  const run = async (command: string[]) => {
    await late
    if (!command.includes('POST')) return { code: 0, stdout: '', stderr: '' }
    if (refuses()) return { code: 22, stdout: '', stderr: 'curl: (22) 500' }
    return { code: 0, stdout: existsSync(file) ? readFileSync(file, 'utf8') : 'null', stderr: '' }
  }
  return { run, others: [], left: new Set() } as unknown as Nginx
}

void test('when nginx does not take it all is as it was: closed with the former words, or open', async () => {
  await assert.rejects(
    setMaintenance(
      nginxOf(() => true),
      closed('new'),
    ),
  )
  assert.ok(!existsSync(file))
  await setMaintenance(
    nginxOf(() => false),
    closed('former'),
  )
  await assert.rejects(
    setMaintenance(
      nginxOf(() => true),
      closed('new'),
    ),
  )
  assert.match(readFileSync(file, 'utf8'), /"former"/)
})

void test('one at a time (75)', async () => {
  let letGo: (value?: unknown) => void = () => {}
  let begun: (value?: unknown) => void = () => {}
  const isTold = new Promise(resolve => (begun = resolve))
  const nginx = nginxOf(() => (begun(), false), new Promise(resolve => (letGo = resolve)))
  const slow = {
    run: (command: string[]) => (begun(), nginx.run(command)),
    others: [],
    left: new Set(),
  } as unknown as Nginx
  const first = setMaintenance(slow, closed('first'))
  await isTold
  await assert.rejects(
    setMaintenance(
      nginxOf(() => false),
      undefined,
    ),
    (error: Failure) => error.exitCode === 75,
  )
  letGo()
  await first
  assert.match(readFileSync(file, 'utf8'), /"first"/)
})
