// The far end of a call over ssh without a terminal: its standard input carries what would be signals there, and its
// end is a lost terminal.
const SIGNALS = new Set(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)

/** Turns the lines that come on the standard input into signals for this process. It does not stay alive for that. */
export function listenToCaller() {
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (text: string) => {
    for (const signal of SIGNALS) if (text.split('\n').includes(signal)) process.kill(process.pid, signal)
  })
  process.stdin.on('end', () => process.kill(process.pid, 'SIGHUP'))
  process.stdin.on('error', () => process.kill(process.pid, 'SIGHUP'))
  process.stdin.unref()
}
