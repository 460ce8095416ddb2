// What others hear of what happened: the words, and what is never in them.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { Journal } from '../../lib/deploy/journal.ts'
import { deployedText, failedText, type Told } from '../../lib/deploy/tell_deploy.ts'
import { Failure } from '../../lib/system/errors.ts'
import { noticeText, tellPeople } from '../../lib/system/notify.ts'
import { reportTo, SILENT } from '../../lib/system/progress.ts'
import type { Settings } from '../../lib/system/settings.ts'

reportTo(SILENT)

const settings = {
  WHOST: 'site.example',
  texts: new Map([
    ['POSTGRES_PASSWORD', 'correct-horse'],
    ['RNCP_API_KEY', 'abcdefgh'],
    ['MINIO_SECRET_KEY', 'short'],
    ['SECRET_KEY_BASE', 'abcdefgh-and-more'],
    ['MAIL_PWD', 'hunter22222'],
  ]),
}

// what was said → what a chat gets of it
const SAID: [text: string, heard: string][] = [
  ['all is well', 'all is well'],
  ['the dump failed\n  DETAIL: Key (name)=(Anne) exists', 'the dump failed'],
  ['cannot log in as correct-horse with abcdefgh', 'cannot log in as … with …'],
  ['a short answer', 'a short answer'],
  ['https://anne:token@git.example/avril is gone', 'https://git.example/avril is gone'],
  ['/inscription?email=a@b.fr 502 (3 times)', '/inscription?… 502 (3 times)'],
  ['the key abcdefgh-and-more, the mail hunter22222', 'the key …, the mail …'],
  ['postgres://u:pa@ss/word@db is gone', 'postgres://db is gone'],
  ['see .@channel, a.@here', 'see .@\u200Bchannel, a.@\u200Bhere'],
  ['[click](https://evil.example)', '[click]\u200B(https://evil.example)'],
  ['does it run? Then again', 'does it run? Then again'],
  ['anne@10.0.0.1 deployed', 'anne@10.0.0.1 deployed'],
  ['"hello @channel <!here> \u0007\u202E"', '"hello @\u200Bchannel ‹!here›   "'],
]
for (const [text, heard] of SAID)
  void test(`a notice of ${JSON.stringify(text)}`, () => {
    assert.equal(noticeText(settings, true, text), `✓ site.example: ${heard}`)
  })

const told = (change: Partial<Journal>, subject = ''): Told => ({
  journal: {
    who: 'anne@10.0.0.1',
    repository: 'avril',
    service: 'phoenix',
    from: 'avril-phoenix:1111',
    to: 'avril-phoenix:2222',
    since: '2026-11-28T20:00:00.000Z',
    pid: 1,
    phase: 'tidy',
    phases: {},
    revision: null,
    rollback: false,
    next: null,
    ...change,
  },
  subject,
})
const visits = (requests: number, failed: number) => ({
  visits: { before: null, during: { requests, failed, p50: 0.01, p99: 0.1 } },
})
const profile = { repository: 'avril-profil', service: 'nuxt_profile' }

// what was deployed, and in which words that is told
const DEPLOYED: [told: Told[], text: string][] = [
  [
    [told(visits(9000, 3), 'Shorter forms')],
    'anne@10.0.0.1 deployed avril 2222 "Shorter forms" in 48.2 s; 3 of 9,000 requests failed. The way back: tsx ' +
      'scripts/deploy_local.ts --rollback avril',
  ],
  [
    [told({ ...visits(0, 0), from: null })],
    'anne@10.0.0.1 deployed avril 2222 in 48.2 s; nobody asked for it meanwhile',
  ],
  [[told({ from: null })], 'anne@10.0.0.1 deployed avril 2222 in 48.2 s'],
  [
    [told({ rollback: true })],
    'anne@10.0.0.1 went back to avril 2222 in 48.2 s. Forward again: tsx scripts/deploy_local.ts avril',
  ],
  [
    [told(visits(1, 0)), told({ ...profile, ...visits(1, 1) })],
    'anne@10.0.0.1 deployed avril 2222 and avril-profil 2222 as one release in 48.2 s; 1 of 2 requests failed. ' +
      'The way back: tsx scripts/deploy_local.ts --rollback avril; tsx scripts/deploy_local.ts --rollback ' +
      'avril-profil',
  ],
]
for (const [all, text] of DEPLOYED)
  void test(`a good deploy is told: ${text}`, () => {
    assert.equal(deployedText(all, 48_200), text)
  })

const failure = new Failure('avril was not deployed, phase healthy: it died\n  and its log', {
  hint: 'the site is as it was; correct the cause, then run this again',
})
const FAILED: [told: Told[], text: string][] = [
  [[told({ rollback: true })], 'avril by anne@10.0.0.1 failed after 30.0 s|--rollback avril'],
  [[told({}), told(profile)], 'avril and avril-profil by anne@10.0.0.1 failed after 30.0 s|--together'],
]
for (const [all, text] of FAILED)
  void test(`a deploy that failed is told: ${text}`, () => {
    const [begin, command] = text.split('|')
    assert.equal(
      failedText(all, failure, 30_000),
      `the deploy of ${begin}: avril was not deployed, phase healthy: it died; the site is as it was; correct the ` +
        `cause, then run this again (tsx scripts/${all.length > 1 ? 'deploy_all.ts' : 'deploy_local.ts'} ` +
        `${command})`,
    )
  })

// how a webhook answers → whether the message was delivered
const ANSWERS: [status: number, headers: Record<string, string>, delivered: boolean][] = [
  [200, {}, true],
  [500, {}, false],
  // Followed, it would be a GET without the message.
  [301, { location: '/elsewhere' }, false],
]
for (const [status, headers, delivered] of ANSWERS)
  void test(`a webhook that answers ${status}`, async () => {
    const server = createServer((request, response) =>
      response.writeHead(request.url === '/hook' ? status : 200, headers).end(),
    )
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const NOTICE_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
    assert.equal(await tellPeople({ ...settings, NOTICE_URL } as unknown as Settings, true, 'all is well'), delivered)
    server.close()
    server.closeAllConnections()
  })
