// moment.ts TIME [KEY]: how many rows of the table commits tell of Dupont at a moment that is in BACKUP_DIR.
import { main } from '../../lib/cli/main.ts'
import { print } from '../../lib/cli/terminal.ts'
import { loadSettings } from '../../lib/system/settings.ts'

const command = {
  usage: 'moment.ts',
  summary: '',
  words: [1, 2] as [number, number],
  options: {},
  examples: [] as [string, string][],
}

await main(command, async (_, [at = '', keyFile]) => {
  const { chosenFor, stageChain } = await import('../../lib/archive/stage_chain.ts')
  const { openRecovered } = await import('../../lib/postgres/recovered.ts')
  const { findServer, loginsOf, sql } = await import('../../lib/postgres/server.ts')
  const { Scope } = await import('../../lib/system/scope.ts')
  const settings = loadSettings()
  const project = settings.COMPOSE_PROJECT_NAME
  const { image } = await findServer(project, settings)
  const scope = new Scope()
  try {
    const staged = scope.use(await stageChain({ settings, image, keyFile }, chosenFor(settings, new Date(at))))
    const origin = { project, image, logins: loginsOf(settings), folder: staged.folder }
    const target = { kind: 'time', time: new Date(at) } as const
    const { server } = scope.use(await openRecovered(origin, target, async () => ({ bases: staged.bases })))
    print(await sql(server, server.database, "select count(*) from public.commits where text like '%Dupont'"))
  } finally {
    await scope.dispose()
  }
})
