// Backup sets: a folder for each in BACKUP_DIR, which gets its name when it is complete and verified.
//
//   avril-20261122T030000Z/
//     manifest.json      what is in it, and what the database had
//     database.dump      pg_dump's custom format
//     globals.sql        roles and their passwords' verifiers (pg_dumpall --globals-only)
//     objects.jsonl      the uploaded files: one a line
//     objects/ab/ab…     their contents, by their sha256; hard links to those of the set before where nothing changed

export interface Manifest {
  /** of this form */
  version: 1
  name: string
  /** ISO 8601, UTC */
  made: string
  host: string
  who: string
  database: {
    name: string
    /** PostgreSQL's version */
    server: string
    extensions: Record<string, string>
    /** qualified name, quoted where it must be → rows, in the dump's own snapshot */
    tables: Record<string, number>
  }
  /** the live image of each app */
  releases: Record<string, string>
  files: Record<string, { bytes: number; sha256: string }>
  objects: { count: number; bytes: number }
  /** spent in each step */
  seconds: Record<string, number>
}
