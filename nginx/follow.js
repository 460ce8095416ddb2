// Several nginx, in a Swarm: that of the db node says who is live and whether the site is closed (told), the others ask
// it each second (pull), and before they give a request to anybody when they have not heard it for a while: one that was
// cut off does not serve what was live then. What is said is in memory alone. Only what njs 0.9 has is used.
import fs from 'fs'
import live from './live.js'
import maintenance from './maintenance.js'

const FOLDER = '/etc/nginx/avril/live'
const PLAIN_PAGE = '/etc/nginx/avril/errors/maintenance.html'
const NOTHING = '{"upstreams":[]}'
const OPEN = 'null'
// Milliseconds. lib/nginx/live.ts waits longer than the first.
const LEASE = 3000
const UNWELL = 10000

const out = () => {
  try {
    return JSON.parse(fs.readFileSync(`${FOLDER}/out`, 'utf8'))
  } catch (error) {
    if (error.code !== 'ENOENT') ngx.log(ngx.ERR, `live/out cannot be read, so no node is taken out: ${error.message}`)
    return []
  }
}

// What the page says while the site is closed (lib/nginx/maintenance.ts); nothing where that is the plain one.
const pageText = () => {
  try {
    return fs.readFileSync(`${FOLDER}/maintenance.html`, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') ngx.log(ngx.ERR, `live/maintenance.html cannot be read: ${error.message}`)
    return ''
  }
}

// js_content of the db node's: what the others ask for. Apps in their network may read it, too: they know each other.
const told = r => {
  const apps = fs
    .readdirSync(FOLDER)
    .filter(name => name.endsWith('.json') && name !== 'maintenance.json')
    .map(name => name.slice(0, -'.json'.length))
  const routes = {}
  apps.forEach(app => {
    routes[app] = live.textOf(app)
  })
  r.headersOut['Content-Type'] = 'application/json'
  r.return(200, JSON.stringify({ routes, maintenance: maintenance.textOf(), page: pageText(), out: out() }))
}

// Only what is new is taken: a bad release that this nginx has sent away by itself stays away.
const take = (zone, name, key, text) => {
  if (ngx.shared.followed.get(key) === text) return
  ngx.shared.followed.set(key, text)
  zone.set(name, text)
}

const pull = async variables => {
  const began = Date.now()
  const turn = ngx.shared.observed.incr('pull asked', 1, 0)
  const reply = await ngx.fetch(`http://${variables.follows}/told`)
  if (!reply.ok) throw new Error(`it answers ${reply.status}`)
  const said = await reply.json()
  // What was asked for earlier may come later, and would take a switch back for a second.
  if (turn < (ngx.shared.observed.get('pull taken') || 0)) return
  ngx.shared.observed.set('pull taken', turn)
  const former = ngx.shared.followed
    .keys()
    .filter(key => key.startsWith('app '))
    .map(key => key.slice('app '.length))
  former.concat(Object.keys(said.routes)).forEach(app => {
    const text = said.routes[app] || NOTHING
    if (ngx.shared.followed.get(`app ${app}`) === text) return
    ngx.shared.observed.delete(`${app} answered`)
    ngx.shared.observed.delete(`${app} failed`)
    take(ngx.shared.live, app, `app ${app}`, text)
  })
  take(ngx.shared.maintenance, 'state', 'maintenance', said.maintenance || OPEN)
  ngx.shared.followed.set('page', said.page || '')
  ngx.shared.followed.set('out', JSON.stringify(said.out))
  ngx.shared.followed.set('at', String(began))
}

const age = () => Date.now() - Number(ngx.shared.followed.get('at') || 0)

// js_periodic
const follow = async session => {
  try {
    await pull(session.variables)
  } catch (error) {
    if (age() > LEASE && age() < LEASE + 1500) ngx.log(ngx.WARN, `nobody says who is live: ${error.message}`)
  }
}

// js_content of /nginx/live/<app> of the others: as live.js has it, but a POST asks the db node's.
const state = async r => {
  try {
    if (r.method === 'POST') await pull(r.variables)
    live.answer(r, r.uri.slice('/nginx/live/'.length))
  } catch (error) {
    r.return(500, `${r.variables.follows} does not say who is live: ${error.message}\n`)
  }
}

// js_content of the page that visitors get while the site is closed.
const page = r => {
  r.headersOut['Content-Type'] = 'text/html; charset=utf-8'
  r.return(503, ngx.shared.followed.get('page') || fs.readFileSync(PLAIN_PAGE, 'utf8'))
}

// js_set: whether a request must wait until this nginx has heard who is live (pause.js). The deploy's own need not.
const behind = r => {
  if (!r.variables.follows || r.variables.has_waited || r.variables.server_port === '8081') return ''
  return age() > LEASE ? '1' : ''
}

// js_set, for /healthcheck: why a balancer must send nobody here, or nothing.
const unwell = r => {
  const follows = r.variables.follows
  if (follows && age() > UNWELL) return 'cut off'
  const names = follows ? JSON.parse(ngx.shared.followed.get('out') || '[]') : out()
  return names.includes(r.variables.swarm_node) ? 'being taken out' : ''
}

export default { told, follow, state, page, behind, unwell }
