// Amounts in the units that people would use.
/** "0.4 s", "75 s" */
export function seconds(milliseconds: number) {
  return `${(milliseconds / 1000).toFixed(milliseconds < 100_000 ? 1 : 0)} s`
}

/** What all of these steps took together, each in seconds. */
export function totalTime(steps: Record<string, number>) {
  return seconds(Object.values(steps).reduce((sum, it) => sum + it, 0) * 1000)
}

/** "1 row", "1,204,112 rows" */
export function counted(count: number, what: string) {
  return `${count.toLocaleString('en-US')} ${what}${count === 1 ? '' : 's'}`
}

/** The age of something in the unit that people would use: "3 days", "5 minutes". */
export function age(since: Date, now = new Date()) {
  const minutes = Math.floor((now.getTime() - since.getTime()) / 60_000)
  if (minutes < 1) return 'less than a minute'
  if (minutes < 60) return counted(minutes, 'minute')
  if (minutes < 48 * 60) return counted(Math.floor(minutes / 60), 'hour')
  return counted(Math.floor(minutes / 1440), 'day')
}

/** "812 bytes", "61.3 MB", "2.1 GB" */
export function size(bytes: number) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3))
  return `${power === 0 ? Math.round(bytes) : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`
}

/** "2026-11-22 03:00", of a time in ISO 8601, in its own zone */
export function minuteOf(time: string) {
  return time.slice(0, 16).replace('T', ' ')
}

/** "20261122T030000Z" */
export function timestamp(time: Date) {
  return time.toISOString().replace(/[-:]|\.\d+/g, '')
}
