#!/usr/bin/env bash
# Prepares what the tests need and runs them: test/run.sh [all|file.bats|unit|static|compose …]
# Without a word those that show each promise once; with "all" also those that are tagged long: the same promise at more
# moments, on other stacks, with more data. What is named is run as a whole.
# What needs no engine (static, unit) installs nothing when it is all that is named.
# Its last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# A file whose tests wait for what never comes fails after half an hour, and the others run. (With BATS_TEST_TIMEOUT
# bats waits that long behind each test that failed.)
bats=(timeout --kill-after=10 1800 node_modules/bats/bin/bats --formatter tap --timing)
case ${1:-} in
  '') bats+=(--filter-tags '!long') ;;
  all) export TEST_ALL=yes; shift ;;
esac
passed=0 failed=0 log=$(mktemp) started=$SECONDS failures=()
trap 'rm -f "$log"' EXIT
wanted=("$@")

is_wanted() {
  [ "${#wanted[@]}" -eq 0 ] && return 0
  local name
  for name in "${wanted[@]}"; do [ "${name##*/}" = "$1" ] && return 0; done
  return 1
}

# A check that is one test: its output is shown only when it fails.
check() {
  local name=$1
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok %s\n' "$name"
  else
    failed=$((failed + 1))
    failures+=("$name")
    printf 'not ok %s\n' "$name"
    sed 's/^/  /' "$log"
  fi
}

# What a runner (the first word names it) writes as TAP: its lines are shown as they come, and counted. A skipped test
# counts as failed where CI is set.
tap() {
  local name=$1 pattern='^not ok' status bad line
  shift
  "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  [ -n "${CI:-}" ] && pattern='^not ok|^ok .*# (skip|SKIP)'
  mapfile -t bad < <(grep -E "$pattern" "$log")
  # A runner that broke down before it could name a failed test is a failure all the same.
  [ "$status" -ne 0 ] && [ "${#bad[@]}" -eq 0 ] && bad=("ended with $status")
  failed=$((failed + ${#bad[@]}))
  # With why: bats says it in comments behind the line.
  for line in "${bad[@]}"; do
    failures+=("$name: $line" "$(awk -v bad="$line" \
      '$0 == bad { on = 1; next } on && /^#/ { if (count++ < 15) print "  " $0; next } { on = 0 }' "$log")")
  done
  passed=$((passed + $(grep -c '^ok' "$log")))
}

node_tests() {
  local name=$1
  shift
  tap "$name" node --import tsx --test --test-concurrency 4 --test-reporter tap \
    "$@" > >(grep -E --line-buffered '^(not )?ok|^  |^Bail' || true)
}

prepare() {
  local missing=() tool
  for tool in shellcheck openssl curl git inotifywait:inotify-tools tmux cron age chromium ssh:openssh-client sshd:openssh-server ip:iproute2 pkill:procps docker-compose mount.exfat-fuse:exfat-fuse mkfs.exfat:exfatprogs; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'missing: %s. Install them, then run this again.\n' "${missing[*]}" >&2
    exit 69
  fi
  printf 'installing %s …\n' "${missing[*]}"
  if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log"
    exit 69
  fi
}

shell_files() { git ls-files -co --exclude-standard | grep -E '\.(sh|bash|bats)$|^\.ci/run$'; }

needs_engine() {
  [ "${#wanted[@]}" -eq 0 ] && return 0
  local name
  for name in "${wanted[@]}"; do case $name in static | unit) ;; *) return 0 ;; esac done
  return 1
}

if needs_engine; then prepare; fi
if is_wanted static; then
  check 'types (tsc)' node_modules/.bin/tsc
  check 'format (oxfmt)' node_modules/.bin/oxfmt --check .
  check 'lint (oxlint)' node_modules/.bin/oxlint --type-aware --deny-warnings
  check 'structure (house)' node --import tsx test/house.ts
  mapfile -t files < <(shell_files)
  # shellcheck disable=SC2016 # for that shell
  check 'shell files (shellcheck)' bash \
    -c 'printf "%s\0" "$@" | xargs --null --max-args 6 --max-procs "$(nproc)" shellcheck --external-sources' \
    shellcheck "${files[@]}"
fi
if is_wanted unit; then
  # It sends at a rate, which it cannot beside others.
  node_tests unit test/load/load.test.ts
  mapfile -t files < <(find test -name '*.test.ts' -not -path 'test/compose/*' -not -path test/load/load.test.ts)
  node_tests unit "${files[@]}"
fi

if needs_engine && ! { test/engine.sh && test/images.sh; }; then
  printf 'the engine or the images are missing\n' >&2
  exit 69
fi
if needs_engine; then
  COMPILED=$(mktemp -d)
  export COMPILED
  trap 'rm -rf "$log" "$COMPILED"' EXIT
  node test/helpers/compile.mjs . "$COMPILED"
fi
if is_wanted compose; then node_tests compose test/compose/*.test.ts; fi

# Shows what a file's tests wrote when they have ended, or when all have and these were killed. The status comes by a
# rename, so that it is never read while it is written.
finished() {
  until [ -e "$outputs/$1.status" ] || [ -e "$outputs/ended" ]; do
    inotifywait --quiet --quiet --timeout 1 --event moved_to --event create "$outputs" || true
  done
  cat "$outputs/$1"
  return "$(cat "$outputs/$1.status" || echo 1)"
}

# What counts requests at a high rate, or is three machines in one, runs alone. What mostly waits for containers runs
# four at a time, the longest first: it would be waited for at the end. What nobody has measured comes last.
alone=(cluster.bats observe.bats rollouts.bats nginx.bats)
longest=(deploy.bats take_over.bats setup.bats remote.bats recover.bats moment.bats locked.bats upgrade.bats wal.bats
  confined.bats restore.bats backup.bats vault.bats watch.bats signals.bats maintenance.bats together.bats kills.bats
  frameworks.bats failures.bats comes_back.bats first_start.bats certificate.bats demo.bats nodes.bats psql.bats
  objects.bats roles.bats owners.bats)
together=("${longest[@]}")
for file in test/*.bats; do
  file=${file##*/}
  case " ${together[*]} ${alone[*]} " in *" $file "*) ;; *) together+=("$file") ;; esac
done
for file in "${alone[@]}"; do
  is_wanted "$file" || continue
  printf '# %s\n' "$file"
  tap "$file" "${bats[@]}" "test/$file"
done

outputs=$(mktemp -d)
mapfile -t together < <(
  for file in "${together[@]}"; do
    if [ -e "test/$file" ] && is_wanted "$file"; then echo "$file"; fi
  done
)
# shellcheck disable=SC2016 # for the shell that runs a file
{
  printf '%s\n' "${together[@]}" | xargs --no-run-if-empty --max-procs 4 -I '{}' bash -c \
    'file=$0 outputs=$1; shift; "$@" "test/$file" >"$outputs/$file" 2>&1; echo "$?" >"$outputs/$file.ended"; mv "$outputs/$file.ended" "$outputs/$file.status"' '{}' "$outputs" "${bats[@]}" || true
  : >"$outputs/ended"
} &
for file in "${together[@]}"; do
  printf '# %s\n' "$file"
  tap "$file" finished "$file"
done
wait
rm -rf "$outputs"

printf '# %s s\n' "$((SECONDS - started))"
# Once more at the end, where somebody who has only the last lines finds them.
[ "$failed" -eq 0 ] || printf '%s\n' "${failures[@]}" | sed -e '/^$/d' -e '/^ /!s/^/# failed: /'
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
