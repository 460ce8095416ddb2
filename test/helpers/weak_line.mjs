// weak_line.mjs PORT FILE: a ProxyCommand for ssh; the line is cut when as many bytes have come from the server as FILE
// says.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'

const [port, file] = process.argv.slice(2)
const limit = Number(readFileSync(file))
const line = connect(Number(port), '127.0.0.1')
let come = 0
process.stdin.pipe(line)
line.on('data', chunk => {
  process.stdout.write(chunk)
  come += chunk.length
  if (come >= limit) process.exit(0)
})
line.on('close', () => process.exit(0))
