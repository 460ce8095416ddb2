// Who listens on the ports that nginx is to have.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { docker } from '../docker/commands.ts'
import type { StackConfig } from '../docker/stack_config.ts'
import { attempt, capture } from '../system/run.ts'

type Protocol = 'tcp' | 'udp'

const containersOn = async (port: string, protocol: Protocol) => {
  const format = '{{.Names}} {{.Label "com.docker.compose.project"}} {{.Label "com.docker.compose.service"}}'
  const lines = await capture(docker('ps', '--filter', `publish=${port}/${protocol}`, '--format', format))
  return lines.split('\n').flatMap(line => {
    const [name = '', project = '', service = ''] = line.split(' ')
    return name === '' ? [] : [{ name, project, service }]
  })
}

/** Whether something listens on a port of this address, or of any. */
export function isTaken(host: string | undefined, port: number, protocol: Protocol = 'tcp') {
  return new Promise<boolean>(resolve => {
    if (protocol === 'udp') {
      const socket = createSocket(host?.includes(':') ? 'udp6' : 'udp4')
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE'))
      socket.bind({ port, address: host, exclusive: true }, () => socket.close(() => resolve(false)))
      return
    }
    const server = createServer()
    // Whoever may not listen there cannot tell.
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE'))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(false)))
  })
}

const programOn = async (port: string, protocol: Protocol) => {
  const { stdout } = await attempt(['ss', protocol === 'udp' ? '-Hlunp' : '-Hltnp', `sport = :${port}`])
  const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(stdout) ?? []
  return name === undefined ? 'another program' : `${name} (process ${pid})`
}

/** The ports of nginx that belong to somebody else than the nginx of these Compose projects, in words. */
export async function takenPorts({ services }: StackConfig, projects: string[]) {
  const troubles: string[] = []
  for (const { host_ip, published = '0', protocol: named } of services.nginx?.ports ?? []) {
    if (published === '0') continue
    const protocol = named === 'udp' ? 'udp' : 'tcp'
    const port = `port ${published}${protocol === 'udp' ? ' of UDP (HTTP3)' : ''}`
    const containers = await containersOn(published, protocol)
    const others = containers
      .filter(it => !projects.includes(it.project) || it.service !== 'nginx')
      .map(({ name }) => name)
    if (others.length > 0) troubles.push(`${port} is that of the container ${others.join(', ')}`)
    else if (containers.length === 0 && (await isTaken(host_ip || undefined, Number(published), protocol)))
      troubles.push(`${port} is that of ${await programOn(published, protocol)}`)
  }
  return troubles
}
