// Which PostgreSQL an image has, and which image of this machine has a version.
import { docker } from '../docker/commands.ts'
import { badConfig, EXIT, Failure } from '../system/errors.ts'
import { capture } from '../system/run.ts'
import { readUpgradeNote } from './upgrade_note.ts'

/** The folder of all data in an image, where the volume is mounted. */
export const PLACE = '/var/lib/postgresql'

/** The major version of PostgreSQL in an image, which is pulled when it is not here. Throws a Failure (69). */
export async function majorOf(image: string) {
  const version = await capture(
    docker('run', '--rm', '--network', 'none', '--entrypoint', 'postgres', image, '--version'),
    {
      what: `looking into ${image}`,
      hint: 'nothing was touched; can it be pulled? docker pull',
      exitCode: EXIT.unreachable,
    },
  )
  const major = Number(/ (\d+)/.exec(version)?.[1])
  if (major) return major
  throw new Failure(`${image} does not say which PostgreSQL it is: ${version}`, { exitCode: EXIT.unreachable })
}

/** An image of this machine with that major version, of those that bear the same name without its tag. */
export async function findImage(image: string, version: number) {
  const repository = image.replace(/[:@][^/]*$/, '')
  const listed = await capture(docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}', repository))
  for (const name of listed.split('\n').filter(it => it !== '' && !it.endsWith(':<none>')))
    if ((await majorOf(name)) === version) return name
  return undefined
}

/**
 * An image that serves data of a major version: `own`, when it has that, one that an upgrade has put aside, or another
 * one of this machine. Throws a Failure (78) when there is none.
 */
export async function imageFor(version: number, own: string) {
  if ((await majorOf(own)) === version) return own
  const kept = readUpgradeNote().kept.find(it => it.version === version)?.image
  const found = kept ?? (await findImage(own, version))
  if (found !== undefined) return found
  throw badConfig(
    `what is in the archive of then is of PostgreSQL ${version}, and no image of this machine is`,
    `nothing was touched; docker pull an image of PostgreSQL ${version} whose name begins as ${own} does`,
  )
}
