// A developer's copy: what was downloaded, restored into the stack of this checkout.
import { existsSync } from 'node:fs'
import { loadSettings } from '../config.ts'
import { usage } from '../errors.ts'
import { restore } from '../restore/restore.ts'
import { conclude } from '../restore/restore_report.ts'
import type { RoleOptions } from '../restore/roles.ts'
import type { Manifest } from '../backup/sets.ts'
import { openStack } from '../stack.ts'

/**
 * Checks, before anything is asked of the server, that there is a stack here to restore into; gives what does it.
 * Throws a Failure (64, 69, 78).
 */
export const openHere = async (anonymise: string | undefined) => {
  if (anonymise !== undefined && !existsSync(anonymise)) throw usage(`there is no ${anonymise}`)
  const settings = loadSettings()
  const stack = await openStack()
  return {
    restore: async (set: Manifest, dump: string, { ask, ...roles }: RoleOptions & { ask: boolean }) => {
      const request = {
        word: dump,
        into: undefined,
        files: false,
        keyFile: undefined,
        fromDatabase: set.database.name,
        anonymise,
        vouched: set,
        ...roles,
      }
      const result = await restore(stack, settings, request, { ask, wait: false, dryRun: false, json: false })
      if (result) conclude(result)
      return result
    },
  }
}
