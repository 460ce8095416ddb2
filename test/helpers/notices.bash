# A webhook, and hooks, that write down what they are told.
# shellcheck shell=bash

# hear: starts it. HEARD is the file with a line each (method, path, body), HEARD_URL its address.
hear() {
  export HEARD=$BATS_TEST_TMPDIR/heard
  : >"$HEARD"
  node -e '
    const server = require("http").createServer((request, response) => {
      let body = ""
      request.on("data", chunk => (body += chunk)).on("end", () => { console.log(request.method, request.url, body); response.end() })
    })
    server.listen(Number(process.argv[1]), "127.0.0.1", () => console.log("port", server.address().port))' "${1:-0}" >>"$HEARD" 3>&- &
  HEARD_PID=$!
  await_line "$HEARD" '^port'
  local port
  port=$(sed -n 's/^port //p' "$HEARD")
  export HEARD_URL=http://127.0.0.1:$port
}

# Nothing answers there any more.
hear_no_more() {
  if [ -n "${HEARD_PID:-}" ]; then kill "$HEARD_PID" 2>/dev/null || true; fi
  HEARD_PID=
}

# The texts of the notices, a line each.
heard() {
  sed -n 's/^POST [^ ]* //p' "$HEARD" |
    while IFS= read -r body; do node -p 'JSON.parse(process.argv[1]).text' "$body"; done
}

# hook NAME: a hook that writes what it gets to a file of its name, and does what stands on its standard input
hook() {
  mkdir -p "$SITE/hooks"
  { printf '#!/bin/sh\ncat >>"%s"\n' "$BATS_TEST_TMPDIR/$1"; cat; } >"$SITE/hooks/$1"
  chmod 755 "$SITE/hooks/$1"
}

# got NAME EXPRESSION: of what the last call of the hook got
got() { tail -n 1 "$BATS_TEST_TMPDIR/$1" | node -p "JSON.parse(require('fs').readFileSync(0)).$2"; }
