// Who is live, in memory that all workers share (live.conf): a switch is one write to it, and touches no connection.
// What a deploy has written to live/<app>.json is the truth: memory is filled from it, at a start by the first request.
// Only what njs 0.9 has is used: the official image is behind.
import fs from 'fs'

const FOLDER = '/etc/nginx/avril/live'
const ADDRESS = /^[\w.-]+:\d+$/
// So many failed answers, and the half of all, take a release back.
const MOST_FAILED = 20
// Milliseconds.
const QUIET = 10000

// An app that nothing was switched to yet has no file. A damaged one throws.
const NOTHING = '{"upstreams":[]}'
const fromFile = app => {
  let text
  try {
    text = fs.readFileSync(`${FOLDER}/${app}.json`, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return NOTHING
    throw error
  }
  const route = JSON.parse(text)
  if (!areUpstreams(route.upstreams) || (route.former && !areUpstreams(route.former)))
    throw new Error('it has no list of upstreams')
  return text
}

const areUpstreams = list => Array.isArray(list) && list.every(it => it && ADDRESS.test(it.address))

// { upstreams, former, percent }, as text: while a release is observed `former` has the one before, and `percent` tells
// how many visitors get the new one.
const textOf = app => {
  const text = ngx.shared.live.get(app)
  if (text !== undefined) return text
  let found
  try {
    found = fromFile(app)
  } catch (error) {
    ngx.log(ngx.ERR, `live/${app}.json cannot be read, so ${app} is asked by its service's name: ${error.message}`)
    return NOTHING
  }
  // At a start nobody knows what became of a release that was observed.
  const former = JSON.parse(found).former
  if (former) found = JSON.stringify({ upstreams: former })
  // A switch may have come first: then that holds.
  ngx.shared.live.add(app, found)
  return ngx.shared.live.get(app)
}

const routeOf = app => JSON.parse(textOf(app))

// A visitor stays with one release: the group is random at first, and a cookie from then on.
const isOfCanary = (r, percent) => {
  let group = r.variables.cookie_avril_group
  if (!/^\d\d?$/.test(group)) {
    group = String(parseInt(r.variables.request_id.slice(8, 16), 16) % 100)
    r.variables.group_cookie = `avril_group=${group}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax`
  }
  return Number(group) < percent
}

const choose = (r, app, route) => {
  const list = route.percent === undefined || isOfCanary(r, route.percent) ? route.upstreams : route.former
  if (list.length === 0) return { address: `${app}:${r.variables.port}`, rollout: null }
  return list[parseInt(r.variables.request_id.slice(0, 8), 16) % list.length]
}

// What was given to an instance is counted until it has ended, and not its connections: while nginx still reads a body
// there is none. The number of the generation keeps what was given up apart from what comes later to the same instance.
const give = (r, app, upstream) => {
  const generation = ngx.shared.observed.get(`${app} generation`) || 0
  r.variables.given = `${app} ${upstream.address} ${upstream.rollout || '-'} ${generation} ${r.variables.upgrade || 'request'}`
  ngx.shared.given.incr(r.variables.given, 1, 0)
  return upstream.address
}

const takeBack = r => {
  if (ngx.shared.given.has(r.variables.given)) ngx.shared.given.incr(r.variables.given, -1)
}

// js_set: where a request goes, chosen once. Counted first: a switch that comes in between must not miss it.
const instance = r => {
  const app = r.variables.app
  const text = textOf(app)
  const address = give(r, app, choose(r, app, JSON.parse(text)))
  if (textOf(app) === text) return address
  takeBack(r)
  return give(r, app, choose(r, app, routeOf(app)))
}

// js_set: one of another release, while there are two; else the same.
const other = r => {
  const app = r.variables.app
  const first = r.variables.instance
  const route = routeOf(app)
  const upstreams = route.upstreams.concat(route.former || [])
  const chosen = upstreams.find(it => it.address === first)
  const found = chosen && upstreams.find(it => it.rollout !== chosen.rollout)
  if (!found) return first
  takeBack(r)
  return give(r, app, found)
}

// A new release that fails most of what it is given is gone before the deploy has heard of it.
const judge = (app, rollout, r) => {
  const text = textOf(app)
  const route = JSON.parse(text)
  // What comes from the cache is no answer of the release.
  if (!route.former || route.former.some(it => (it.rollout || '-') === rollout) || !r.variables.upstream_addr) return
  const status = Number(r.variables.status)
  const answered = ngx.shared.observed.incr(`${app} answered`, 1, 0)
  // Who has waited so long and gone was not answered.
  if (status < 500 && !(status === 499 && Number(r.variables.request_time) >= 5)) return
  const failed = ngx.shared.observed.incr(`${app} failed`, 1, 0)
  if (failed < MOST_FAILED || failed * 2 < answered) return
  if (ngx.shared.live.get(app) !== text) return
  ngx.shared.live.set(app, JSON.stringify({ upstreams: route.former }))
  ngx.log(
    ngx.ERR,
    `${failed} of ${answered} answers of the new release of ${app} were errors: everybody gets the one before again`,
  )
}

// js_set, in the log phase.
const ended = r => {
  const words = r.variables.given.split(' ')
  takeBack(r)
  judge(words[0], words[2], r)
  return '1'
}

// Before anything was switched it is whatever has the service's name.
const isAmong = (upstreams, app, address) =>
  upstreams.length === 0 ? address.startsWith(`${app}:`) : upstreams.some(it => it.address === address)

// The counts of an app: what has not ended, and whether that is at an instance that is live. One that got its requests
// by its own name is, when all of its rollout are.
const countsOf = app => {
  const route = routeOf(app)
  const live = route.upstreams.concat(route.former || [])
  return ngx.shared.given
    .keys()
    .map(key => ({ key, words: key.split(' '), count: ngx.shared.given.get(key) || 0 }))
    .filter(it => it.words[0] === app)
    .map(it => {
      const address = it.words[1]
      const ofRollout = it.words[2] + address.slice(address.lastIndexOf(':'))
      return {
        key: it.key,
        address,
        kind: it.words[4],
        count: it.count,
        isLive: isAmong(live, app, address) || live.some(up => up.address === ofRollout),
      }
    })
}

const openOf = counts => {
  const open = {}
  counts.forEach(it => {
    if (it.count > 0) open[it.address] = (open[it.address] || 0) + it.count
  })
  return open
}

// js_content of /nginx/live/<app>: who is live, and what is open. A POST takes up the file before.
const state = r => {
  const app = r.uri.slice('/nginx/live/'.length)
  if (r.method === 'POST') {
    let text
    try {
      text = fromFile(app)
    } catch (error) {
      return r.return(500, `live/${app}.json cannot be read: ${error.message}\n`)
    }
    ngx.shared.observed.delete(`${app} answered`)
    ngx.shared.observed.delete(`${app} failed`)
    ngx.shared.live.set(app, text)
  }
  answer(r, app)
}

const answer = (r, app) => {
  const counts = countsOf(app)
  r.headersOut['Content-Type'] = 'application/json'
  r.return(
    200,
    `${JSON.stringify({ route: routeOf(app), open: openOf(counts), waiting: openOf(counts.filter(it => it.kind === 'request')) })}\n`,
  )
}

// Waits until nothing is left to be counted, or it is past the end; gives what is left.
const awaitNone = async (count, end) => {
  // Each pause costs memory until the answer.
  let pause = 10
  while (count() > 0 && Date.now() < end) {
    const rest = pause
    await new Promise(resolve => setTimeout(resolve, rest))
    pause = Math.min(pause * 1.5, 500)
  }
  return count()
}

const sumOf = counts => counts.reduce((sum, it) => sum + it.count, 0)

// js_content of /nginx/quiet/<app>: answers when the app has no request to answer any more, websockets aside, or after
// QUIET, with how many it still has.
const quiet = async r => {
  const app = r.uri.slice('/nginx/quiet/'.length)
  const left = await awaitNone(() => sumOf(countsOf(app).filter(it => it.kind === 'request')), Date.now() + QUIET)
  r.return(200, `${left}\n`)
}

// js_content of /nginx/drained/<app>: answers when nobody is served by an instance that is not live, or after
// DRAIN_SECONDS, with how many still are. Those are given up: a worker that crashed has ended its requests without a
// word.
const drained = async r => {
  const app = r.uri.slice('/nginx/drained/'.length)
  const leaving = () => countsOf(app).filter(it => !it.isLive)
  const end = Date.now() + (Number(r.variables.drain_seconds) || 30) * 1000
  const left = await awaitNone(() => sumOf(leaving()), end)
  if (left > 0) ngx.shared.observed.incr(`${app} generation`, 1, 0)
  leaving().forEach(it => ngx.shared.given.delete(it.key))
  r.return(200, `${left}\n`)
}

export default { instance, other, ended, state, quiet, drained, textOf, answer }
