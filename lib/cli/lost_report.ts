// Words about what a dump did not bring back.
import type { Lost } from '../postgres/bring_back.ts'
import { say } from '../system/progress.ts'

/** Says what did not come back, each with its SQL. */
export function sayLost(lost: Lost[]) {
  for (const { object, why, sql } of lost)
    say.warn([`not restored: ${object}: ${why}`, ...sql.split('\n')].join('\n    '))
}
