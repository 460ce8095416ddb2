import { randomUUID } from 'node:crypto'
import { isatty } from 'node:tty'
import { main } from '../lib/cli/main.ts'
import { handOn } from '../lib/cli/options.ts'
import { isPast, PSQL_OPTIONS } from '../lib/cli/psql_options.ts'

const command = {
  usage: 'psql.ts [options] [--] [psql arguments]',
  summary: `Opens psql on the live database. Its exit code is psql's own. Who opened it, when and from where is noted in
.state/audit.jsonl; no SQL is.

Everything but the options below is handed to psql, which runs in postgres's container: files of this server are read
with "<", not with -f, and written with ">". What follows -c can be read in the list of processes; what comes by "<"
cannot. At a terminal: Ctrl-C cancels a query, \\e edits it, \\q or Ctrl-D ends; the history is kept for each user.`,
  words: [0, Infinity] as [number, number],
  options: PSQL_OPTIONS,
  examples: [
    ['tsx scripts/psql.ts', 'look inside'],
    ['tsx scripts/psql.ts --read-only', 'look inside, and change nothing by mistake'],
    ['tsx scripts/psql.ts --at 14:32', 'look at the database as it was at 14:32'],
    ['tsx scripts/psql.ts --set avril-20261122', 'look into a backup set'],
    ["tsx scripts/psql.ts -c 'select count(*) from users'", 'ask one question'],
    [
      'tsx scripts/psql.ts -v ON_ERROR_STOP=1 < change.sql',
      'run a file; between "begin;" and "commit;" in it, all of it or nothing',
    ],
    ['tsx scripts/psql.ts -- --help', "psql's own options"],
  ] as [string, string][],
  input: 'data' as const,
}

await main(
  command,
  async (options, words) => {
    const { audit } = await import('../lib/system/audit.ts')
    const { loadSettings } = await import('../lib/system/settings.ts')
    const { ACCOUNT, findServer } = await import('../lib/postgres/server.ts')
    const { openPsql } = await import('../lib/console/psql.ts')
    const { hangUpLater } = await import('../lib/docker/exec_session.ts')
    const { Scope } = await import('../lib/system/scope.ts')
    const { interactive } = await import('../lib/system/interactive.ts')
    const { openStack } = await import('../lib/docker/stack.ts')
    const { openPast } = await import('../lib/restore/open_past.ts')
    const { targetOf } = await import('../lib/restore/moments.ts')
    const past = isPast(options)
    const { at, set, key: keyFile } = options
    const target = at === undefined ? undefined : targetOf(at)
    const settings = loadSettings()
    const { project } = await openStack()
    const readOnly = past || options['read-only']

    const of = {
      ...(target ? { at: target.kind === 'time' ? target.time.toISOString() : at } : {}),
      ...(set ? { set } : {}),
    }
    audit('psql', { database: settings.POSTGRES_DB, readOnly, ...of })
    const { server, dispose } = past
      ? await openPast(project, settings, { target, set, keyFile }, options.wait)
      : { server: await findServer(project, settings), dispose: () => {} }
    const session = { mark: `PSQL_SESSION=${randomUUID()}`, terminal: isatty(0) && isatty(1) }
    const scope = new Scope()
    scope.use({ dispose })
    try {
      scope.use({ dispose: await hangUpLater({ ...server, account: ACCOUNT }, session.mark) })
      return await interactive(openPsql(server, session, readOnly, words))
    } finally {
      await scope.dispose()
    }
  },
  handOn(PSQL_OPTIONS, process.argv.slice(2)),
)
