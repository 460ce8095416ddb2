# A backup that waits in its step "dump" for a table that a session in the database has locked.

# psql [DATABASE]: on the stack's postgres
psql() { docker exec -i -u postgres "$STACK-postgres-1" psql -qAtX -v ON_ERROR_STOP=1 -U avril -d "${1:-avril}" 3>&-; }

# backup_held: starts a backup as BACKUP that waits until release_table
backup_held() {
  mkfifo "$BATS_TEST_TMPDIR/lock"
  psql avril <"$BATS_TEST_TMPDIR/lock" >"$BATS_TEST_TMPDIR/locked" &
  LOCK_PID=$!
  exec {LOCK_FD}>"$BATS_TEST_TMPDIR/lock"
  printf "begin; lock table visitors; select 'locked';\n" >&"$LOCK_FD"
  await_line "$BATS_TEST_TMPDIR/locked" locked
  : >"$BATS_TEST_TMPDIR/err"
  exec_script backup >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" &
  # shellcheck disable=SC2034 # for the test
  BACKUP=$!
  await_line "$BATS_TEST_TMPDIR/err" '^→ dump'
  # The step is announced before pg_dump starts, and the rows are counted meanwhile, which waits for the table too.
  local end=$((SECONDS + 30))
  until [ "$(psql avril <<<"select count(*) from pg_locks join pg_stat_activity using (pid) where not granted and application_name = 'pg_dump'")" != 0 ]; do
    [ "$SECONDS" -lt "$end" ]
  done
}

release_table() {
  # Not by closing the pipe alone: what runs in the background has inherited it.
  printf 'rollback;\n\\q\n' >&"$LOCK_FD" || true
  exec {LOCK_FD}>&-
  wait "$LOCK_PID" || true
  rm "$BATS_TEST_TMPDIR/lock"
  LOCK_PID=
}
