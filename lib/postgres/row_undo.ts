// What bringing rows back has changed, in a file for each time, by which it is undone.
import { rmSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import * as v from 'valibot'
import { EXIT, Failure, messageOf, usage } from '../system/errors.ts'
import { namesInFolder, readSmall, replaceFile } from '../system/files.ts'
import { timestamp } from '../system/format.ts'
import { readJson, time } from '../system/schema.ts'
import { say } from '../system/progress.ts'
import { stateFile, statePath } from '../system/state_folder.ts'

const ROW = v.array(v.nullable(v.string()))
const UNDO = v.object({
  version: v.literal(1),
  database: v.string(),
  /** as the server quotes it */
  table: v.string(),
  from: v.string(),
  time,
  columns: v.array(v.string()),
  changes: v.array(v.object({ key: ROW, before: v.nullable(ROW), after: v.nullable(ROW) })),
})

export type RowUndo = v.InferOutput<typeof UNDO>

const FORM = /^rows-[\w.-]+-\d{8}T\d{6}Z\.json$/

/** Where it is kept: its rows are personal data, so for its owner alone. */
export function undoFile(table: string, now: Date) {
  return stateFile(`rows-${table.replaceAll(/[^\w.]/g, '')}-${timestamp(now)}.json`)
}

export function writeRowUndo(file: string, undo: RowUndo) {
  replaceFile(file, `${JSON.stringify(undo)}\n`, 0o600)
}

/** Throws a Failure: 64 when there is no such file, 65 when it is damaged. */
export function readRowUndo(file: string): RowUndo {
  const text = readSmall(file) ?? readSmall(statePath(basename(file)))
  if (text === undefined) throw usage(`there is no ${file}`, 'each --rows names its own when it has ended')
  const { value, damage } = readJson(UNDO, text)
  if (value) return value
  throw new Failure(`${file} is not what --rows has written: ${damage}`, { exitCode: EXIT.data })
}

/** Removes those that are older than so many days. Gives their names. */
export function removeRowUndos(days: number, now = new Date()) {
  const old = namesInFolder(statePath('')).filter(name => {
    return FORM.test(name) && now.getTime() - statSync(statePath(name)).mtimeMs >= days * 86_400_000
  })
  return old.filter(name => {
    try {
      rmSync(statePath(name))
      return true
    } catch (error) {
      say.warn(`${name} could not be removed: ${messageOf(error)}`)
      return false
    }
  })
}
