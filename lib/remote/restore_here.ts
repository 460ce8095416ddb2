// A developer's copy: what was downloaded, restored into the stack of this checkout.
import { existsSync } from 'node:fs'
import { loadSettings } from '../system/settings.ts'
import { usage } from '../system/errors.ts'
import { hookLines } from '../system/hooks.ts'
import { openRestore } from '../restore/restore.ts'
import type { RoleOptions } from '../restore/check_roles.ts'
import type { Manifest } from '../backup/manifest.ts'
import { openStack } from '../docker/stack.ts'

/**
 * Checks, before anything is asked of the server, that there is a stack here to restore into; gives what opens it.
 * Throws a Failure (64, 69, 78).
 */
export async function openHere(anonymise: string | undefined) {
  if (anonymise !== undefined && !existsSync(anonymise)) throw usage(`there is no ${anonymise}`)
  const settings = loadSettings()
  const stack = await openStack()
  return {
    hooks: hookLines('restore', settings),
    openRestore: (set: Manifest, dump: string, roles: RoleOptions) => {
      const request = {
        name: dump,
        into: undefined,
        files: false,
        keyFile: undefined,
        fromDatabase: set.database.name,
        anonymise,
        vouched: set,
        ...roles,
      }
      return openRestore(stack, settings, request, false)
    },
  }
}
