// Requests that wait for a moment (pause.conf): while the database changes under an app, nobody sees an error, and
// everybody waits once. It is in memory alone, and ends by itself: a script that was killed, and a restart of nginx,
// leave none behind. Only what njs 0.9 has is used.
import fs from 'fs'

const PAGE = '/etc/nginx/avril/errors/paused.html'
// Milliseconds that a request waits at most, and that a pause holds until it is said again.
const LONGEST = 30000
const LEASE = 30000
// Each timer costs memory until the answer, so they get longer.
const FIRST_LOOK = 10
const LAST_LOOK = 500
// So many times as fast as they came they go on, and in that order: all at once they would be more than an app takes.
const FASTER = 4

// Milliseconds that a request waits until this nginx has heard who is live (follow.js).
const LONGEST_BEHIND = 5000

const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

const isPaused = app => (ngx.shared.paused.get(app) || 0) > Date.now()

// js_set: whether a request must wait. The deploy's own, which prove the new release, must not; nor does one twice.
const paused = r => {
  if (!isPaused(r.variables.app) || r.variables.has_waited || r.variables.server_port === '8081') return ''
  return '1'
}

// One of several in a Swarm; elsewhere there is no such variable.
const isBehind = r => r.variables.is_behind === '1'

// Milliseconds behind the first that still waits.
const turnOf = (app, came) => {
  const since = ngx.shared.paused.get(`${app} since`) || came
  return Math.max(came - Math.max(since, Date.now() - LONGEST), 0) / FASTER
}

// js_content of @held: waits, and then the request goes on where it was, with its body.
const held = async r => {
  const app = r.variables.app
  const came = Date.now()
  let look = FIRST_LOOK
  while ((isPaused(app) && Date.now() < came + LONGEST) || (isBehind(r) && Date.now() < came + LONGEST_BEHIND)) {
    await wait(look)
    look = Math.min(look * 1.5, LAST_LOOK)
    if (!isPaused(app)) await wait(turnOf(app, came))
  }
  if (!isPaused(app)) {
    r.variables.has_waited = '1'
    return r.internalRedirect(r.variables.goes_on)
  }
  ngx.shared.paused.incr(`${app} refused`, 1, 0)
  r.headersOut['Content-Type'] = 'text/html; charset=utf-8'
  r.headersOut['Cache-Control'] = 'no-store'
  r.headersOut['Retry-After'] = '30'
  r.return(503, fs.readFileSync(PAGE, 'utf8'))
}

// js_content of /nginx/paused/<app>: a POST begins a pause, or has it go on; a DELETE ends it, and is told how many
// have waited in vain.
const state = r => {
  const app = r.uri.slice('/nginx/paused/'.length)
  if (r.method === 'POST') {
    if (!isPaused(app)) {
      ngx.shared.paused.set(`${app} since`, Date.now())
      ngx.shared.paused.set(`${app} refused`, 0)
    }
    ngx.shared.paused.set(app, Date.now() + LEASE)
  }
  if (r.method === 'DELETE') {
    ngx.shared.paused.delete(app)
    return r.return(200, `${ngx.shared.paused.get(`${app} refused`) || 0}\n`)
  }
  r.return(200, `${isPaused(app)}\n`)
}

export default { paused, held, state }
