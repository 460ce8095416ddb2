#!/usr/bin/env bash
# watch.sh FOLDER: what the watch costs on the site whose checkout is in FOLDER, in seconds of a processor: as many
# looks as in an hour, and one start of Node, in six minutes. Whoever NOTICE_URL names is told of what is wrong
# meanwhile.
set -euo pipefail
cd "${1:?usage: watch.sh FOLDER}"
TIMEFORMAT='%U user, %S sys'
time timeout 358 node --import tsx scripts/watch.ts --tell --every 6 || [ $? -eq 124 ]
