// Old releases in the registry of a Swarm, and on its nodes.
import { listContainers } from '../docker/containers.ts'
import { docker, exec } from '../docker/commands.ts'
import { listNodes, swarmAddress } from '../docker/swarm.ts'
import { engineOf } from '../ssh/engines.ts'
import { messageOf } from '../system/errors.ts'
import { say } from '../system/progress.ts'
import { attempt, capture } from '../system/run.ts'
import { checkInterruption } from '../system/signals.ts'
import { repositoryOf } from './releases.ts'

/**
 * In the container of the registry: $1 is a repository, the other words are the tags that stay. A manifest goes when no
 * tag has it, by itself or in a list: `garbage-collect --delete-untagged` of 2.8 would take those that stand in a list.
 * Then what no manifest has. Prints the digests that are left.
 */
export const PRUNE = `set -eu
root=/var/lib/registry/docker/registry/v2 repository=$1; shift
cd "$root/repositories/$repository/_manifests" 2>/dev/null || exit 0
removed=
for tag in tags/*; do
  case " $* " in *" \${tag#tags/} "*) ;; *) rm -rf "$tag"; removed=1 ;; esac
done
used=$(for link in tags/*/current/link; do
  [ -e "$link" ] || continue
  digest=$(cat "$link"); hash=\${digest#sha256:}
  blob=$root/blobs/sha256/$(echo "$hash" | cut -c 1-2)/$hash/data
  echo "$hash"; grep -oE 'sha256:[0-9a-f]{64}' "$blob" | cut -d : -f 2
done)
for manifest in revisions/sha256/*; do
  case $used in *"\${manifest##*/}"*) ;; *) rm -rf "$manifest"; removed=1 ;; esac
done
[ -z "$removed" ] || registry garbage-collect /etc/avril/registry.yml >/dev/null
for manifest in revisions/sha256/*; do [ ! -e "$manifest" ] || echo "sha256:\${manifest##*/}"; done`

const pruneRegistry = async (project: string, repository: string, tags: string[]) => {
  const registry = (await listContainers(project, 'registry')).find(({ running }) => running)
  if (!registry) return undefined
  const said = await capture(exec(registry.id, 'sh', '-c', PRUNE, 'sh', repository, ...tags), {
    what: 'removing old releases from the registry',
  })
  return said.split('\n').filter(Boolean)
}

// Docker itself keeps what a container still has.
const pruneNode = async (engine: string | undefined, name: string, digests: string[]) => {
  const listed = await capture(docker('image', 'ls', '--digests', '--format', '{{.Digest}}', name), { engine })
  for (const digest of new Set(listed.split('\n')))
    if (digest.startsWith('sha256:') && !digests.includes(digest))
      await attempt(docker('image', 'rm', `${name}@${digest}`), { engine })
}

/**
 * Removes the releases of an app that are not kept (names of images) from the registry and from all nodes. Only under
 * the deploy lock: nobody may push meanwhile. What fails is told, and the next deploy does it.
 */
export async function pruneNodes(project: string, service: string, kept: string[]) {
  const repository = repositoryOf(project, service)
  const tags = kept.flatMap(it => (it.startsWith(`${repository}:`) ? [it.slice(repository.length + 1)] : []))
  const told = (where: string) => (error: unknown) => {
    checkInterruption()
    say.warn(`old releases stay ${where}: ${messageOf(error)}`)
  }
  if (tags.length === 0) return
  const digests = await pruneRegistry(project, repository, tags).catch(told('in the registry'))
  if (digests === undefined || digests.length === 0) return
  const nodes = (await listNodes()).filter(({ isUp }) => isUp)
  await Promise.all(
    nodes.map(async ({ name, host, isHere }) => {
      const prune = async () =>
        pruneNode(isHere ? undefined : await engineOf(host), `${swarmAddress()}:5000/${repository}`, digests)
      await prune().catch(told(`on ${name}`))
    }),
  )
}
