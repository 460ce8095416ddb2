import { EXIT, Failure, usage } from '../lib/system/errors.ts'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'maintenance.ts [options] [status | on | off | redirect <url>]',
  summary:
    'Closes the site for visitors, and opens it again; without a word says which. On: visitors get a page in ' +
    'French (503), those who are allowed get the site, deploys go on, and nothing is reloaded. Redirect: a site ' +
    'that is closed for good sends everybody on to another address. What is on its way ends. It stays, over ' +
    'restarts too, until somebody says off.',
  words: [0, 2] as [number, number],
  options: {
    message: {
      value: 'text',
      help: 'what the page says, in French and in one paragraph',
      form: [/^\P{Cc}{1,1000}$/u, 'a text of at most 1,000 characters, in one line'] as const,
    },
    until: {
      value: 'time',
      help:
        'when the site is to be back: 14:30 (in Paris), "2026-11-30 06:00", 45m, 2h, 1d. The page says so, and ' +
        'browsers are told (Retry-After). Then nothing opens by itself: status.ts warns',
    },
    allow: {
      value: 'network',
      many: true,
      help:
        'who gets the site all the same: an address or a network (192.0.2.0/24, 2001:db8::/32). May be given ' +
        'several times',
    },
    json: { help: 'print what holds as one JSON document on stdout' },
  },
  examples: [
    ['tsx scripts/maintenance.ts on --until 14:30', 'close it, and say when it is back'],
    [
      'tsx scripts/maintenance.ts on --allow 192.0.2.7 --message "Nous changeons de base de données."',
      'you still see it',
    ],
    ['tsx scripts/maintenance.ts off', 'open it'],
    ['tsx scripts/maintenance.ts redirect https://vae.gouv.fr/', 'closed for good: everybody is sent there'],
    ['tsx scripts/maintenance.ts on --until 2h --on', 'on DEPLOY_HOST, from a laptop'],
  ] as [string, string][],
}

await main(command, async (options, [verb = 'status', address, ...others]) => {
  const { message, until, allow, json } = options
  if (!['status', 'on', 'off', 'redirect'].includes(verb))
    throw usage(`${JSON.stringify(verb)} is not one of status, on, off, redirect`)
  if ((verb === 'redirect') !== (address !== undefined) || others.length > 0)
    throw usage(
      verb === 'redirect' ? 'redirect needs an address' : `too many words: ${address}`,
      `usage: ${command.usage}`,
    )
  if (verb !== 'on' && (message !== undefined || until !== undefined))
    throw usage('--message and --until are about the page that visitors get with on')
  if (['status', 'off'].includes(verb) && allow.length > 0) throw usage('--allow is for on and redirect')

  const { closureOf, maintenanceText } = await import('../lib/cli/maintenance_report.ts')
  const { readMaintenance, setMaintenance } = await import('../lib/nginx/maintenance.ts')
  if (verb === 'status') {
    const now = readMaintenance()
    return print(json ? JSON.stringify(now ?? null) : maintenanceText(now))
  }

  const { loadSettings } = await import('../lib/system/settings.ts')
  const { openStack } = await import('../lib/docker/stack.ts')
  const { findNginx } = await import('../lib/nginx/container.ts')
  const { audit } = await import('../lib/system/audit.ts')
  const { say } = await import('../lib/system/progress.ts')
  const { project } = await openStack()
  const nginx = await findNginx(project)
  const inner = Object.values(nginx?.addresses ?? {}).filter(Boolean)
  const next = verb === 'off' ? undefined : closureOf({ url: address, message, until, allow }, loadSettings(), inner)
  audit('maintenance', { switched: verb, ...next })
  await setMaintenance(nginx, next)
  say.done(maintenanceText(next))
  if (json) print(JSON.stringify(next ?? null))
  if (nginx) return
  throw new Failure('nginx is not running: it will be so when it starts', {
    exitCode: EXIT.unreachable,
    hint: 'docker compose up -d nginx',
  })
})
