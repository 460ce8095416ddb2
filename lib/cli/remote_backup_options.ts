// The words of backup_remote.ts, and which of them go together.
import { usage } from '../system/errors.ts'
import { PREFIX } from './backup_options.ts'
import { ON, type Values } from './options.ts'

export const REMOTE_BACKUP_OPTIONS = {
  on: ON,
  key: { value: 'file', help: 'the private key here, when the server encrypts its sets: the dump is decrypted here' },
  restore: { help: 'then restore it into the stack here' },
  anonymise: {
    value: 'sql file',
    help: "with --restore: run this SQL on what was restored, as phoenix's role, before it takes its place",
  },
  'no-owner': { help: 'with --restore: everything belongs to POSTGRES_USER, whoever owned it' },
  'no-acl': { help: 'with --restore: leave out the rights that the dump grants' },
  'no-files': { help: 'the set on the server is of the database alone, without the uploaded files' },
  yes: { help: 'do not ask before the database here is replaced (needed without a terminal)' },
  json: { help: 'print the result as one JSON document on stdout' },
}

/** Throws a Failure (64) when the words do not go together. */
export function checkRemoteBackupWords(options: Values<typeof REMOTE_BACKUP_OPTIONS>, name: string | undefined) {
  if (!options.restore && (options.anonymise !== undefined || options['no-owner'] || options['no-acl'] || options.yes))
    throw usage('--anonymise, --no-owner, --no-acl and --yes go with --restore')
  if (name !== undefined && !PREFIX.test(name))
    throw usage(`${JSON.stringify(name)} cannot be the name of a dump`, 'up to 41 letters, digits, - and _')
}
