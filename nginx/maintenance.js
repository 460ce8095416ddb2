// Whether the site is closed for visitors, in memory that all workers share (maintenance.conf). What
// scripts/maintenance.ts has written to live/maintenance.json is the truth: memory is filled from it, at a start by the
// first request. Only what njs 0.9 has is used: the official image is behind.
import fs from 'fs'

const FILE = '/etc/nginx/avril/live/maintenance.json'
const OPEN = 'null'

// Certificates are renewed, monitors get their word, and the page itself is not closed.
const GOES_ON = /^\/(\.well-known\/acme-challenge\/|healthcheck$|_avril\/)/

// A damaged file throws.
const fromFile = () => {
  let text
  try {
    text = fs.readFileSync(FILE, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return OPEN
    throw error
  }
  const state = JSON.parse(text)
  if (state !== null && !Array.isArray(state.allow)) throw new Error('it does not say who is allowed')
  return text
}

const textOf = () => {
  const text = ngx.shared.maintenance.get('state')
  if (text !== undefined) return text
  let found = OPEN
  try {
    found = fromFile()
  } catch (error) {
    ngx.log(ngx.ERR, `live/maintenance.json cannot be read, so the site is open: ${error.message}`)
  }
  // A switch may have come first: then that holds.
  ngx.shared.maintenance.add('state', found)
  return ngx.shared.maintenance.get('state')
}

// The address of the connection, and no header: those anybody can write.
const isAllowed = (r, networks) => {
  if (networks.length === 0) return false
  const address = r.rawVariables.binary_remote_addr
  const bits = Array.from(address, byte => byte.toString(2).padStart(8, '0')).join('')
  return networks.some(it => it.bytes === address.length && bits.startsWith(it.bits))
}

// js_set: how the site is closed for who asks: 'page', 'moved', or '' for not at all.
const closed = r => {
  const text = textOf()
  if (text === OPEN || GOES_ON.test(r.uri)) return ''
  const state = JSON.parse(text)
  if (isAllowed(r, state.allow)) return ''
  return state.url ? 'moved' : 'page'
}

// js_set: where everybody is sent.
const url = () => JSON.parse(textOf()).url

// js_set: when to come back, in seconds. Nobody knows it when no time was said, or when that has passed.
const comeBack = () => {
  const until = Date.parse(JSON.parse(textOf()).until)
  const rest = Math.ceil((until - Date.now()) / 1000)
  return rest > 0 ? String(rest) : '120'
}

// js_content of /nginx/maintenance: what holds. A POST takes up the file before.
const state = r => {
  if (r.method === 'POST') {
    let text
    try {
      text = fromFile()
    } catch (error) {
      return r.return(500, `live/maintenance.json cannot be read: ${error.message}\n`)
    }
    ngx.shared.maintenance.set('state', text)
  }
  r.headersOut['Content-Type'] = 'application/json'
  r.return(200, `${textOf().trim()}\n`)
}

export default { closed, url, comeBack, state, textOf }
