// The moment that the words of a command mean.
import type { RecoveryTarget } from '../postgres/recovered.ts'
import { targetBefore } from '../restore/before_deploy.ts'
import { targetOf } from '../restore/moments.ts'
import { say } from '../system/progress.ts'

/** Undefined when they mean a dump. Throws a Failure (64) when there is no such moment. */
export function targetFrom(
  options: { at: string | undefined; 'before-deploy': boolean },
  release: string | undefined,
): RecoveryTarget | undefined {
  if (options.at !== undefined) return targetOf(options.at)
  if (!options['before-deploy']) return undefined
  const { target, others } = targetBefore(release)
  for (const other of others) say.warn(`it was deployed before, too: ${other}`)
  return target
}
