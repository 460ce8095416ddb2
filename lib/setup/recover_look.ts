// Looks at what there is to bring a lost site back from. Nothing is changed, and little is read: names, sizes, and the
// few files that are not encrypted.
import { startOf } from '../archive/bases.ts'
import { bytesToFetch, chainsIn } from '../archive/fetch_chain.ts'
import { listArchiveOffsite, type Offsite } from '../archive/offsite_listing.ts'
import { factsHere, factsOffsite } from '../archive/reach.ts'
import { chainNames } from '../archive/shipped.ts'
import { bytesOf } from '../backup/manifest.ts'
import { isOffsite, listOffsite, openOffsite } from '../backup/offsite/layout.ts'
import { listSets } from '../backup/sets.ts'
import { checkFits, readKey } from '../crypto/age.ts'
import { missingFiles } from '../docker/compose_files.ts'
import { EXIT, Failure, usage } from '../system/errors.ts'
import type { Settings } from '../system/settings.ts'
import { mistakesIn, newerButUseless, type ShownPlan } from './recover_doubts.ts'
import { type ChainThere, type Found, planRecovery, type RecoverPlan } from './recover_plan.ts'

const lookHere = ({ BACKUP_DIR: folder }: Settings, at: Date | undefined): Found => {
  const here = { here: true, bytes: 0 }
  const chains = chainNames(folder).flatMap(name => factsHere(folder, name, at) ?? [])
  return {
    chains: chains.map(it => ({ ...it, ...here })),
    sets: listSets(folder).sets.map(it => ({ ...it, ...here })),
  }
}

// One whose full base is gone has the name of a chain still.
const namesOf = (there: Offsite) => [...new Set([...there.keys()].map(path => path.split('/')[0]!))]

const lookOffsite = async (settings: Settings, { asOf, at }: Wish): Promise<Found> => {
  const site = await openOffsite(settings, asOf)
  try {
    const there = await listArchiveOffsite(site)
    const chains: ChainThere[] = []
    const useless: NonNullable<Found['useless']> = []
    for (const name of namesOf(there)) {
      const facts = chainsIn(there).includes(name) ? await factsOffsite(site, there, name, at) : undefined
      if (!facts && !at)
        useless.push({ what: `the chain ${name} off the site brings nothing back`, begun: startOf(name) })
      if (facts) chains.push({ ...facts, here: false, bytes: bytesToFetch(settings, there, name, asOf) })
    }
    const { sets, unknown } = await listOffsite(site)
    for (const name of unknown)
      useless.push({
        what: `the manifest of the set ${name} off the site cannot be understood`,
        begun: startOf(name.slice(name.lastIndexOf('-') + 1)),
      })
    return {
      useless,
      chains,
      sets: sets.map(it => ({ ...it, here: false, bytes: bytesOf(it) + (it.objects?.bytes ?? 0) })),
    }
  } finally {
    await site.dispose()
  }
}

const NOTHING: Found = { chains: [], sets: [] }

// What is here may be older: nobody takes it for the newest without having said so.
const orByHere = (settings: Settings, here: Found) => (error: unknown) => {
  if (!(error instanceof Failure) || error.exitCode !== EXIT.unreachable) throw error
  const what = here.chains.length + here.sets.length > 0 ? `to take what is in ${settings.BACKUP_DIR} alone` : ''
  throw new Failure(error.message, {
    exitCode: error.exitCode,
    cause: error,
    hint:
      'nothing was touched; is OFFSITE_ENDPOINT right, and can this machine reach it (network, DNS, ' +
      `firewall)?${what && ` Or ${what}: take the OFFSITE_ settings out of .env until the site is back`}`,
  })
}

/** Which of all that there was. */
export interface Wish {
  /** the bucket as it was then, and not what is in BACKUP_DIR */
  asOf: Date | undefined
  /** the database as it was then */
  at: Date | undefined
}

/**
 * Looks at what there is, in BACKUP_DIR and off the site. Throws a Failure: 64 when there is nothing, 69 when the
 * bucket does not answer, 78 for its settings.
 */
export async function findPlan(settings: Settings, wish: Wish): Promise<ShownPlan> {
  const { asOf, at } = wish
  const here = asOf ? NOTHING : lookHere(settings, at)
  const away = asOf || isOffsite(settings) ? await lookOffsite(settings, wish).catch(orByHere(settings, here)) : NOTHING
  const { useless = [] } = away
  const found = { useless, chains: [...here.chains, ...away.chains], sets: [...here.sets, ...away.sets] }
  const plan = planRecovery(found, at)
  const missing = missingFiles().map(it => `COMPOSE_FILE in .env names ${it}, which is not here and in no copy`)
  const mistakes = mistakesIn(plan, new Date())
  return { ...plan, mistakes, doubts: [...mistakes, ...newerButUseless(found, plan), ...missing] }
}

/** Throws a Failure: 64 without a key that is needed, 65 when it is not the one. */
export async function checkKey({ database, files }: RecoverPlan, keyFile: string | undefined) {
  const locked = [
    database.kind === 'archive'
      ? { what: `the chain ${database.chain.chain}`, recipients: database.chain.recipients }
      : { what: `the set ${database.set.name}`, recipients: database.set.recipients },
    ...(files ? [{ what: `the set ${files.name}`, recipients: files.recipients }] : []),
  ]
  for (const { what, recipients } of locked) {
    if (!recipients) continue
    if (keyFile === undefined) throw usage(`${what} is encrypted`, 'name the file with the private key: --key FILE')
    checkFits(await readKey(keyFile), recipients, what)
  }
}
