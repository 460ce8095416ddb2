// A release is an immutable image of an app at a commit.
import { createHash, createHmac } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { compose, images, inspectImages, removeImage } from '../docker/commands.ts'
import { type Commit, exportCommit } from '../git/repository.ts'
import { loadSettings } from '../system/settings.ts'
import { readIfThere } from '../system/files.ts'
import { stateFile } from '../system/state_folder.ts'
import { attempt, capture, type RunOptions, show } from '../system/run.ts'
import type { App, Stack } from '../docker/stack.ts'
import type { Build } from '../docker/stack_config.ts'

const TAG = /^[0-9a-f]{12}-[0-9a-f]{6}$/

// The same commit built in another way (another base image, another Dockerfile) is another release.
// BuildKit takes a layer from its cache however its secrets have changed.
const digestOfSecrets = ({ secrets }: Stack, build: Build) => {
  const settings = loadSettings()
  const values = (build.secrets ?? []).map(({ source }) => {
    const { environment, file } = secrets[source] ?? {}
    const setting = environment === undefined ? undefined : settings.texts.get(environment)
    return [source, file === undefined ? setting : readIfThere(file)] as const
  })
  const set = values.filter(([, value]) => value !== undefined && value !== '')
  // With a key that nobody has who has the image, or a short secret could be guessed by it.
  return set.length === 0
    ? undefined
    : createHmac('sha256', settings.SECRET_KEY_BASE).update(JSON.stringify(set)).digest('hex').slice(0, 12)
}

/** The arguments of a build, with one that changes when its secrets do. */
const argumentsOf = (stack: Stack, { build }: App) => {
  const digest = digestOfSecrets(stack, build)
  return { ...build.args, ...(digest === undefined ? {} : { SECRETS: digest }) }
}

const recipeOf = (stack: Stack, app: App) => {
  const { dockerfile, dockerfile_inline } = app.build
  const args = argumentsOf(stack, app)
  const own =
    dockerfile && isAbsolute(dockerfile) ? readFileSync(dockerfile, 'utf8') : (dockerfile_inline ?? dockerfile ?? '')
  return createHash('sha256')
    .update(JSON.stringify([own, args]))
    .digest('hex')
    .slice(0, 6)
}

/** What the releases of an app are called, before the colon. */
export function repositoryOf(project: string, service: string) {
  return `${project}-${service}`
}

export function releaseName(stack: Stack, app: App, sha: string) {
  return `${repositoryOf(stack.project, app.service)}:${sha.slice(0, 12)}-${recipeOf(stack, app)}`
}

/** Whether an image is a release: its name is that of one content for ever. */
export function isRelease(image: string) {
  return TAG.test(image.slice(image.lastIndexOf(':') + 1))
}

export async function imageExists(image: string) {
  return (await attempt(inspectImages([image]))).code === 0
}

/** Whether what is started from an image is root, unless docker-compose.yml says otherwise. */
export async function runsAsRoot(image: string) {
  const [found]: { Config: { User?: string } }[] = JSON.parse(await capture(inspectImages([image])))
  return /^(|0|root)(:.*)?$/.test(found?.Config.User ?? '')
}

/**
 * Builds the release of a commit from the files of exactly that commit. Throws a Failure when the build fails; nothing
 * is left then.
 */
export async function buildRelease(
  stack: Stack,
  app: App,
  image: string,
  commit: Commit,
  told: Pick<RunOptions, 'hint' | 'hide'> = {},
) {
  const [context, plan] = buildPlaces()
  clearBuild()
  try {
    await exportCommit(app.folder, commit.sha, context)
    writeFileSync(
      plan,
      JSON.stringify({
        secrets: stack.secrets,
        services: {
          [app.service]: {
            image,
            build: { ...app.build, args: argumentsOf(stack, app), context, labels: labelsOf(app, commit) },
          },
        },
      }),
    )
    await show(compose([plan], '--progress', 'plain', 'build', app.service), {
      what: 'the build',
      hint: 'correct it and push, then run this again',
      ...told,
    })
  } finally {
    clearBuild()
  }
}

const buildPlaces = () => [stateFile('build'), stateFile('build.json')] as const

/** Removes what a build that was killed has left: a copy of the app's files. */
export function clearBuild() {
  const [context, plan] = buildPlaces()
  for (const path of [context, `${context}.git`, plan]) rmSync(path, { recursive: true, force: true })
}

const labelsOf = (app: App, { sha, date }: Commit) => ({
  'org.opencontainers.image.revision': sha,
  'org.opencontainers.image.created': date,
  'avril.repository': app.repository,
})

interface Release {
  name: string
  created: string
}

/** The releases of an app that are on this machine. */
export async function listReleases(stack: Stack, app: App): Promise<Release[]> {
  const listed = await capture(images(repositoryOf(stack.project, app.service)))
  return listed
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as { Repository: string; Tag: string; CreatedAt: string })
    .filter(({ Tag }) => TAG.test(Tag))
    .map(({ Repository, Tag, CreatedAt }) => ({ name: `${Repository}:${Tag}`, created: CreatedAt }))
}

/**
 * Removes old releases of an app: all but those that are named, and the newest `keep`. Gives the names of what it
 * removed.
 */
export async function pruneReleases(releases: Release[], trail: string[], used: string[], keep: number) {
  const removed: string[] = []
  for (const name of releasesToRemove(releases, trail, used, keep))
    if ((await attempt(removeImage(name))).code === 0) removed.push(name)
  return removed
}

/**
 * Which releases to remove: never one that is used, nor the one that a rollback goes to; the last that were live stay,
 * up to `keep` in all.
 */
export function releasesToRemove(releases: Release[], trail: string[], used: string[], keep: number) {
  const rank = ({ name }: Release) => trail.lastIndexOf(name)
  const newestFirst = releases.toSorted((a, b) => rank(b) - rank(a) || b.created.localeCompare(a.created))
  const kept = new Set([...used, ...trail.slice(-2)])
  return newestFirst.filter(({ name }, index) => index >= keep && !kept.has(name)).map(({ name }) => name)
}
