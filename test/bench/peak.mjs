// Loaded into a script: notes at its end the most memory that it held (kB). The maximum of getrusage would be that of
// the process that started it, when that was larger: Linux hands it on.
import { readFileSync, writeFileSync } from 'node:fs'

process.on('exit', () => {
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  writeFileSync(process.env.PEAK_FILE, peak)
})
