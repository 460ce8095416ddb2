// The one question before something is replaced.
import { createInterface } from 'node:readline'
import { Failure, usage } from '../system/errors.ts'
import { checkInterruption, onInterruption } from '../system/signals.ts'

const readLine = () =>
  new Promise<string>(resolve => {
    // Not readline's own terminal mode: there Ctrl-C would not reach this process as a signal.
    const lines = createInterface({ input: process.stdin, terminal: false })
    const forget = onInterruption(() => lines.close())
    lines.once('line', line => {
      resolve(line)
      lines.close()
    })
    lines.once('close', () => {
      forget()
      resolve('')
    })
  })

/**
 * Has a person type a word before it goes on. Throws a Failure without a terminal (64), or when something else was
 * typed.
 */
export async function confirm(what: string, word: string) {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw usage(`${what} needs a yes, and there is no terminal to ask on`, 'nothing was touched; add --yes')
  process.stderr.write(`Type ${word} to go on: `)
  const typed = (await readLine()).trim()
  checkInterruption()
  if (typed !== word)
    throw new Failure(`${typed === '' ? 'nothing' : JSON.stringify(typed)} was typed, not ${word}`, {
      hint: 'nothing was touched',
    })
}
