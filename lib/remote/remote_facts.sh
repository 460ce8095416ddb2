# shellcheck shell=sh
# Run by sh on a server: tells what a script would find there. $1 is the folder of the scripts. A mark begins each line,
# since a login shell may write lines of its own.
tell() { printf 'avril:%s=%s\n' "$1" "$2"; }

export LC_ALL=C
if ! cd -- "$1" 2>/dev/null || ! [ -f scripts/deploy_local.ts ]; then
  tell folder missing
  # Another manager of a Swarm knows which node has them.
  db=$(docker node ls --quiet --filter node.label=avril.db=true 2>/dev/null)
  [ -z "$db" ] || tell db \
    "$(docker node inspect --format '{{with .ManagerStatus}}{{.Addr}}{{end}}' "$db" 2>/dev/null | cut -d : -f 1)"
  exit 0
fi
tell folder there
tell node "$(node --print 'process.version + " " + process.features.typescript' 2>/dev/null)"
tell scripts "$(find package-lock.json lib scripts -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c 1-64)"
tell commit "$(git log -1 --format='%h of %cs' 2>/dev/null)"
tell deploy "$(tail -n 1 .state/history.jsonl 2>/dev/null)"
tell backup "$(tail -n 1 .state/backups.jsonl 2>/dev/null)"
tell rollout "$(cat .state/rollout.json 2>/dev/null)"
