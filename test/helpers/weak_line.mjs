// weak_line.mjs PORT BYTES: a ProxyCommand for ssh; the line is cut when so many bytes have come from the server.
import { connect } from 'node:net'

const [port, limit] = process.argv.slice(2).map(Number)
const line = connect(port, '127.0.0.1')
let come = 0
process.stdin.pipe(line)
line.on('data', chunk => {
  process.stdout.write(chunk)
  come += chunk.length
  if (come >= limit) process.exit(0)
})
line.on('close', () => process.exit(0))
