// Times as visitors read them: in French, and in France. The clock of a server is often that of another zone.
// Long, since every form in which people say or read a time is here.
import { usage } from './errors.ts'

const ZONE = 'Europe/Paris'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const UNITS = { s: 1000, m: MINUTE, min: MINUTE, h: 60 * MINUTE, d: DAY }

let fields: Intl.DateTimeFormat | undefined
// Made when it is needed: that takes 30 ms, and most scripts that know this module never ask for a time.
const fieldsOf = (time: Date) => {
  fields ??= new Intl.DateTimeFormat('fr-FR', {
    timeZone: ZONE,
    weekday: 'long',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    hourCycle: 'h23',
  })
  return fields.formatToParts(time)
}

/** What the clock on a wall in France shows. */
const wallOf = (time: Date) => {
  const parts = new Map(fieldsOf(time).map(({ type, value }) => [type, value]))
  const number = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type))
  return {
    weekday: parts.get('weekday')!,
    year: number('year'),
    month: number('month'),
    day: number('day'),
    hour: number('hour'),
    minute: number('minute'),
  }
}

/** As if that clock were one of UTC, to compute with. */
const asUtc = ({ year, month, day, hour, minute }: Omit<ReturnType<typeof wallOf>, 'weekday'>) =>
  Date.UTC(year, month - 1, day, hour, minute)

const HOUR = 60 * MINUTE
const zoneAt = (time: number) => asUtc(wallOf(new Date(time))) - time

/**
 * The time at which it shows this: where summer time has left an hour out, the one after; of an hour that comes twice
 * the first that is still to come.
 */
const timeAt = (wall: number, now: Date) => {
  const time = wall - zoneAt(wall - zoneAt(wall))
  const earlier = time - HOUR
  return new Date(earlier > now.getTime() && asUtc(wallOf(new Date(earlier))) === wall ? earlier : time)
}

const timeIn = (text: string, now: Date) => {
  const [, amount, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? []
  if (amount !== undefined) return new Date(now.getTime() + Number(amount) * UNITS[unit as keyof typeof UNITS])
  const [, date, clock] = /^(?:(\d{4}-\d\d-\d\d)[ T])?((?:[01]?\d|2[0-3]):[0-5]\d)$/.exec(text) ?? []
  if (clock === undefined) return undefined
  const today = new Date(asUtc(wallOf(now))).toISOString().slice(0, 10)
  const wall = Date.parse(`${date ?? today}T${clock.padStart(5, '0')}Z`)
  // Not the 31st of a month that has 30.
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(date ?? today)) return undefined
  const time = timeAt(wall, now)
  return date === undefined && time <= now ? timeAt(wall + DAY, now) : time
}

/**
 * The time that somebody means by "14:30" (the next one in France), "2026-11-30 06:00" or "2h" (m, h, d). Throws a
 * Failure (64) for another text, and for a time that has passed.
 */
export function readTime(text: string, now = new Date()) {
  const time = timeIn(text, now)
  if (time === undefined)
    throw usage(
      `${JSON.stringify(text)} is not a time`,
      'one of these forms, in the time of Paris: 14:30, "2026-11-30 06:00", or from now on 45m, 2h, 1d',
    )
  if (time <= now) throw usage(`${text} (in Paris) has passed`)
  return time
}

/** "14 h 30", and "lundi 30 novembre à 6 h" when that is not today. */
export function frenchTime(time: Date, now = new Date()) {
  const { weekday, year, month, day, hour, minute } = wallOf(time)
  const clock = `${hour} h${minute === 0 ? '' : ` ${String(minute).padStart(2, '0')}`}`
  const today = wallOf(now)
  if (year === today.year && month === today.month && day === today.day) return clock
  const monthName = time.toLocaleString('fr-FR', { timeZone: ZONE, month: 'long' })
  return `${weekday} ${day === 1 ? '1er' : day} ${monthName} à ${clock}`
}

/** "2026-11-30 06:00 (Paris)" */
export function parisTime(time: Date) {
  return `${new Date(asUtc(wallOf(time))).toISOString().slice(0, 16).replace('T', ' ')} (Paris)`
}

/**
 * The times at which that clock shows this minute: none in the hour that summer time leaves out, two in the one
 * that comes twice.
 */
const timesAt = (wall: number) =>
  [...new Set([wall - DAY, wall + DAY].map(zoneAt))]
    .filter(zone => zoneAt(wall - zone) === zone)
    .map(zone => wall - zone)
    .toSorted((a, b) => a - b)

/** "2026-10-25T02:30:00+02:00" */
const withZone = (time: number) => {
  const zone = zoneAt(Math.floor(time / MINUTE) * MINUTE)
  return `${new Date(time + zone).toISOString().slice(0, 19)}+0${zone / HOUR}:00`
}

const FRACTION = String.raw`(?:[.,]\d{1,9})?`
const CLOCK = new RegExp(String.raw`^(?:(\d{4}-\d\d-\d\d)[ T])?((?:[01]?\d|2[0-3]):[0-5]\d)(:[0-5]\d${FRACTION})?$`)
const INSTANT = new RegExp(String.raw`^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d${FRACTION})?(?:Z|[+-]\d\d:\d\d)$`)

const onClock = (text: string, day: string, clock: string, seconds: string) => {
  const wall = Date.parse(`${day}T${clock.padStart(5, '0')}Z`)
  if (Number.isNaN(wall) || !new Date(wall).toISOString().startsWith(day)) return undefined
  const times = timesAt(wall).map(time => time + Math.floor(Number(seconds.replace(',', '.').slice(1)) * 1000))
  if (times.length === 1) return times[0]
  const hint = times.length === 0 ? 'summer time began then' : `say which: ${times.map(withZone).join(' or ')}`
  throw usage(`the clocks in Paris showed ${text} ${times.length === 0 ? 'at no time' : 'twice'}`, hint)
}

const momentIn = (text: string, now: number) => {
  const [, amount, unit] = /^-(\d{1,4})(s|min|m|h|d)$/.exec(text) ?? []
  if (amount !== undefined) return now - Number(amount) * UNITS[unit as keyof typeof UNITS]
  if (INSTANT.test(text)) return Date.parse(text.replace(' ', 'T').replace(',', '.'))
  const [, date, clock, seconds = ''] = CLOCK.exec(text) ?? []
  if (clock === undefined) return undefined
  const dayOf = (time: number) => new Date(asUtc(wallOf(new Date(time)))).toISOString().slice(0, 10)
  const time = onClock(text, date ?? dayOf(now), clock, seconds)
  return date === undefined && time !== undefined && time > now ? onClock(text, dayOf(now - DAY), clock, seconds) : time
}

/**
 * The moment in the past that somebody means by "2026-11-25 14:32:10" or "14:32" (the last one) in the time of Paris,
 * an instant of ISO 8601, or "-10min" (s, min, h, d). Throws a Failure (64) for another text, for a moment that is
 * still to come, and for a time of the clocks that never was or was twice.
 */
export function readMoment(text: string, now = new Date()) {
  const time = momentIn(text, now.getTime())
  if (time === undefined || Number.isNaN(time))
    throw usage(
      `${JSON.stringify(text)} is not a moment`,
      'one of these forms: "2026-11-25 14:32:10" or 14:32 (in the time of Paris), 2026-11-25T13:32:10Z, -10min, -2h',
    )
  if (time > now.getTime()) throw usage(`${text} is still to come: it is ${momentText(now)}`)
  return new Date(time)
}

/** "2026-11-25 14:32:10 (Paris, UTC+01:00)", with the milliseconds if there are any */
export function momentText(time: Date) {
  const text = withZone(time.getTime())
  const fraction = time.getTime() % 1000 === 0 ? '' : time.toISOString().slice(19, 23)
  return `${text.slice(0, 19).replace('T', ' ')}${fraction} (Paris, UTC${text.slice(19)})`
}
