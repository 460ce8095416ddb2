// What in the database pg_restore cannot make again by itself: said at each backup, before the day comes.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../system/checkout.ts'
import { messageOf } from '../system/errors.ts'
import { rows, type Server } from '../postgres/server.ts'
import { say } from '../system/progress.ts'
import { checkInterruption } from '../system/signals.ts'

interface Fragile {
  /** in PostgreSQL's words: "index public.tags_slug" */
  object: string
  /** what it calls, itself or by another function */
  function: string
  /** what that names without its schema */
  word: string
}

const SHOWN = 5

/** The words for them, one warning in all; none when there is none. */
export function fragileText(found: Fragile[], searchPath: string) {
  if (found.length === 0) return undefined
  const lines = found.slice(0, SHOWN).map(it => `${it.object}: ${it.function} names ${it.word} without its schema`)
  const functions = [...new Set(found.map(it => it.function))].slice(0, SHOWN)
  return [
    'pg_restore alone cannot make this again (backup_restore.ts tries it in the search_path of the site):',
    ...lines.map(line => `  ${line}`),
    ...(found.length > SHOWN ? [`  … and ${found.length - SHOWN} more`] : []),
    'for good, in a migration:',
    ...functions.map(it => `  alter function ${it} set search_path = ${searchPath};`),
  ].join('\n')
}

/** Warns of it. That this cannot be found out is no reason to have no backup. */
export async function warnOfFragile(server: Server, searchPath: string) {
  try {
    const text = fragileText(
      await rows<Fragile>(server, server.database, readFileSync(join(root, 'postgres', 'fragile.sql'), 'utf8')),
      searchPath,
    )
    if (text !== undefined) say.warn(text)
  } catch (error) {
    checkInterruption()
    say.detail(`what a restore cannot make again was not looked for: ${messageOf(error)}`)
  }
}
