import { randomUUID } from 'node:crypto'
import { isatty } from 'node:tty'
import { main } from '../lib/cli/main.ts'
import { handOn } from '../lib/cli/options.ts'

const command = {
  usage: 'psql.ts [--read-only] [--] [psql arguments]',
  summary: `Opens psql on the live database. Its exit code is psql's own. Who opened it, when and from where is noted in .state/audit.jsonl; no SQL is.

Everything but the options below is handed to psql, which runs in postgres's container: files of this server are read with "<", not with -f, and
written with ">". What follows -c can be read in the list of processes; what comes by "<" cannot. At a terminal: Ctrl-C cancels a query, \\e edits it, \\q or Ctrl-D ends; the history is kept for each user.`,
  words: [0, Infinity] as [number, number],
  options: {
    'read-only': { help: 'open every transaction read only. It guards against slips: whoever types SET can lift it' },
  },
  examples: [
    ['tsx scripts/psql.ts', 'look inside'],
    ['tsx scripts/psql.ts --read-only', 'look inside, and change nothing by mistake'],
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
    const { interactive } = await import('../lib/system/interactive.ts')
    const { openStack } = await import('../lib/docker/stack.ts')
    const { project } = await openStack()
    const server = await findServer(project, loadSettings())
    const readOnly = options['read-only']
    const session = { mark: `PSQL_SESSION=${randomUUID()}`, terminal: isatty(0) && isatty(1) }

    audit('psql', { database: server.database, readOnly })
    const hangUp = await hangUpLater({ ...server, account: ACCOUNT }, session.mark)
    try {
      return await interactive(openPsql(server, session, readOnly, words))
    } finally {
      await hangUp()
    }
  },
  handOn(['--read-only', '--help'], process.argv.slice(2)),
)
