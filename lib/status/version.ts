// Which version of the scripts runs.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { root } from '../system/checkout.ts'
import { attempt } from '../system/run.ts'
import { readJson } from '../system/schema.ts'

export interface Version {
  /** that of CHANGELOG.md */
  version: string
  /** of this checkout, shortened; null when it is none, or another user's */
  commit: string | null
}

const PACKAGE = v.object({ version: v.string() })

export async function readVersion(): Promise<Version> {
  const { value } = readJson(PACKAGE, readFileSync(join(root, 'package.json'), 'utf8'))
  // Not the commit of a repository that the checkout only lies in.
  const env = { GIT_CEILING_DIRECTORIES: dirname(root) }
  const { code, stdout } = await attempt(['git', '-C', root, 'rev-parse', '--short', 'HEAD'], { env })
  return { version: value?.version ?? 'unknown', commit: code === 0 ? stdout.trim() : null }
}
