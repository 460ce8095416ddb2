#!/usr/bin/env bash
# Prepares what the tests need and runs all of them, or those named: test/run.sh [file.bats|unit|static …]
# Its last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0 log=$(mktemp) started=$SECONDS
trap 'rm -f "$log"' EXIT
wanted=("$@")
declare -a pids=()

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
    printf 'not ok %s\n' "$name"
    sed 's/^/  /' "$log"
  fi
}

# A runner that writes TAP: its lines are shown as they come, and counted. A skipped test counts as failed where CI is set.
tap() {
  "$@" 2>&1 | tee "$log"
  local status=${PIPESTATUS[0]} bad
  bad=$(grep -c '^not ok' "$log")
  [ -n "${CI:-}" ] && bad=$((bad + $(grep -ci '^ok .*# skip' "$log")))
  # A runner that broke down before it could name a failed test is a failure all the same.
  [ "$status" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
  failed=$((failed + bad))
  passed=$((passed + $(grep -c '^ok' "$log")))
}

# Shows what a runner in the background writes until it ends, with its status.
finished() {
  tail --quiet --lines +1 --follow --pid "$1" --sleep-interval 0.2 "$2"
  return "$(cat "$2.status")"
}

prepare() {
  local missing=() tool
  for tool in shellcheck openssl curl git inotifywait; do command -v "$tool" >/dev/null || missing+=("${tool/inotifywait/inotify-tools}"); done
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

prepare
if is_wanted static; then
  check 'types (tsc)' node_modules/.bin/tsc
  check 'lint (oxlint)' node_modules/.bin/oxlint --type-aware --deny-warnings
  mapfile -t files < <(shell_files)
  check 'shell files (shellcheck)' shellcheck --external-sources "${files[@]}"
fi
if is_wanted unit; then
  mapfile -t files < <(find test -name '*.test.ts' | sort)
  tap node --import tsx --test --test-reporter tap "${files[@]}" > >(grep -E --line-buffered '^(not )?ok|^  |^Bail' || true)
fi

if ! test/engine.sh || ! test/images.sh; then
  printf 'the engine or the images are missing\n' >&2
  exit 69
fi
# Most of the time a test waits for containers, so files with stacks of their own run side by side; the one that counts requests at a high rate
# runs alone.
mapfile -t files < <(for file in test/*.bats; do is_wanted "${file##*/}" && [ "$file" != test/rollouts.bats ] && printf '%s\n' "$file"; done)
outputs=$(mktemp -d)
for file in "${files[@]}"; do
  output=$outputs/${file##*/}
  {
    node_modules/bats/bin/bats --formatter tap --timing "$file" && status=0 || status=$?
    echo "$status" >"$output.status"
  } >"$output" 2>&1 &
  pids[$!]=$file
done
for pid in "${!pids[@]}"; do
  printf '# %s\n' "${pids[$pid]}"
  tap finished "$pid" "$outputs/${pids[$pid]##*/}"
done
if is_wanted rollouts.bats; then
  printf '# test/rollouts.bats\n'
  tap node_modules/bats/bin/bats --formatter tap --timing test/rollouts.bats
fi

printf '# %s s\n%s passed, %s failed\n' "$((SECONDS - started))" "$passed" "$failed"
[ "$failed" -eq 0 ]
