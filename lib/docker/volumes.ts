// What lies in the volumes of the engine.
import { readdirSync } from 'node:fs'
import { attempt, capture, failureOf } from '../system/run.ts'
import { docker } from './commands.ts'

/**
 * Whether a volume has something in it: Compose makes all of them with the first service, whichever that is. Where this
 * user may not look, or the engine is elsewhere, it is taken to have. Throws a Failure when nobody can tell.
 */
export async function hasData(volume: string) {
  const command = docker('volume', 'inspect', '--format', '{{.Mountpoint}}', volume)
  const outcome = await attempt(command)
  if (outcome.code !== 0) {
    if (/no such volume/i.test(outcome.stderr)) return false
    throw failureOf(command, outcome)
  }
  try {
    return readdirSync(outcome.stdout.trim()).length > 0
  } catch {
    return true
  }
}

/**
 * The volumes of a service's data, by the names that they have or were given when another took the place of the first.
 */
export async function volumesOf(project: string, volume: string) {
  const names = (await capture(docker('volume', 'ls', '--quiet', '--filter', `name=${project}_${volume}`))).split('\n')
  return names.filter(name => name === `${project}_${volume}` || name.startsWith(`${project}_${volume}_`))
}
