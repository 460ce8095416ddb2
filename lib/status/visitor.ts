// The site as a visitor from outside sees it: asked by its public name and port, with the certificate looked at.
import { lookup } from 'node:dns/promises'
import { type SmokeTest, troubleIn } from '../docker/smoke.ts'
import { hasPublicIpv6 } from '../system/networks.ts'
import { certificateTrouble, isSelfMade } from './shown_certificate.ts'
import type { SiteAddress } from './site_address.ts'
import type { Trouble } from './troubles.ts'
import { codeOf, getPage, type Heard, type Destination, wordsOf } from './visitor_request.ts'

/** An app's page, and what it must answer. */
export interface Page {
  service: string
  test: SmokeTest
}

export interface Visit {
  troubles: Trouble[]
  /** what is worth knowing, and no trouble */
  notes: string[]
  /** its public name led to it from this machine */
  byName: boolean
}

const HOPS = 10

/** Where a redirect leads on this site; undefined when it leads to another one. */
const nextOn = ({ scheme, host }: SiteAddress, path: string, location: string) => {
  try {
    const next = new URL(location, `${scheme}://${host}${path}`)
    return next.hostname === host && next.protocol === `${scheme}:` ? `${next.pathname}${next.search}` : undefined
  } catch {
    return undefined
  }
}

/** What is wrong with a page, as a visitor sees it at the end of all redirects; undefined when nothing is. */
const pageTrouble = async (place: SiteAddress, target: Destination, { test }: Page, first: Heard) => {
  if (test.status !== undefined) return troubleIn(test, first)
  const seen = new Set([test.path])
  for (let [path, heard] = [test.path, first]; ; heard = await getPage(place, target, path)) {
    if (heard.status < 300 || heard.status >= 400) {
      return troubleIn({ ...test, path: path.split('?')[0] ?? path }, heard)
    }
    const next = nextOn(place, path, heard.location)
    if (next === undefined && heard.location !== '') return undefined
    if (next === undefined || seen.has(next) || seen.size > HOPS)
      return `${test.path} redirects in a circle (to ${(next ?? '').split('?')[0]})`
    seen.add((path = next))
  }
}

const PAGE_OF = 'page of '

/** Whether it is about what visitors get of an app. */
export function isOfPage(about: string) {
  return about.startsWith(PAGE_OF)
}

const visitPage = async (place: SiteAddress, target: Destination, page: Page, first?: Heard): Promise<Trouble[]> => {
  const about = `${PAGE_OF}${page.service}`
  try {
    const trouble = await pageTrouble(place, target, page, first ?? (await getPage(place, target, page.test.path)))
    return trouble === undefined ? [] : [{ about, text: `visitors of ${page.service}: ${trouble}` }]
  } catch (error) {
    return [{ about, text: `visitors of ${page.service}: ${page.test.path} ${wordsOf(error)}` }]
  }
}

const attempt = async (place: SiteAddress, target: Destination, path: string) => {
  try {
    return { heard: await getPage(place, target, path), error: undefined }
  } catch (error) {
    return { heard: undefined, error }
  }
}

/** Asks by the public name; gives the address that it has, what was heard, and otherwise what was in the way. */
const askByName = async (place: SiteAddress, path: string) => {
  const { host, port } = place
  try {
    const found =
      host === 'localhost' ? [{ address: '127.0.0.1', family: 4 }] : await lookup(host, { all: true, verbatim: false })
    const [address = '', ...others] = found.map(it => it.address)
    return { target: { address, port }, others, ...(await attempt(place, { address, port }, path)) }
  } catch (error) {
    return { target: undefined, others: [], heard: undefined, error }
  }
}

/**
 * What visitors with IPv6 meet, whose browsers ask there first: of the addresses of the name behind the one that was
 * asked, the first of IPv6. They wait for it and then take the other, so nobody need get up for it.
 */
export async function visitByIpv6(place: SiteAddress, path: string, others: string[], canReach = hasPublicIpv6()) {
  const address = others.find(it => it.includes(':'))
  const nothing = { troubles: [], notes: [] }
  if (address === undefined) return nothing
  const where = `${place.host} (${address}, IPv6)`
  if (!canReach)
    return {
      troubles: [],
      notes: [`this server has no IPv6: whether visitors reach ${where} cannot be told from here`],
    }
  const { heard, error } = await attempt(place, { address, port: place.port }, path)
  if (heard) return nothing
  return {
    troubles: [{ about: 'ipv6', text: `visitors with IPv6: ${where} ${wordsOf(error)}`, slow: true }],
    notes: [],
  }
}

const judgeAll = async (place: SiteAddress, target: Destination, [first, ...others]: Page[], heard: Heard) => {
  const certificate = certificateTrouble(place.host, heard)
  const found = await Promise.all([
    visitPage(place, target, first!, heard),
    ...others.map(page => visitPage(place, target, page)),
  ])
  return [...(certificate ? [certificate] : []), ...found.flat()]
}

/**
 * Asks for each page as a visitor would. The public name may lead to an address that this machine cannot reach itself
 * (a router that does not turn its own packets round): then nginx is asked on this machine, by the same name, and that
 * is noted; where the name has led here before (`wasByName`), it is a trouble.
 */
export async function visit(place: SiteAddress, pages: Page[], wasByName: boolean): Promise<Visit> {
  const { host, here } = place
  const path = pages[0]?.test.path
  if (path === undefined) return { troubles: [], notes: ['no app has a page to ask for'], byName: wasByName }
  if (here.port === 0 && host === 'localhost')
    return {
      troubles: [],
      notes: ['nginx has a free port of the engine’s choice: no page was asked for'],
      byName: false,
    }
  const named = await askByName(place, path)
  const notesOf = (heard: Heard) =>
    isSelfMade(heard) ? ['the certificate is self-made: browsers warn each visitor of it'] : []
  if (named.heard) {
    const [found, byIpv6] = await Promise.all([
      judgeAll(place, named.target, pages, named.heard),
      visitByIpv6(place, path, named.others),
    ])
    const notes = [...notesOf(named.heard), ...byIpv6.notes]
    return { troubles: [...found, ...byIpv6.troubles], notes, byName: true }
  }
  const where = `${host}${named.target === undefined || host === 'localhost' ? '' : ` (${named.target.address})`}`
  const why = `${where} ${wordsOf(named.error)}`
  const { heard } = host === 'localhost' ? { heard: undefined } : await attempt(place, here, path)
  if (!heard)
    return { troubles: [{ about: 'site', text: `the site does not answer: ${why}` }], notes: [], byName: wasByName }
  const troubles = await judgeAll(place, here, pages, heard)
  // A name that is gone is so for everybody; an address may be out of reach from here alone.
  if (wasByName || codeOf(named.error) === 'ENOTFOUND') {
    const text = `visitors do not find the site: ${why}; on this machine nginx answers`
    return { troubles: [{ about: 'name', text }, ...troubles], notes: notesOf(heard), byName: wasByName }
  }
  const note =
    `from this server ${why}, so nginx was asked at ${here.address}; whether visitors reach it cannot be told from ` +
    'here'
  return { troubles, notes: [note, ...notesOf(heard)], byName: false }
}
