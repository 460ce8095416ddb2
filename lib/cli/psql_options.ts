// The words of psql.ts, and which of them go together.
import { usage } from '../system/errors.ts'
import type { Values } from './options.ts'

export const PSQL_OPTIONS = {
  'read-only': { help: 'open every transaction read only. It guards against slips: whoever types SET can lift it' },
  at: {
    value: 'time',
    help:
      'look at the database as it was at this moment (the forms of backup_restore.ts --at): read only, in a ' +
      'throw-away server without a network that is gone when psql ends',
  },
  set: {
    value: 'name',
    help: "the same with a backup set: its name or the beginning of it. psql's own --set name=value is handed on",
    form: [/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/, 'the name of a backup set'] as const,
  },
  key: {
    value: 'file',
    help:
      'the private key to an encrypted set, or to a moment that is no longer beside the database (an age identity ' +
      'file); it is only read',
  },
  wait: { help: 'with --at or --set: queue when a backup or a restore is running, instead of ending with 75' },
}

/** Whether a person wants the past. Throws a Failure (64) when the words do not go together. */
export function isPast({ at, set, key }: Values<typeof PSQL_OPTIONS>) {
  if (at !== undefined && set !== undefined) throw usage('--at and --set exclude one another')
  if (key !== undefined && set === undefined && at === undefined) throw usage('--key is for --set and --at')
  return at !== undefined || set !== undefined
}
