// As long as the site's name leads to the old machine, that one hands on what comes to its ports to this machine.
// Long, since what runs there is here too: its configuration, its proof, and its end.
import { once } from 'node:events'
import { createServer, isIPv6 } from 'node:net'
import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { docker } from '../docker/commands.ts'
import type { StackConfig } from '../docker/stack_config.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { attempt, capture, failureOf } from '../system/run.ts'
import { sleep } from '../system/signals.ts'
import { type OldMachine, runScriptOn } from './old_machine.ts'
import type { OldStack } from './old_stack.ts'
import { isTaken } from './ports.ts'

// Debian's nginx has the module in a file of its own, the official image in the program.
const SERVE = `module=/usr/lib/nginx/modules/ngx_stream_module.so
{
  if [ -e "$module" ]; then echo "load_module $module;"; fi
  printf '%s\\n' "$CONFIG" | if [ -e /proc/net/if_inet6 ]; then cat; else grep -v 'listen \\['; fi
} >/tmp/forwarder.conf
exec nginx -c /tmp/forwarder.conf "$@"`

/** A port of the old machine, and the one here that it leads to from now on. */
export interface Way {
  /** the address there on which the old nginx is published ('' for all), and the port */
  from: { address: string; port: string }
  /** the port in its container */
  inner: string
  /** the address here on which nginx is published (undefined for all), and the port */
  to: { address: string | undefined; port: string }
}

/** How the old machine hands on: with which image, and what it knows of this machine. */
export interface Forwarding {
  /** its container there */
  name: string
  image: string
  ways: Way[]
  /** of this machine, as the old one sees it */
  address: string
  /** of the old machine, as this one sees it; undefined when it was seen before */
  comesFrom: string | undefined
}

/** Docker's own network there leads neither to an address of IPv6 nor to that machine's own. */
const needsHostNetwork = (address: string) => isIPv6(address) || address.startsWith('127.')

const hostText = (address: string) => (isIPv6(address) ? `[${address}]` : address)

const listenText = ({ from, inner }: Way, address: string) => {
  if (!needsHostNetwork(address)) return [inner]
  if (from.address !== '' && from.address !== '0.0.0.0' && from.address !== '::')
    return [`${hostText(from.address)}:${from.port}`]
  return [from.port, `[::]:${from.port}`]
}

/** The configuration of an nginx that hands on to this machine, which has an address there. */
export function forwarderConfig(ways: Way[], address: string) {
  const ports = new Map<string, string>()
  for (const way of ways) for (const listened of listenText(way, address)) ports.set(listened, way.to.port)
  const servers = [...ports].map(
    ([listened, to]) => `
  server {
    listen ${listened};
    proxy_pass ${hostText(address)}:${to};
  }`,
  )
  return `daemon off;
pid /tmp/forwarder.pid;
error_log stderr;
events { worker_connections 4096; }
stream {
  proxy_connect_timeout 5s;
  # A download or a websocket that is silent for a while.
  proxy_timeout 1h;${servers.join('')}
}`
}

const BINDINGS = v.record(v.string(), v.nullable(v.array(v.object({ HostIp: v.string(), HostPort: v.string() }))))

/** Ports by that of the container: those of the old nginx, and those of this one. */
const waysOf = (bindings: v.InferOutput<typeof BINDINGS>, { services }: StackConfig): Way[] => {
  const ports = (services.nginx?.ports ?? []).filter(({ protocol }) => protocol !== 'udp')
  const own = new Map(ports.map(it => [String(it.target), it]))
  return Object.entries(bindings).flatMap(([bound, places]) => {
    const inner = bound.replace(/\/tcp$/, '')
    const { published = '0', host_ip: address } = own.get(inner) ?? {}
    if (published === '0') return []
    const to = { address: address || undefined, port: published }
    return (places ?? []).map(({ HostIp, HostPort }) => ({ from: { address: HostIp, port: HostPort }, inner, to }))
  })
}

// bash, since nothing else is surely there that opens a connection and says how that went.
const CONNECT = `exec timeout 10 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "%s\\n" "$2" >&3' "$1" "$2" "$3"`
// Of an nginx that answers, whatever it says to this.
const ANSWER = `for _ in 1 2 3 4 5 6 7 8 9 10; do
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /healthcheck HTTP/1.0\\r\\n\\r\\n" >&3 && head -c 5 <&3' \\
    "$1" "$2" 2>/dev/null | grep -q '^HTTP/' && exit 0
  sleep 1
done
exit 1`

/** How long a connection that was made there may take until it is seen here, in milliseconds. */
const PATIENCE = 5000

/**
 * Whether the old machine reaches a port here; gives where its connection came from, if that can be seen. Throws a
 * Failure (69).
 */
const proveWay = async (host: string, address: string, { address: listened, port }: Way['to']) => {
  const word = randomUUID()
  const connect = () => runScriptOn(host, `connecting to ${address}:${port}`, CONNECT, [address, port, word])
  const server = createServer()
  try {
    // After a cutover that was killed this stack's nginx has it; somebody else's would have been refused.
    if (await isTaken(listened, Number(port))) {
      await connect()
      return undefined
    }
    const came = new Promise<{ from: string | undefined }>(resolve => {
      server.on('connection', socket => {
        socket.on('error', () => {})
        socket.once('data', data => {
          if (data.toString().trim() === word) resolve({ from: socket.remoteAddress })
          socket.destroy()
        })
      })
    })
    await once(server.listen({ port: Number(port), host: listened }), 'listening')
    await connect()
    const seen = await Promise.race([came, sleep(PATIENCE)])
    if (!seen) throw new Failure('another machine has answered')
    // An IPv4 address that came to a socket for both kinds begins so.
    return seen.from?.replace(/^::ffff:/, '')
  } catch (error) {
    throw new Failure(`${host} does not reach port ${port} of this machine (${address})`, {
      exitCode: EXIT.unreachable,
      hint:
        'nothing was changed. After the cutover it hands on the visitors who still come to it: open that port to it ' +
        '(a firewall? NGINX_BIND in .env?), then run this again',
      cause: error,
    })
  } finally {
    server.close()
  }
}

const runForwarder = (
  { image, ways, address }: Omit<Forwarding, 'comesFrom' | 'name'>,
  words: string[],
  ...args: string[]
) => {
  const config = `CONFIG=${forwarderConfig(ways, address)}`
  return docker('run', ...words, '--env', config, '--entrypoint', 'sh', image, '-c', SERVE, 'sh', ...args)
}

/**
 * Finds out how another machine will hand on, and tries its parts. Gives undefined for an old site on this machine.
 * Throws a Failure: 69 when it does not reach this machine, 78 when its nginx cannot do it.
 */
export async function prepareForwarder(old: OldStack, config: StackConfig): Promise<Forwarding | undefined> {
  const { host, engine } = old.machine
  if (host === undefined) return undefined
  const nginx = old.instances.find(({ service }) => service === 'nginx')
  const format = '{{.Image}} {{json .HostConfig.PortBindings}}'
  const said = nginx ? await capture(docker('inspect', '--format', format, nginx.id), { engine }) : ''
  const [image = '', bindings = 'null'] = said.split(/ (.*)/s)
  const ways = waysOf(v.parse(BINDINGS, JSON.parse(bindings) ?? {}), config)
  if (ways.length === 0)
    throw badConfig(
      `no port of the old nginx on ${host} leads to one of nginx here, so who still comes there would find nothing`,
      'nothing was changed; is it a service named nginx with the ports 80 and 443, and are NGINX_PORT and ' +
        'NGINX_TLS_PORT set?',
    )
  const [address = ''] = (await runScriptOn(host, 'asking for the address', 'echo "$SSH_CONNECTION"', [])).split(' ')
  const network = needsHostNetwork(address) ? 'host' : 'none'
  const test = runForwarder({ image, ways, address }, ['--rm', '--network', network], '-t')
  const { code, stderr } = await attempt(test, { engine })
  if (code !== 0)
    throw badConfig(
      'the nginx of the old stack cannot hand on to this machine: ' +
        (/\[emerg\] \S+ (.*)/.exec(stderr)?.[1] ?? stderr.trim()),
      'nothing was changed; its image must be an official one of nginx: docker pull nginx there, recreate its ' +
        'nginx with it, then run this again',
    )
  let comesFrom: string | undefined
  for (const { to } of ways) comesFrom = (await proveWay(host, address, to)) ?? comesFrom
  return { name: `${old.project}-forwarder`, image, ways, address, comesFrom }
}

/** The old machine hands on from now on, also after a boot. Its nginx must have been stopped. Throws a Failure. */
export async function startForwarder(machine: OldMachine, forwarding: Forwarding) {
  const { name, ways, address } = forwarding
  const { host = '', engine } = machine
  await removeForwarder(machine, name)
  const published = ways.flatMap(({ from, inner }) => [
    '--publish',
    `${from.address === '' ? '' : `${hostText(from.address)}:`}${from.port}:${inner}`,
  ])
  const network = needsHostNetwork(address) ? ['--network', 'host'] : published
  await capture(runForwarder(forwarding, ['--detach', '--name', name, '--restart', 'unless-stopped', ...network]), {
    what: 'having the old machine hand on to this one',
    engine,
  })
  for (const { from } of ways) {
    const asked = ['', '0.0.0.0', '::'].includes(from.address) ? '127.0.0.1' : from.address
    await runScriptOn(host, `a request to port ${from.port}, which is handed on to this machine,`, ANSWER, [
      asked,
      from.port,
    ])
  }
}

/** Ends it. Throws a Failure. */
export async function removeForwarder({ engine }: Pick<OldMachine, 'engine'>, name: string) {
  if (engine === undefined) return
  const command = docker('rm', '--force', name)
  const outcome = await attempt(command, { engine })
  // An older engine takes it for an error that there is none.
  if (outcome.code !== 0 && !/no such container/i.test(outcome.stderr)) throw failureOf(command, outcome)
}
