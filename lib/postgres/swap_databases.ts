// Puts a database in the place of the live one: in one transaction, so that whatever dies at whatever time leaves one
// or the other.
import { maintenance } from './databases.ts'
import { alongside } from '../system/concurrency.ts'
import { Failure } from '../system/errors.ts'
import { psql, rows, type Server } from './server.ts'
import { attempt } from '../system/run.ts'

// While it holds this, sessions of the live database are ended.
const LOCK = "hashtext('avril swap')"

// RENAME keeps new sessions out from its first moment on (they wait, then learn that the name has moved), and gives the
// old ones 5 s to end.
const RENAME = String.raw`
select pg_advisory_lock(${LOCK}) \g /dev/null
select extract(epoch from clock_timestamp());
begin;
set local lock_timeout = '10s';
select exists (select from pg_database where datname = :'live') as there \gset
\if :there
  alter database :"live" rename to :"former";
\endif
alter database :"incoming" rename to :"live";
commit;
select extract(epoch from clock_timestamp());
`

// Not once but until the rename is over: an app's pool connects again at once.
const END_SESSIONS = `
set avril.live to :'live';
set avril.incoming to :'incoming';
do $$
declare begun boolean := false;
begin
  for i in 1..500 loop
    if pg_try_advisory_lock(${LOCK}) then
      perform pg_advisory_unlock(${LOCK});
      exit when begun;
    else
      begun := true;
      perform pg_stat_clear_snapshot();
      perform pg_terminate_backend(pid) from pg_stat_activity where datname = current_setting('avril.live');
    end if;
    exit when not exists (select from pg_database where datname = current_setting('avril.incoming'));
    perform pg_sleep(0.02);
  end loop;
end $$
`

/**
 * Renames the live database to `former` and `incoming` to the live name. A live one that somebody has dropped is not
 * missed, and needs no other name. Throws a Failure when the server refuses; then all is as it was. Gives when it began
 * and when it was done, by the clock.
 */
export async function swap(server: Server, incoming: string, former: string | undefined) {
  const run = (text: string) =>
    attempt(
      psql(
        server,
        maintenance(server),
        `--set=live=${server.database}`,
        ...(former === undefined ? [] : [`--set=former=${former}`]),
        `--set=incoming=${incoming}`,
      ),
      { input: text },
    )
  const renamed = await alongside(
    () => run(RENAME),
    () => run(END_SESSIONS),
  )
  const [began, ended] = renamed.stdout.split('\n').map(seconds => new Date(Number(seconds) * 1000))
  if (renamed.code === 0 && began && ended) return { began, ended }
  throw new Failure(`the databases could not be renamed: ${renamed.stderr.trim()}`, {
    hint: "what is connected to it? scripts/psql.ts -c 'table pg_stat_activity'",
  })
}

/** Throws a Failure when something holds on to the live database that nobody can end for it. */
export async function checkSwappable(server: Server) {
  const prepared = await rows<string>(
    server,
    maintenance(server),
    `select to_json(gid) from pg_prepared_xacts where database = :'live'`,
    { live: server.database },
  )
  if (prepared.length > 0)
    throw new Failure(
      `${server.database} has prepared transactions, so it cannot be put aside: ${prepared.join(', ')}`,
      {
        hint: "end each one first: commit prepared '…' or rollback prepared '…' (scripts/psql.ts)",
      },
    )
}
