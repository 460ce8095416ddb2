// A set in one line of words.
import type { AppDrill } from './drill_apps.ts'
import { DRILL_LABEL } from '../docker/stack.ts'
import { counted, size } from '../system/format.ts'
import { bytesOf, type Manifest } from './manifest.ts'
import type { BackupSet } from './sets.ts'

export function rowsOf({ database }: Manifest) {
  return Object.values(database.tables).reduce((sum, rows) => sum + rows, 0)
}
export function filesText(objects: BackupSet['objects']) {
  return objects ? `${counted(objects.count, 'file')} (${size(objects.bytes)})` : 'no files'
}

/** "avril-20261122T030000Z: 61.3 MB, 52 tables, 1,204,112 rows, verified in 3.1 s" */
export function setText(set: BackupSet) {
  const { verify = 0, dump = 0, encrypt = 0 } = set.seconds
  const contents = [
    size(bytesOf(set)),
    counted(Object.keys(set.database.tables).length, 'table'),
    counted(rowsOf(set), 'row'),
    filesText(set.objects),
  ].join(', ')
  return (
    `${set.name}: ${contents}; dumped in ${dump.toFixed(1)} s, verified in ${verify.toFixed(1)} ` +
    `s${set.recipients ? `, encrypted in ${encrypt.toFixed(1)} s` : ''}`
  )
}

/** ", and phoenix showed its page on it"; empty when there is no app that uses the database */
export function appsText(apps: AppDrill[]) {
  const named = (list: AppDrill[]) => list.map(({ service }) => service).join(' and ')
  const shown = apps.filter(({ skipped }) => skipped === undefined)
  const off = apps.filter(({ skipped }) => skipped === 'label')
  const away = apps.filter(({ skipped }) => skipped === 'not live')
  return [
    shown.length > 0 && `, and ${named(shown)} showed ${shown.length === 1 ? 'its page' : 'their pages'} on it`,
    off.length > 0 && `; ${named(off)} was not started (the label ${DRILL_LABEL})`,
    away.length > 0 && `; ${named(away)} was not started, since none of it is well here`,
  ]
    .filter(Boolean)
    .join('')
}
