// A Docker engine that is a model in this process, with nginx and the apps of a stack: a program `docker` asks it what
// the scripts ask. Each call is one event, so that a deploy can be killed, stopped or failed at each of them, and what
// visitors reach is known at any time.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { basename, join } from 'node:path'
import { parse } from 'yaml'

/** What a call comes to: its output and whether it ends well. */
interface Answer {
  out?: string
  failed?: boolean
}

interface Container {
  id: string
  name: string
  service: string
  image: string
  labels: Record<string, string>
  aliases: string[]
  address: string
  running: boolean
  healthy: boolean
  started: string
}

interface Route {
  upstreams: { address: string }[]
}

interface Event {
  Action: string
  timeNano: number
  Actor: { ID: string; Attributes: Record<string, string> }
}

/** What can be put back: all that the engine and nginx remember. */
interface Memory {
  containers: Container[]
  images: Record<string, { created: string; labels: Record<string, string> }>
  routes: Record<string, Route>
  /** the apps whose requests wait in nginx; it forgets none by itself */
  paused: string[]
  made: number
}

/**
 * Called with the number and the words of each call: what `before` gives takes its place; `after` comes when it has had
 * its effect.
 */
export interface Trap {
  before?: (call: number, words: string[]) => Answer | undefined
  after?: (call: number, words: string[]) => void
  /** what is started ends at once */
  dies?: boolean
}

// A shell in a container is one here, with programs that ask as well.
const PROGRAM = `#!/bin/sh
here=\${0%/*}
case "$*" in
  "exec --interactive "*" sh") CONTAINER=$3 PATH=$here/container:$PATH exec sh ;;
esac
printf '%s\\0' "$@" | /usr/bin/curl --silent --no-buffer --fail-with-body \\
  --unix-socket "$MODEL_ENGINE" --data-binary @- http://engine/ || exit 1
`
const PROGRAM_INSIDE = '#!/bin/sh\nexec docker exec "$CONTAINER" "${0##*/}" "$@"\n'
const INSIDE = ['curl', 'nginx', 'find']

const valuesOf = (option: string, words: string[]) =>
  words.flatMap((word, at) => (words[at - 1] === option ? [word] : []))
const hostOf = (address: string) => address.replace(/:\d+$/, '')

/**
 * Starts it in a folder, for the site (the folder of the scripts) whose stack `config` describes, as Compose prints it.
 */
export async function startModelEngine(
  folder: string,
  site: string,
  config: { name: string; services: Record<string, { labels?: Record<string, string> }> },
) {
  const project = config.name
  let memory: Memory = { containers: [], images: {}, routes: {}, paused: [], made: 0 }
  let trap: Trap = {}
  let calls = 0
  const happened: Event[] = []
  const listeners = new Set<ServerResponse>()
  const wrong: string[] = []

  const tell = (it: Container, Action: string) => {
    const event = {
      Action,
      timeNano: Date.now() * 1e6,
      Actor: { ID: it.id, Attributes: { ...it.labels, exitCode: '137' } },
    }
    happened.push(event)
    for (const listener of listeners) listener.write(`${JSON.stringify(event)}\n`)
  }

  const ofService = (service: string) => memory.containers.filter(it => it.service === service)

  /** The containers that visitors of an app reach: by what nginx was told, else by the name of the service. */
  const reached = (service: string) => {
    const { upstreams } = memory.routes[service] ?? { upstreams: [] }
    const names = upstreams.length === 0 ? [service] : upstreams.map(({ address }) => hostOf(address))
    return names.map(name =>
      ofService(service).filter(it => it.running && [it.name, it.service, ...it.aliases].includes(name)),
    )
  }

  /** Visitors must reach somebody behind each name, and nobody who is not ready. */
  const check = (when: string) => {
    for (const service of Object.keys(config.services).filter(it => it !== 'nginx'))
      for (const behind of reached(service)) {
        const unready = behind.filter(it => !it.healthy).map(it => it.name)
        if (behind.length === 0) wrong.push(`${when}: visitors of ${service} reach nobody`)
        else if (unready.length > 0)
          wrong.push(`${when}: visitors of ${service} reach ${unready.join(', ')}, not ready`)
      }
  }

  const add = (service: string, image: string, labels: Record<string, string>, aliases: string[]) => {
    memory.made += 1
    const taken = new Set(ofService(service).map(it => it.name))
    let number = 1
    while (taken.has(`${project}-${service}-${number}`)) number += 1
    const compose = (name: string) => `com.docker.compose.${name}`
    const own = {
      [compose('oneoff')]: 'False',
      [compose('project')]: project,
      [compose('service')]: service,
      ...labels,
    }
    const it: Container = {
      id: memory.made.toString(16).padStart(64, '0'),
      name: `${project}-${service}-${number}`,
      service,
      image,
      labels: own,
      aliases,
      address: `172.30.0.${memory.made + 1}`,
      running: false,
      healthy: false,
      started: '0001-01-01T00:00:00Z',
    }
    memory.containers.push(it)
    return it
  }

  const start = (it: Container) => {
    Object.assign(it, { running: true, healthy: false, started: new Date().toISOString() })
    tell(it, 'start')
    setTimeout(() => {
      if (!it.running || !memory.containers.includes(it)) return
      if (trap.dies) return halt(it)
      it.healthy = true
      tell(it, 'health_status: healthy')
    }, 20)
  }

  const halt = (it: Container) => {
    if (!it.running) return
    Object.assign(it, { running: false, healthy: false })
    tell(it, 'die')
  }

  const remove = (it: Container) => {
    halt(it)
    memory.containers = memory.containers.filter(other => other !== it)
  }

  const named = (names: string[]) =>
    memory.containers.filter(({ id, name }) => names.includes(id) || names.includes(name))

  const matching = (words: string[]) => {
    const labels = valuesOf('--filter', words).flatMap(word => (word.startsWith('label=') ? [word.slice(6)] : []))
    const has = ({ labels: own }: Container, label: string) => {
      const [name = '', value] = label.split(/=(.*)/)
      return value === undefined ? name in own : own[name] === value
    }
    return memory.containers.filter(it => labels.every(label => has(it, label)))
  }

  const inspected = ({ id, name, image, labels, address, running, healthy, started }: Container) => ({
    Id: id,
    Name: `/${name}`,
    State: { Running: running, StartedAt: started, Health: { Status: healthy ? 'healthy' : 'starting' } },
    Config: { Image: image, Labels: { ...memory.images[image]?.labels, ...labels } },
    HostConfig: { RestartPolicy: { Name: 'unless-stopped' } },
    NetworkSettings: { Networks: { [`${project}_default`]: { IPAddress: running ? address : '' } } },
  })

  const stateOf = (service: string) =>
    JSON.stringify({ route: memory.routes[service] ?? { upstreams: [] }, open: {}, waiting: {} })

  /** What curl prints in nginx's container. */
  const curl = (words: string[]): Answer => {
    const urls = words.filter(word => word.startsWith('http://'))
    const [, paused] = /nginx\/paused\/(\w+)$/.exec(urls[0] ?? '') ?? []
    if (paused !== undefined) {
      memory.paused = memory.paused.filter(it => it !== paused)
      if (words.includes('POST')) memory.paused.push(paused)
      return { out: String(memory.paused.includes(paused)) }
    }
    const live = /nginx\/(live|drained|quiet)\/(\w+)$/.exec(urls[0] ?? '')
    if (live) {
      const [, what, service = ''] = live
      if (what !== 'live') return { out: '0' }
      if (words.includes('POST')) {
        const file = join(site, 'nginx', 'live', `${service}.json`)
        memory.routes[service] = (() => {
          try {
            return JSON.parse(readFileSync(file, 'utf8')) as Route
          } catch {
            return { upstreams: [] }
          }
        })()
      }
      return { out: stateOf(service) }
    }
    const answers = urls.map(url => {
      const { hostname, port, pathname } = new URL(url)
      const direct = memory.containers.find(it => it.running && it.address === hostname)
      if (hostname.startsWith('172.')) return direct?.healthy ? '\n200 ' : '\n000 '
      const app =
        Object.entries(config.services).find(([, { labels }]) => labels?.['avril.path'] === pathname)?.[0] ?? ''
      const [it] = reached(app).flat()
      return it ? `200 ${it.address}:${port} \n` : '502  \n'
    })
    return { out: answers.join('') }
  }

  const pinned = (words: string[], service: string) => {
    const reset = { tag: '!reset', resolve: () => null }
    const pins = valuesOf('--file', words)
      .filter(file => /next|releases/.test(basename(file)))
      .map(file => parse(readFileSync(file, 'utf8'), { customTags: [reset] }).services[service])
    const pin = pins.findLast(Boolean)
    const [network] = Object.values(pin?.networks ?? {}) as { aliases: string[] }[]
    return {
      image: pin?.image ?? `${project}-${service}:compose`,
      labels: pin?.labels ?? {},
      aliases: network?.aliases ?? [],
    }
  }

  const compose = (words: string[]): Answer => {
    if (words.includes('config')) return { out: JSON.stringify(config) }
    if (words.includes('version')) return { out: '2.40.0' }
    if (words.includes('run')) return {}
    if (words.includes('create')) {
      const service = words.at(-1) ?? ''
      const number = Number(valuesOf('--scale', words)[0]?.split('=')[1])
      const { image, labels, aliases } = pinned(words, service)
      if (!memory.images[image]) return { failed: true, out: `no such image: ${image}` }
      while (ofService(service).length < number) add(service, image, labels, aliases)
      return {}
    }
    if (words.includes('build')) {
      const service = words.at(-1) ?? ''
      const { image, build } = JSON.parse(readFileSync(valuesOf('--file', words)[0] ?? '', 'utf8')).services[service]
      memory.images[image] = { created: new Date().toISOString(), labels: build.labels }
      return {}
    }
    throw new Error(`docker compose ${words.join(' ')}`)
  }

  const image = ([verb, ...words]: string[]): Answer => {
    const [name = ''] = words.slice(-1)
    if (verb === 'inspect') {
      const found = memory.images[name]
      return found ? { out: JSON.stringify([{ Config: { User: 'node', Labels: found.labels } }]) } : { failed: true }
    }
    if (verb === 'rm') {
      delete memory.images[name]
      return {}
    }
    if (verb !== 'ls') throw new Error(`docker image ${verb}`)
    const line = ([tag, { created }]: [string, { created: string }]) => {
      const [Repository, Tag] = tag.split(':')
      return words.includes('{{json .}}') ? JSON.stringify({ Repository, Tag, CreatedAt: created }) : tag
    }
    return { out: Object.entries(memory.images).map(line).join('\n') }
  }

  const HANDLERS: Record<string, (words: string[]) => Answer> = {
    version: () => ({ out: '28.5.0' }),
    info: () => ({ out: folder }),
    compose,
    image,
    ps: words => ({
      out: matching(words)
        .map(({ id }) => id)
        .join('\n'),
    }),
    inspect: words =>
      words.includes('--format')
        ? {}
        : { out: JSON.stringify(named(words).map(inspected)), failed: named(words).length === 0 },
    create: words => {
      const it = add('', words.at(-2) ?? '', {}, [])
      it.labels = Object.fromEntries(valuesOf('--label', words).map(label => label.split('=') as [string, string]))
      return { out: it.id }
    },
    cp: ([, target = '']) => {
      mkdirSync(target, { recursive: true })
      writeFileSync(join(target, `app.${memory.made}.js`), 'void 0')
      return {}
    },
    exec: ([, program = '', ...words]) => (program === 'curl' ? curl(words) : {}),
    start: ids => {
      named(ids).forEach(start)
      return {}
    },
    stop: ids => {
      named(ids).forEach(halt)
      return {}
    },
    rm: ids => {
      named(ids).forEach(remove)
      return {}
    },
    wait: () => ({}),
    logs: () => ({}),
  }

  const stream = (response: ServerResponse, words: string[]) => {
    response.on('close', () => listeners.delete(response))
    response.writeHead(200).flushHeaders()
    if (words[0] !== 'events') return
    const since = Number(valuesOf('--since', words)[0]) * 1e9
    for (const event of happened) if (event.timeNano >= since) response.write(`${JSON.stringify(event)}\n`)
    listeners.add(response)
  }

  const handle = (words: string[], response: ServerResponse) => {
    calls += 1
    const call = calls
    const instead = trap.before?.(call, words)
    if (instead) return response.writeHead(instead.failed ? 500 : 200).end(instead.out)
    if (words[0] === 'events' || words.includes('--follow')) {
      stream(response, words)
      return trap.after?.(call, words)
    }
    const handler = HANDLERS[words[0] ?? '']
    if (!handler) throw new Error(`docker ${words.join(' ')}`)
    const { out = '', failed = false } = handler(words.slice(1))
    check(`after docker ${words.slice(0, 3).join(' ')}`)
    trap.after?.(call, words)
    response.writeHead(failed ? 500 : 200).end(out)
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const words = Buffer.concat(chunks).toString().split('\0').slice(0, -1)
      try {
        handle(words, response)
      } catch (error) {
        wrong.push(String(error))
        response.writeHead(500).end(String(error))
      }
    })
  })
  const socket = join(folder, 'engine.sock')
  await new Promise<void>(resolve => server.listen(socket, resolve))
  const bin = join(folder, 'bin')
  mkdirSync(join(bin, 'container'), { recursive: true })
  const programs = [['docker', PROGRAM] as const, ...INSIDE.map(it => [`container/${it}`, PROGRAM_INSIDE] as const)]
  for (const [name, text] of programs) writeFileSync(join(bin, name), text, { mode: 0o755 })

  return {
    /** for the processes that are to use it */
    env: { MODEL_ENGINE: socket, PATH: `${bin}:${process.env.PATH}` },
    /** the live containers of a service, ready or not */
    ofService,
    /** what visitors of a service reach */
    reached: (service: string) => reached(service).flat(),
    /** the apps whose requests wait */
    paused: () => memory.paused,
    /** an image that is there */
    addImage: (name: string) => {
      memory.images[name] = { created: new Date().toISOString(), labels: {} }
    },
    /** a container as Compose starts it by itself, ready at once */
    run: (service: string) => {
      const it = add(service, `${project}-${service}:compose`, {}, [])
      Object.assign(it, { running: true, healthy: true, started: new Date().toISOString() })
    },
    /** what was wrong for visitors, or was asked and is not known, since it was last asked */
    faults: () => wrong.splice(0),
    /** begins to count calls anew, and sets what happens at them */
    setTrap: (next: Trap) => {
      calls = 0
      trap = next
    },
    calls: () => calls,
    remember: () => structuredClone(memory),
    restore: (former: Memory) => {
      memory = structuredClone(former)
    },
    /** Ends what a killed process has left waiting, too. */
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
