// Goes through the steps that make a server: each is looked at, done where it is wanted and possible, and looked at
// again.
import { type Finding, findingOf, unknown } from './findings.ts'
import { takeLock } from '../system/lock.ts'
import { say, silence } from '../system/progress.ts'
import { seconds } from '../system/format.ts'
import { interruption, sleep } from '../system/signals.ts'

export interface Step {
  name: string
  /** the steps that must be in order before this one can be looked at */
  needs: string[]
  /** the steps that must be in order, too, before it is mended */
  mendAfter?: string[]
  look: () => Finding[] | Promise<Finding[]>
  /** Does what a finding says it will (Finding.mend). Throws a Failure when it cannot. */
  mend?: (finding: Finding) => Promise<void>
}

export interface SetupResult extends Finding {
  step: string
}

/** In milliseconds: a screen that stands still for longer makes people press Ctrl-C. */
const PATIENCE = 15_000

/**
 * Waits for work, and whenever nothing was said for some time says what `tell` knows of it: how far it is, after so
 * many seconds.
 */
export async function accompany<T>(work: Promise<T>, tell: (spent: string) => string | Promise<string>) {
  const started = performance.now()
  const over = new AbortController()
  const done = work.finally(() => over.abort())
  const speak = async () => {
    for (;;) {
      await sleep(Math.max(PATIENCE - silence(), 100), over.signal)
      if (over.signal.aborted) return
      if (silence() >= PATIENCE) say.detail(await tell(seconds(performance.now() - started)))
    }
  }
  // What it cannot tell any more (a signal, an engine that is gone) the work itself tells.
  speak().catch(() => {})
  return done
}

const lookAt = async ({ look }: Step) => {
  try {
    return await look()
  } catch (error) {
    return [findingOf(error)]
  }
}

/**
 * Does what can be done about the findings; gives those that are left then. A failure takes the place of what it could
 * not mend.
 */
const mendAll = async (step: Step, findings: Finding[]) => {
  const failures = new Map<string, Finding>()
  const wanted = new Map(
    findings.flatMap(finding => (finding.mend === undefined ? [] : [[finding.mend, finding] as const])),
  )
  if (!step.mend || wanted.size === 0) return findings
  for (const [what, finding] of wanted) {
    say.step(`${step.name}: ${what}`)
    try {
      await accompany(step.mend(finding), spent => `still at it, after ${spent}`)
    } catch (error) {
      if (interruption.aborted) throw error
      failures.set(what, findingOf(error))
    }
  }
  // One installation that failed is one failure, however much it would have mended.
  const left = (await lookAt(step)).map(it => (it.mend === undefined ? it : (failures.get(it.mend) ?? it)))
  return [...new Set(left)]
}

const mendUnless = async (step: Step, findings: Finding[], missing: string[]) => {
  if (missing.length === 0) return mendAll(step, findings)
  const hint = `nothing is begun before ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} in order`
  return findings.map(finding => (finding.mend === undefined ? finding : { ...finding, hint }))
}

const withHint = (finding: Finding): Finding =>
  finding.mend === undefined || finding.hint !== undefined
    ? finding
    : { ...finding, hint: `tsx scripts/setup.ts does that: ${finding.mend}` }

/** Goes through the steps; `mend`: does what can be done. `found` hears of each finding as it is known. */
export async function goThrough(steps: Step[], mend: boolean, found: (result: SetupResult) => void) {
  const results: SetupResult[] = []
  const stopped = new Set<string>()
  for (const step of steps) {
    const missing = step.needs.filter(name => stopped.has(name))
    const first =
      missing.length > 0 ? [unknown(`this needs ${missing.join(' and ')} to be in order`)] : await lookAt(step)
    const findings = mend
      ? await mendUnless(
          step,
          first,
          (step.mendAfter ?? []).filter(name => stopped.has(name)),
        )
      : first.map(withHint)
    if (missing.length > 0 || findings.some(({ level }) => level === 'bad')) stopped.add(step.name)
    for (const finding of findings) {
      const result = { step: step.name, ...finding }
      results.push(result)
      found(result)
    }
  }
  return results
}

/** The findings of all steps in their order; nothing is changed. */
export function lookAtAll(steps: Step[], found: (result: SetupResult) => void) {
  return goThrough(steps, false, found)
}

/** The same, with what can be done done first, one after another. */
export async function setUp(steps: Step[], found: (result: SetupResult) => void) {
  const lock = await takeLock('setup.lock', () => 'another setup.ts', true)
  try {
    return await goThrough(steps, true, found)
  } finally {
    await lock.dispose()
  }
}
