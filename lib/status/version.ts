// Which version of the scripts runs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { root } from '../system/checkout.ts'
import { headOf } from '../git/repository.ts'
import { readJson } from '../system/schema.ts'

export interface Version {
  /** that of CHANGELOG.md */
  version: string
  /** of this checkout, shortened; null when it is none, or another user's */
  commit: string | null
}

const PACKAGE = v.object({ version: v.string() })

/** That of the scripts of this checkout. */
export async function readVersion(): Promise<Version> {
  const { value } = readJson(PACKAGE, readFileSync(join(root, 'package.json'), 'utf8'))
  return { version: value?.version ?? 'unknown', commit: await headOf(root) }
}
