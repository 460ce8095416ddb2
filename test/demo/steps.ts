// The steps of the demo: each runs a program, shows where it is, and tells how long it took.
import { say } from '../../lib/system/progress.ts'
import { seconds } from '../../lib/system/format.ts'
import { interruption } from '../../lib/system/signals.ts'
import { runLines } from './child.ts'
import { type Row, startView } from './view.ts'

/** What a line of a program's output tells. */
export interface Reading {
  /** the phase that begins with it */
  phase?: string
  /** what is being done */
  text?: string
  /** worth keeping on the screen */
  keep?: boolean
}

export interface Step {
  name: string
  /** for people: "six services, and the images of the three apps" */
  what: string
  command: string[]
  cwd: string
  read: (line: string) => Reading
  /** what else to show below it */
  beside?: () => Row[]
}

/** test/engine.sh and test/images.sh begin with their name what they want to be read. */
export function readScript(line: string): Reading {
  return { text: line, keep: /^(engine|images): /.test(line) }
}

/** Compose with --progress plain: the builds first, then the containers. */
export function composeReader(project: string) {
  const waiting = new Set<string>()
  return (line: string): Reading => {
    const [, container = '', state = ''] = /^\s*Container (\S+)\s+(\S+)/.exec(line) ?? []
    const service = container.replace(`${project}-`, '').replace(/-\d+$/, '')
    if (state === 'Waiting') waiting.add(service)
    else if (state === 'Healthy') waiting.delete(service)
    if (waiting.size > 0) return { text: `waiting until healthy: ${[...waiting].join(', ')}` }
    return { text: line.replace(/^#\d+ /, '').trim() }
  }
}

const PHASE = /^→ (plan|build|migrate|start|healthy|switch|observe|drain|stop|tidy)(?:: (.*))?$/

/** deploy_local: its own lines are kept; those of the build and of the app are indented. */
export function readDeploy(line: string): Reading {
  const [, phase, text = ''] = PHASE.exec(line) ?? []
  if (phase !== undefined) return { phase, text, keep: true }
  if (line.startsWith('{')) return {}
  return line.startsWith('  ') ? { text: line.trim() } : { keep: true }
}

/** Without a terminal preparations say every 5 seconds where they are; what is measured, every second. */
const intervalOf = ({ beside }: Step) => (beside ? 1 : 5)

/** Runs a step, and gives its stdout and the milliseconds that it took. Throws a Failure when it fails. */
export async function runStep(step: Step) {
  const { name, what, command, cwd, read, beside } = step
  const begin = performance.now()
  let [phase, since, text] = [name, begin, '']
  say.step(`${name}: ${what}`)
  const current = () =>
    `${seconds(performance.now() - since)}  ${interruption.aborted ? 'stopping, please wait' : text}`
  const endView = startView(() => [{ label: phase, text: current() }, ...(beside?.() ?? [])], intervalOf(step))
  const onLine = (line: string) => {
    const reading = read(line)
    if (reading.phase !== undefined) [phase, since] = [reading.phase, performance.now()]
    text = reading.text ?? text
    if (reading.keep) say.line(`  ${line}`)
  }
  try {
    const stdout = await runLines(command, { what: name, cwd, onLine })
    const took = performance.now() - begin
    say.line(`  ${name} took ${seconds(took)}`)
    return { stdout, took }
  } finally {
    endView()
  }
}
