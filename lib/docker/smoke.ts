// What an app must answer before it counts: its own path, and what its label avril.smoke lists.
import { badConfig } from '../system/errors.ts'

/** A request and the answer that is expected. */
export interface SmokeTest {
  path: string
  /** undefined: any that shows a visitor something (2xx, or a redirect to another page) */
  status: number | undefined
  /** what must stand in the body; empty: anything may */
  words: string
}

/** What came back. */
export interface Answer {
  status: number
  /** where a redirect leads to; empty without one */
  location: string
  /** undefined where nobody looked at it */
  body?: string
}

const LINE = /^(?<path>\/\S*)\s+(?<status>[1-5]\d\d)(?:\s+(?<words>\S.*))?$/

/**
 * Reads the label avril.smoke: a line "/path status [words in the body]" each. The app's own path comes first, if no
 * line is about it. Throws (78) for any other line.
 */
export function smokeTestsOf(service: string, path: string, label: string): SmokeTest[] {
  const lines = label
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
  const listed = lines.map(line => {
    const groups = LINE.exec(line)?.groups
    if (!groups)
      throw badConfig(
        `docker-compose.yml: ${service} has a line in its label avril.smoke that is not a test: ` +
          JSON.stringify(line),
        'each line is: /path status [words in the body]',
      )
    return { path: groups.path!, status: Number(groups.status), words: groups.words?.trim() ?? '' }
  })
  return listed.some(test => test.path === path) ? listed : [{ path, status: undefined, words: '' }, ...listed]
}

// A redirect to the same page (to https, to another name) is what a proxy in front of the app would follow for ever: it
// proves only that somebody listens.
const leadsElsewhere = (path: string, location: string) => {
  try {
    const base = new URL(path, 'http://site')
    const { pathname, search } = new URL(location, base)
    return pathname !== base.pathname || search !== base.search
  } catch {
    return false
  }
}

/** Why an answer is not the one that is expected, in words; undefined when it is. */
export function troubleIn({ path, status: expected, words }: SmokeTest, { status, location, body }: Answer) {
  const shows = (status >= 200 && status < 300) || (status >= 300 && status < 400 && leadsElsewhere(path, location))
  const to = location ? ` (to ${location})` : ''
  if (expected === undefined && !shows) return `${path} is answered with ${status}${to}, not with a page`
  if (expected !== undefined && status !== expected)
    return `${path} is answered with ${status}${to}, not with ${expected}`
  return body !== undefined && !body.includes(words)
    ? `${path} is answered without ${JSON.stringify(words)}`
    : undefined
}
