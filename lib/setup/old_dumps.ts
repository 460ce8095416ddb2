// The dumps that the bash scripts have left.
import { join } from 'node:path'
import { attempt } from '../system/run.ts'
import { type OldMachine, runScriptOn } from './old_machine.ts'

export interface OldDump {
  /** with its host before it when that is not this machine, as scp has it */
  file: string
  bytes: number
  /** when it was written */
  time: Date
}

// Files in pg_dump's own format begin so. What this user may not read is left out.
const FIND = `for it in "$@"; do
  [ -d "$it" ] || continue
  find "$it" -maxdepth 1 -type f -exec sh -c 'test "$(head -c 5 "$1" | tr -d "\\0")" = PGDMP' sh {} ';' \\
    -printf '%s %T@ %p\\0'
done 2>/dev/null; true`

/** The dumps in the folder that the old guide names, and those in the checkout's own, newest first. */
export async function listOldDumps({ host, folder }: OldMachine): Promise<OldDump[]> {
  const folders = ['/mnt/backups/avril', join(folder, 'db/dumps')]
  const text =
    host === undefined
      ? (await attempt(['sh', '-c', FIND, 'sh', ...folders])).stdout
      : await runScriptOn(host, 'looking for old dumps', FIND, folders)
  const dumps = text.split('\0').flatMap(line => {
    const [, bytes = '', seconds = '', file = ''] = /^(\d+) ([\d.]+) (.+)$/s.exec(line) ?? []
    const name = host === undefined ? file : `${host}:${file}`
    return file === '' ? [] : [{ file: name, bytes: Number(bytes), time: new Date(Number(seconds) * 1000) }]
  })
  return dumps.toSorted((a, b) => b.time.getTime() - a.time.getTime())
}
