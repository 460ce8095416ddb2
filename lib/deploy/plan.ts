// What a deploy is going to do, found out before anything is changed.
// Long, since each way to say what is wanted is here: a branch, a commit, the one before, the same again.
import { buildSettingsOf, checkElixir, isSecretName, readAtBuild } from '../docker/build_settings.ts'
import { loadSettings } from '../system/settings.ts'
import { badConfig, Failure } from '../system/errors.ts'
import {
  branchHead,
  checkRepository,
  type Commit,
  defaultBranch,
  fetchRepository,
  missingFrom,
  namedCommit,
  readCommit,
  readFileAt,
  remoteHead,
  searchAt,
} from '../git/repository.ts'
import { fleetOf } from './fleet.ts'
import { readHistory, trail } from './history.ts'
import { isHealthy, listInstances } from '../docker/containers.ts'
import { alongside, together } from '../system/concurrency.ts'
import { readPins } from '../docker/release_pins.ts'
import { imageExists, releaseName } from './releases.ts'
import type { App, Stack } from '../docker/stack.ts'

export interface DeployRequest {
  branch: string | undefined
  to: string | undefined
  rollback: boolean
  dryRun: boolean
  /** the release that is live once more: its instances are replaced, and nothing is built or migrated */
  again?: boolean
}

export interface DeployPlan {
  image: string
  /** undefined for a rollback, which builds nothing */
  commit: Commit | undefined
  rollback: boolean
  built: boolean
  /**
   * the live release is of the same commit, and was built in another way: by another recipe, base image or setting of
   * its build
   */
  rebuilt: boolean
  /** settings that .env sets, that the code reads while it is built, and that its build does not get */
  unknownToBuild: string[]
  /** what is live now; undefined when nothing is */
  from: string | undefined
  fromRevision: string | undefined
  /** the live instances run exactly this release, are healthy, and in a Swarm spread over its nodes */
  current: boolean
  /** .env or docker-compose.yml was changed since the live instances were started */
  changed: boolean
}

/**
 * Throws a Failure for an unknown branch, tag or commit (64), a remote that does not answer (69), a rollback that has
 * nowhere to go (1).
 */
export async function makePlan(stack: Stack, app: App, request: DeployRequest): Promise<DeployPlan> {
  const [instances, { image, commit }] = await together(() => [
    listInstances(stack.project, app.service),
    wantedOf(stack, app, request),
  ])
  const live = instances.filter(({ oneOff, running }) => running && !oneOff)
  const [built, known] = await together(() => [
    imageExists(image),
    commit ? checkCommit(app, commit) : Promise.resolve([]),
  ])
  if (!built && !commit)
    throw new Failure(`the release before, ${image}, is no longer on this machine`, {
      hint: 'deploy its commit: deploy_local.ts <repo> --to <commit>',
    })
  const from = readPins()[app.service]?.image ?? live[0]?.image
  return {
    image,
    commit,
    rollback: request.rollback || request.again === true,
    built,
    rebuilt: commit !== undefined && from !== image && live.some(({ revision }) => revision === commit.sha),
    unknownToBuild: known,
    from,
    fromRevision: live[0]?.revision,
    current:
      commit !== undefined &&
      live.length >= app.replicas &&
      live.every(it => it.revision === commit.sha && it.image === image && isHealthy(it)) &&
      (await fleetOf(stack, app).isSpread(live)),
    changed: live.some(({ fingerprint }) => fingerprint !== undefined && fingerprint !== app.fingerprint),
  }
}

/** Throws (78) when a deploy of the commit would bring less than its author has. */
const checkWhole = ({ repository }: App, { sha }: Commit, missing: string[]) => {
  if (missing.length === 0) return
  const shown = missing.length > 6 ? [...missing.slice(0, 5), `${missing.length - 5} more`] : missing
  throw badConfig(
    `${repository} at ${sha.slice(0, 12)} has what is not in its repository, and would be missing in the release: ` +
      shown.join(', '),
    'commit the files themselves, or make them a package that the lock file pins; nothing was touched',
  )
}

/** The head of the remote's default branch, as a first start builds it. Throws the Failures of a plan. */
export async function firstCommit(app: App) {
  const commit = await commitOf(app.folder, { branch: undefined, to: undefined, rollback: false, dryRun: false })
  await checkCommit(app, commit)
  return commit
}

/**
 * Throws (78) when a deploy of the commit would bring less than its author has, or when the base image is too old or
 * too new for it. Gives the settings that it reads while it is built, that .env sets, and that its build does not get.
 */
const checkCommit = async (app: App, commit: Commit) => {
  const { service, folder, build } = app
  const { sha } = commit
  const [missing, mix, lines] = await together(() => [
    missingFrom(folder, sha),
    readFileAt(folder, sha, 'mix.exs'),
    searchAt(folder, sha, 'System[.](get_env|fetch_env)|process[.]env[.]', ['*.ex', 'nuxt.config.*']),
  ])
  checkWhole(app, commit, missing)
  checkElixir(service, build.args?.BASE, mix)
  const { texts } = loadSettings()
  const given = new Set([...buildSettingsOf(build.args), ...(build.secrets ?? []).map(({ source }) => source)])
  return readAtBuild(lines).filter(name => texts.has(name) && !given.has(name) && !isSecretName(name))
}

const wantedOf = async (stack: Stack, app: App, request: DeployRequest) => {
  if (request.rollback) return rollbackOf(app)
  if (request.again) return againOf(app)
  const commit = await commitOf(app.folder, request)
  return { image: releaseName(stack, app, commit.sha), commit }
}

const commitOf = async (folder: string, { branch, to, dryRun }: DeployRequest) => {
  await checkRepository(folder)
  if (dryRun && to === undefined) return remoteHead(folder, branch ?? (await defaultBranch(folder)))
  if (to !== undefined) {
    if (!dryRun) await fetchRepository(folder)
    return namedCommit(folder, to)
  }
  // Beside each other: the remote takes longer to answer than all the rest of the plan.
  const name = await alongside(
    async () => branch ?? defaultBranch(folder),
    () => fetchRepository(folder),
  )
  return branchHead(folder, name)
}

const againOf = ({ service, repository }: App) => {
  const pin = readPins()[service]
  if (pin) return { image: pin.image, commit: undefined }
  throw new Failure(`nothing of ${repository} was deployed yet`, { hint: `tsx scripts/deploy_local.ts ${repository}` })
}

const rollbackOf = ({ service, repository }: App) => {
  const image = trail(readHistory(), service).at(-2)
  if (!image)
    throw new Failure(`there is no release of ${repository} before the live one to go back to`, {
      hint: 'deploy a commit: deploy_local.ts <repo> --to <commit>',
    })
  return { image, commit: undefined }
}

/** When the commit is known here its subject, else only its id. */
export async function describe(folder: string, revision: string | undefined) {
  if (!revision) return undefined
  return readCommit(folder, revision).catch(() => ({ sha: revision, date: '', subject: '' }))
}
