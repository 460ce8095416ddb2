// What a look at the site found, in words.
import type { Look } from '../status/look.ts'
import type { Watched } from '../status/watch.ts'
import { age } from '../system/format.ts'
import { paint } from './terminal.ts'

const sinceText = (watched: Watched | undefined, about: string) => {
  const { since, told } = watched?.known[about] ?? {}
  return since === undefined
    ? ''
    : ` (for ${age(new Date(since))}, ${told === undefined ? 'told to nobody yet' : `told ${age(new Date(told))} ago`})`
}

const watchText = (watched: Watched | undefined, installed: boolean) => {
  if (!installed) return '· nobody watches: tsx scripts/watch.ts --install-cron'
  return watched ? `· the watch has looked ${age(new Date(watched.looked))} ago` : '· the watch begins within a minute'
}

/** A line for each trouble and note, and when cron has looked last; `installed`: it has an entry. */
export function lookText({ troubles, notes, excuse }: Look, watched: Watched | undefined, installed: boolean) {
  const marks = troubles.map(({ about, text }) => `${paint.red('✗')} ${text}${sinceText(watched, about)}`)
  return [
    ...(marks.length > 0 ? marks : [`${paint.green('✓')} all is well: the services are healthy, and the site answers`]),
    ...notes.map(note => `· ${note}`),
    ...(excuse !== undefined && marks.length > 0 ? [`· nobody is told of that now: ${excuse}`] : []),
    paint.dim(watchText(watched, installed)),
  ].join('\n')
}
