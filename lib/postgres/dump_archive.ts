// What is in a dump, found out by reading all of it with the server's own pg_restore: a list of contents alone does not
// see a dump that was cut short.
import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { EXIT, Failure } from '../system/errors.ts'
import { inServer, type Server } from './server.ts'
import { attempt } from '../system/run.ts'

/** What pg_restore says of a dump. */
export interface Dump {
  /** the database that it was made of */
  database: string
  /** "2026-11-22 21:38:05 UTC" */
  made: string
  /** the server's version, "18.1" */
  server: string
  /** a table's name as PostgreSQL prints it (qualified, quoted where it must be) → its rows */
  tables: Record<string, number>
  /** of its data as text, uncompressed */
  bytes: number
}

// Counts the lines of each table's data, and at the end all bytes. In COPY's text form a row is one line, whatever is
// in it.
const COUNT = String.raw`
  { bytes += length($0) + 1 }
  END { printf "%.0f\n", bytes }
  counting && $0 == "\\." { printf "%.0f %s\n", rows, name; counting = 0; next }
  counting { rows++; next }
  /^COPY / { name = $0; rows = 0; counting = 1 }
`

/** Reads the name out of a line like: COPY public."Odd (name" (id, "a column") FROM stdin; */
export function tableOf(line: string) {
  return /^COPY ((?:"(?:[^"]|"")+"|[^". ]+)\.(?:"(?:[^"]|"")+"|[^". ]+)) /.exec(line)?.[1]
}

const refused = (file: string, why: string) =>
  new Failure(`${file} is not a dump that can be used: ${why}`, {
    exitCode: EXIT.data,
    hint: 'nothing was touched; take another one (scripts/backup.ts --list)',
  })

/** Words of PostgreSQL's that people need to understand what is wrong with a file. */
const explain = (stderr: string) => {
  const words =
    stderr
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^pg_restore: (error: )?/, '') ?? ''
  if (/did not find magic string|too short|is empty|text format/.test(words))
    return `it is not an archive of pg_dump (${words})`
  if (/unsupported version/.test(words)) return `it was made by a newer PostgreSQL (${words})`
  if (/end of file|could not read/.test(words)) return `it ends too early (${words})`
  return `it is damaged (${words})`
}

/**
 * Reads a whole dump through the server's pg_restore; nothing is written anywhere. One in directory format must be
 * where the server sees it: `inside` is its path there. Throws a Failure that says what is wrong with a dump that is
 * empty, cut short, damaged, of a newer version, or without any table's data.
 */
export async function readDump(server: Server, file: string, inside?: string): Promise<Dump> {
  if (!existsSync(file)) throw refused(file, 'there is no such file')
  if (statSync(file).size === 0) throw refused(file, 'it is empty')
  const read = async (...words: string[]) => {
    if (inside !== undefined) return attempt(inServer(server, ...words, inside))
    const from = openSync(file, 'r')
    try {
      return await attempt(inServer(server, ...words), { from })
    } finally {
      closeSync(from)
    }
  }
  const list = await read('pg_restore', '--list')
  if (list.code !== 0) throw refused(file, explain(list.stderr))
  const shell = 'set -o pipefail; pg_restore --data-only --file=- "$@" | LC_ALL=C awk "$0"'
  const full = await read('bash', '-c', shell, COUNT)
  if (full.code !== 0) throw refused(file, explain(full.stderr))
  const lines = full.stdout.split('\n').filter(Boolean)
  const bytes = Number(lines.pop())
  const tables: Record<string, number> = {}
  for (const line of lines) {
    const [rows = '', ...words] = line.split(' ')
    const table = tableOf(words.join(' '))
    if (table === undefined) throw refused(file, `its data cannot be understood: ${words.join(' ')}`)
    // The partitions of a dump made with --load-via-partition-root all bear the name of their root.
    tables[table] = (tables[table] ?? 0) + Number(rows)
  }
  if (Object.keys(tables).length === 0) throw refused(file, 'it holds no data of any table')
  const headOf = (name: string) => {
    const found = new RegExp(`^; +${name} (.*)$`, 'm').exec(list.stdout)?.[1]
    if (found === undefined) throw refused(file, `what pg_restore lists of it has no "${name}"`)
    return found.trim()
  }
  return {
    database: headOf('dbname:'),
    made: headOf('Archive created at'),
    server: headOf('Dumped from database version:').replace(/ .*/, ''),
    tables,
    bytes,
  }
}
