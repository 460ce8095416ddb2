// What a site that was lost comes back from, brought into BACKUP_DIR. Nothing of it is held hostage by one file that is
// damaged: then what is next to it is taken, and it is said what that costs.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkArchive } from '../archive/check_archive.ts'
import { bringChain } from '../archive/fetch_chain.ts'
import { factsHere } from '../archive/reach.ts'
import { checkSet } from '../backup/check_set.ts'
import { fetchSet } from '../backup/offsite/pull.ts'
import { type BackupSet, listSets } from '../backup/sets.ts'
import { EXIT, Failure } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import type { Settings } from '../system/settings.ts'
import { momentText } from '../system/site_time.ts'
import { type ChainThere, planRecovery, type RecoverPlan, type SetThere } from './recover_plan.ts'

const nothingWhole = () =>
  new Failure('there is neither a chain of the archive nor a set that is whole', {
    exitCode: EXIT.data,
    hint: 'nothing was put in place; the lines above say what is damaged. When somebody has overwritten it: --as-of',
  })

/** What of a chain is not what it was, once it is in BACKUP_DIR. */
const bring = async (settings: Settings, { chain, here }: ChainThere, asOf: Date | undefined) => {
  const damaged = here
    ? (await checkArchive(settings)).filter(it => it.chain === chain)
    : (await bringChain(settings, chain, true, asOf)).damaged
  for (const { text } of damaged) say.warn(text)
  return damaged
}

/**
 * The plan by chains of which each file was compared with its sha256: one may bring back less than its names promised.
 * Then what else there is counts: the same one off the site, or another one.
 */
const bringChains = async (settings: Settings, first: RecoverPlan, asOf: Date | undefined): Promise<RecoverPlan> => {
  const until = first.isPast ? new Date(first.at) : undefined
  const proved = new Set<string>()
  let plan = first
  while (plan.database.kind === 'archive') {
    const { chain, here } = plan.database.chain
    if (here && proved.has(chain)) break
    const damaged = await bring(settings, plan.database.chain, asOf)
    const facts = factsHere(settings.BACKUP_DIR, chain, until, damaged)
    proved.add(chain)
    // What was brought is here now; what is off the site may be better than what is here.
    const others = plan.chains.filter(it => it.chain !== chain || (here && !it.here))
    const chains = [...others, ...(facts ? [{ ...facts, here: true, bytes: 0 }] : [])]
    if (chains.length + plan.sets.length === 0) throw nothingWhole()
    plan = planRecovery({ chains, sets: plan.sets }, until)
  }
  return plan
}

const damageOf = async (set: BackupSet) => {
  try {
    await checkSet(set)
    return undefined
  } catch (error) {
    if (error instanceof Failure && error.exitCode === EXIT.data) return error
    throw error
  }
}

const putAside = (folder: string) => {
  if (!existsSync(folder)) return
  rmSync(`${folder}.damaged`, { recursive: true, force: true })
  renameSync(folder, `${folder}.damaged`)
}

const isSame = (a: Pick<SetThere, 'files'>, b: Pick<SetThere, 'files'>) =>
  Object.entries(a.files).every(([file, { sha256 }]) => b.files[file]?.sha256 === sha256) &&
  Object.keys(a.files).length === Object.keys(b.files).length

// One of that name may be here and damaged, or be another one than there was in the bucket then.
const bringSet = async (settings: Settings, set: SetThere, sets: SetThere[], asOf: Date | undefined) => {
  const { name } = set
  const here = listSets(settings.BACKUP_DIR).sets.find(it => it.name === name)
  const damage = here && (await damageOf(here))
  if (here && !damage && (!asOf || isSame(here, set))) return
  if (damage && !sets.some(it => it.name === name && !it.here)) throw damage
  if (damage) say.warn(`${damage.message}: it is brought from off the site`)
  putAside(join(settings.BACKUP_DIR, name))
  await fetchSet(settings, name, true, asOf)
}

/** Brings the first of these sets that is whole; undefined when none is. */
const bringFirst = async (settings: Settings, sets: SetThere[], asOf: Date | undefined) => {
  for (const set of sets)
    try {
      await bringSet(settings, set, sets, asOf)
      return set
    } catch (error) {
      if (!(error instanceof Failure) || error.exitCode !== EXIT.data) throw error
      say.warn(`${set.name} is not taken: ${error.message}`)
    }
  return undefined
}

const bringSets = async (settings: Settings, plan: RecoverPlan, asOf: Date | undefined): Promise<RecoverPlan> => {
  const files = await bringFirst(
    settings,
    plan.sets.filter(({ objects }) => objects),
    asOf,
  )
  if (plan.database.kind === 'archive') return { ...plan, files }
  const set = await bringFirst(settings, plan.sets, asOf)
  if (set) return { ...plan, files, database: { kind: 'set', set }, at: set.made }
  throw nothingWhole()
}

/** What a recovery uses, by what has come; and what does not come back, in words. */
export interface Brought {
  plan: RecoverPlan
  /** there are uploaded files, and each set that has them is damaged */
  incomplete: boolean
}

/**
 * Brings into BACKUP_DIR what the plan needs and is not there. Gives the plan by what has come: where a chain turns out
 * to be damaged, its moments before that, another one, or the newest set; where a set is, the one before. Throws a
 * Failure as the transfers do, 65 when nothing is whole.
 */
export async function bringAll(settings: Settings, first: RecoverPlan, asOf: Date | undefined): Promise<Brought> {
  const plan = await bringSets(settings, await bringChains(settings, first, asOf), asOf)
  const incomplete = first.files !== undefined && plan.files === undefined
  const gone = [
    ...(Date.parse(plan.at) < Date.parse(first.at)
      ? [`what was committed after ${momentText(new Date(plan.at))}: what comes later is damaged`]
      : []),
    ...(incomplete ? ['the uploaded files: each set that has them is damaged'] : []),
  ]
  for (const line of gone) say.warn(`lost: ${line}`)
  return { plan: { ...plan, lost: [...gone, ...plan.lost] }, incomplete }
}
