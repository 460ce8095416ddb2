// The moments that can be brought back: from a base to where nothing is missing after it.
import { EXIT, Failure, usage } from '../system/errors.ts'
import type { Settings } from '../system/settings.ts'
import type { Chain } from './bases.ts'
import { chainNames, readComplete, readShippedBases } from './shipped.ts'

/** ISO 8601, UTC */
export interface Window {
  from: string
  to: string
}

const utc = (time: string) => Date.parse(time)

/** Windows that meet or overlap are one; oldest first. */
export function joined(windows: Window[]): Window[] {
  const all: Window[] = []
  for (const { from, to } of windows.toSorted((a, b) => utc(a.from) - utc(b.from))) {
    const last = all.at(-1)
    if (last && utc(from) <= utc(last.to)) last.to = utc(to) > utc(last.to) ? to : last.to
    else if (utc(from) <= utc(to)) all.push({ from, to })
  }
  return all
}

const windowOf = ({ BACKUP_DIR }: Pick<Settings, 'BACKUP_DIR'>, chain: string): Window[] => {
  const [full] = readShippedBases(BACKUP_DIR, chain).bases
  const complete = readComplete(BACKUP_DIR, chain)
  return full?.kind === 'full' && complete ? [{ from: full.endedAt, to: complete.at }] : []
}

/** The windows of what is shipped. */
export function shippedWindows(settings: Pick<Settings, 'BACKUP_DIR'>): Window[] {
  return chainNames(settings.BACKUP_DIR).flatMap(chain => windowOf(settings, chain))
}

/** The window of what lies beside the database: from the newest full base to the time up to which all is received. */
export function localWindows(chains: Chain[], at: string | undefined): Window[] {
  const newest = chains.at(-1)
  return newest && at !== undefined ? [{ from: newest.full.endedAt, to: at }] : []
}

const thereAre = (settings: Pick<Settings, 'BACKUP_DIR'>) => {
  const windows = joined(shippedWindows(settings)).map(({ from, to }) => `from ${from} to ${to}`)
  const moments = windows.length > 0 ? `any moment ${windows.join(', and ')}` : 'no moment'
  return `nothing was touched; in ${settings.BACKUP_DIR} there is ${moments}`
}

/**
 * The chain in BACKUP_DIR by which a moment is brought back. Throws a Failure with the moments that there are: 64
 * when it is before or after all of them, 65 when it is in a gap.
 */
export function chainFor(settings: Pick<Settings, 'BACKUP_DIR'>, time: Date): string {
  const spans = chainNames(settings.BACKUP_DIR).flatMap(chain =>
    windowOf(settings, chain).map(({ from, to }) => ({ chain, from: utc(from), to: utc(to) })),
  )
  const [words, at] = [time.toISOString(), time.getTime()]
  const last = spans.findLast(({ from }) => from <= at)
  if (last && at <= last.to) return last.chain
  const hint = thereAre(settings)
  if (!last) throw usage(`${words} is before the first moment that can be brought back`, hint)
  if (last === spans.at(-1)) throw usage(`${words} is after the last moment that is in the archive`, hint)
  throw new Failure(`the archive has a gap at ${words}`, { exitCode: EXIT.data, hint })
}
