// Files that are named after their content (scripts, styles, fonts), taken out of the images of releases: nginx serves
// them itself. Whoever opened a page before a deploy asks for those of its release, which the new one does not have.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { constants, gzipSync } from 'node:zlib'
import * as v from 'valibot'
import { docker, removeContainers } from '../docker/commands.ts'
import { idsWith } from '../docker/containers.ts'
import type { App, AssetFolder, Stack } from '../docker/stack.ts'
import { root } from '../system/checkout.ts'
import { messageOf } from '../system/errors.ts'
import { partialBeside } from '../system/files.ts'
import { say } from '../system/progress.ts'
import { attempt, capture } from '../system/run.ts'
import { checkInterruption, shielded } from '../system/signals.ts'
import { readState, stateFile, writeState } from '../system/state_folder.ts'
import { imageExists, isRelease } from './releases.ts'

/** By the path that a browser asks for (nginx/kept_files.conf). */
const SERVED = join(root, 'nginx', 'assets')

// As $kept in nginx/kept_files.conf. What tells of the newest build (latest.json) is named after nothing.
const NAMED =
  /(\/_nuxt\/|-[0-9a-f]{32}\.).*(?<=\.)(m?js|css|map|woff2?|ttf|otf|eot|svg|png|jpe?g|gif|webp|avif|ico|wasm)$/

/** What shrinks by compression; below so many bytes nginx sends it as it is (gzip_min_length). */
const COMPRESSIBLE = /\.(m?js|css|map|svg|ttf|otf|eot|wasm)$/
const LEAST = 1024

const FILE = 'assets.json'
const TAKEN = v.record(v.string(), v.array(v.string()))

/** Whether a path that a browser asks for is that of such a file. */
export function isNamedAfterContent(path: string) {
  return NAMED.test(path)
}

const write = (file: string, content: Uint8Array) => {
  const partial = partialBeside(file)
  try {
    writeFileSync(partial, content, { flag: 'wx', mode: 0o644 })
    renameSync(partial, file)
  } finally {
    rmSync(partial, { force: true })
  }
}

const serve = (path: string, content: Buffer) => {
  const file = join(SERVED, path)
  if (existsSync(file) && readFileSync(file).equals(content)) return
  mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
  const small = content.length > LEAST && COMPRESSIBLE.test(path)
  // Before the file itself: there is no moment in which a former content is served compressed beside the new one.
  rmSync(`${file}.gz`, { force: true })
  write(file, content)
  if (small) write(`${file}.gz`, gzipSync(content, { level: constants.Z_BEST_COMPRESSION }))
}

/** Serves what is in a folder of a container; gives the paths. A link is not followed: it could lead anywhere. */
const takeFolder = async (container: string, { folder, path }: AssetFolder, scratch: string) => {
  const target = mkdtempSync(join(scratch, 'folder-'))
  const copied = await attempt(docker('cp', `${container}:${folder}/.`, target))
  if (copied.code !== 0) return []
  const paths: string[] = []
  for (const entry of readdirSync(target, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name)
    const served = path + relative(target, file)
    if (!entry.isFile() || !isNamedAfterContent(served)) continue
    serve(served, readFileSync(file))
    paths.push(served)
  }
  return paths
}

/** Serves those of an image; gives their paths. */
const takeImage = async ({ project }: Stack, { assets }: App, image: string) => {
  const label = `avril.assets=${project}`
  const scratch = stateFile('assets')
  const clear = async () => {
    rmSync(scratch, { recursive: true, force: true })
    const ids = await idsWith([label])
    if (ids.length > 0) await capture(removeContainers(ids))
  }
  // One that was killed may have left its own.
  await clear()
  try {
    mkdirSync(scratch, { mode: 0o700 })
    const create = docker('create', '--label', label, '--network', 'none', image, 'true')
    const container = await capture(create, { what: `looking into ${image}` })
    const paths: string[] = []
    for (const folder of assets) paths.push(...(await takeFolder(container, folder, scratch)))
    return paths
  } finally {
    await shielded(clear)
  }
}

const isMissing = async () => {
  const listed = await capture(docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}'))
  const names = new Set(listed.split('\n'))
  return (image: string) => !names.has(image)
}

/**
 * Has nginx serve the files of these releases (names of images) that are named after their content, those that it does
 * not serve yet; from the live one's first, since its pages are open. What fails is told, and holds up no deploy: the
 * app is asked then.
 */
export async function serveAssets(stack: Stack, app: App, images: (string | undefined)[]) {
  if (app.assets.length === 0) return
  try {
    const taken = { ...readState(FILE, TAKEN) }
    const isServed = (image: string) =>
      isRelease(image) && taken[image]?.every(path => existsSync(join(SERVED, path))) === true
    for (const image of new Set(images)) {
      if (image === undefined || isServed(image) || !(await imageExists(image))) continue
      // A name that is not a release's may have had another content.
      taken[image] = [...new Set([...(taken[image] ?? []), ...(await takeImage(stack, app, image))])]
      writeState(FILE, taken, 0o600)
    }
  } catch (error) {
    checkInterruption()
    say.warn(`pages that are open now may miss files after the deploy: ${messageOf(error)}`)
  }
}

const removeUnused = async () => {
  const taken = { ...readState(FILE, TAKEN) }
  const gone = Object.keys(taken).filter(await isMissing())
  if (gone.length === 0) return
  const kept = new Set(Object.entries(taken).flatMap(([image, paths]) => (gone.includes(image) ? [] : paths)))
  for (const path of gone.flatMap(image => taken[image] ?? []))
    if (!kept.has(path)) for (const file of [path, `${path}.gz`]) rmSync(join(SERVED, file), { force: true })
  for (const image of gone) delete taken[image]
  writeState(FILE, taken, 0o600)
}

/** Removes the files of releases that are not on this machine any more, and of no other one; what fails is told. */
export async function pruneAssets() {
  try {
    await removeUnused()
  } catch (error) {
    checkInterruption()
    say.warn(`files of former releases stay in ${SERVED}: ${messageOf(error)}`)
  }
}
