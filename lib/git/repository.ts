// The apps' repositories: fetched and read, never checked out or reset, so that nobody's local changes are touched.
// Long, since every call of git is here, where what is inherited (GIT_*, attributes, hooks) is shut out once.
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve as resolvePath } from 'node:path'
import { badConfig, usage } from '../system/errors.ts'
import { failureOfGit, withoutLogin } from './errors.ts'
import { bareAddress, loginEnvironment } from './login.ts'
import { attempt, capture, failureOf } from '../system/run.ts'

// No question without a terminal: a missing password is an error, not a prompt that nobody sees. And no object stands
// in the place of the one that is named.
const BARE = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
  GIT_NO_REPLACE_OBJECTS: '1',
  LC_ALL: 'C',
}

// A folder that is no repository must not be taken for a part of one that it lies in.
const environmentOf = (folder: string) => ({
  ...BARE,
  GIT_CEILING_DIRECTORIES: existsSync(folder) ? dirname(realpathSync(folder)) : '',
})

const attemptGit = (folder: string, ...words: string[]) =>
  attempt(['git', '-C', folder, ...words], { env: environmentOf(folder) })

const git = async (folder: string, ...words: string[]) => {
  const outcome = await attemptGit(folder, ...words)
  if (outcome.code !== 0) throw failureOf(['git', ...words], outcome)
  return outcome.stdout.replace(/\n$/, '')
}

/** The commit of a checkout, shortened; null when it is none, or another user's. */
export async function headOf(folder: string) {
  const { code, stdout } = await attemptGit(folder, 'rev-parse', '--short', 'HEAD')
  return code === 0 ? stdout.trim() : null
}

/** Talks to the remote. Throws a Failure by what git says: 69 when it is the remote's or the network's fault. */
const gitRemote = async (folder: string, ...words: string[]) => {
  const address = (await attemptGit(folder, 'config', '--get', 'remote.origin.url')).stdout.trim()
  const outcome = await attempt(['git', '-C', folder, ...words], {
    env: { ...environmentOf(folder), ...loginEnvironment(address) },
  })
  if (outcome.code !== 0) throw failureOfGit(`${folder} could not be fetched`, folder, outcome.stderr)
  return outcome.stdout
}

export interface Commit {
  sha: string
  /** ISO 8601 */
  date: string
  subject: string
}

/**
 * Throws (78) when the folder is no git repository with a remote. Gives the remote's address, as it stands in the
 * repository.
 */
export async function checkRepository(folder: string) {
  const clone = 'clone it beside this checkout, or set REPOS_DIR in .env'
  if (!existsSync(folder)) throw badConfig(`there is no repository ${folder}`, clone)
  const [inside, { code, stdout }] = await Promise.all([
    attemptGit(folder, 'rev-parse', '--git-dir'),
    attemptGit(folder, 'config', '--get', 'remote.origin.url'),
  ])
  if (inside.code !== 0 && !inside.stderr.includes('not a git repository'))
    throw failureOfGit(`${folder} cannot be read`, folder, inside.stderr)
  if (inside.code !== 0 || code !== 0)
    throw badConfig(`${folder} is not a git repository with a remote "origin"`, clone)
  return stdout.trim()
}

/**
 * Clones a repository into a folder that gets its name when it is complete. Throws a Failure: 69 when the remote does
 * not answer.
 */
export async function cloneRepository(url: string, folder: string) {
  const partial = join(dirname(folder), `.${basename(folder)}.partial-${process.pid}`)
  try {
    mkdirSync(dirname(folder), { recursive: true })
    const command = ['git', 'clone', '--quiet', '--origin', 'origin', '--', bareAddress(url), partial]
    const outcome = await attempt(command, { env: { ...BARE, ...loginEnvironment(url) } })
    if (outcome.code !== 0) throw failureOfGit(`${withoutLogin(url)} could not be cloned`, folder, outcome.stderr)
    renameSync(partial, folder)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/** Takes the login out of the address that a repository has of its remote. */
export async function forgetLogin(folder: string) {
  await git(folder, 'remote', 'set-url', 'origin', bareAddress(await checkRepository(folder)))
}

/** Removes what clones that were killed left beside a repository's folder. */
export function sweepClones(folder: string) {
  const parent = dirname(folder)
  const left = existsSync(parent)
    ? readdirSync(parent).filter(name => name.startsWith(`.${basename(folder)}.partial-`))
    : []
  for (const name of left) rmSync(join(parent, name), { recursive: true, force: true })
}

/**
 * Brings the remote's branches and tags; the working tree stays as it is. Throws a Failure by what git says: 69 when
 * the remote does not answer.
 */
export async function fetchRepository(folder: string) {
  await gitRemote(
    folder,
    'fetch',
    '--quiet',
    '--prune',
    '--tags',
    '--force',
    '--no-recurse-submodules',
    'origin',
    '+refs/heads/*:refs/remotes/origin/*',
  )
}

/** The branch that the remote calls its default. */
export async function defaultBranch(folder: string) {
  const answer = await gitRemote(folder, 'ls-remote', '--symref', 'origin', 'HEAD')
  const branch = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(answer)?.[1]
  if (!branch)
    throw badConfig(
      `the remote of ${folder} names no default branch`,
      'name the branch: deploy_local.ts <repo> <branch>',
    )
  return branch
}

const resolve = async (folder: string, revision: string) => {
  const outcome = await attemptGit(
    folder,
    'rev-parse',
    '--verify',
    '--quiet',
    '--end-of-options',
    `${revision}^{commit}`,
  )
  return outcome.code === 0 ? outcome.stdout.trim() : undefined
}

/** The commits whose ids begin so: refs of such a name do not count. */
const commitsNamed = async (folder: string, digits: string) => {
  const ids = await git(folder, 'rev-parse', `--disambiguate=${digits}`)
  const types = await capture(['git', '-C', folder, 'cat-file', '--batch-check'], {
    env: environmentOf(folder),
    input: `${ids}\n`,
  })
  return types.split('\n').flatMap(line => /^([0-9a-f]+) commit /.exec(line)?.[1] ?? [])
}

/** The commit at the head of the remote's branch. Throws (64) when there is no such branch. */
export async function branchHead(folder: string, branch: string) {
  const sha = await resolve(folder, `refs/remotes/origin/${branch}`)
  if (!sha)
    throw usage(
      `the remote of ${folder} has no branch ${JSON.stringify(branch)}`,
      `its branches: git -C ${folder} branch --remotes`,
    )
  return readCommit(folder, sha)
}

/**
 * The commit that a (short) commit id or a tag names. What may be an id is one, whatever tags there are: somebody has
 * reviewed that commit. Throws (64) when there is none, when it is not clear, and when a tag bears the name of another
 * commit.
 */
export async function namedCommit(folder: string, name: string) {
  const isId = /^[0-9a-f]{4,64}$/i.test(name)
  const [tag, ids] = await Promise.all([
    resolve(folder, name.startsWith('refs/tags/') ? name : `refs/tags/${name}`),
    isId ? commitsNamed(folder, name.toLowerCase()) : [],
  ])
  const [sha, ...others] = isId ? ids : [tag]
  if (others.length > 0) throw usage(`${name} could be ${[sha, ...others].join(' or ')}`, 'write more of its digits')
  if (isId && tag && tag !== sha)
    throw usage(
      `${name} reads like a commit, and a tag of that name is ` +
        `${sha ? 'another one' : 'a commit of another name'}: ${tag}`,
      `if the tag is meant: --to refs/tags/${name}; git -C ${folder} show ${tag}`,
    )
  if (sha) return readCommit(folder, sha)
  const shallow = (await attemptGit(folder, 'rev-parse', '--is-shallow-repository')).stdout.trim() === 'true'
  const hint = shallow
    ? `the clone has only the newest commits: git -C ${folder} fetch --unshallow`
    : `the last commits: git -C ${folder} log --oneline --all -20`
  throw usage(`${folder} has no tag or commit ${JSON.stringify(name)}`, hint)
}

export async function readCommit(folder: string, sha: string): Promise<Commit> {
  const [date = '', subject = ''] = (await git(folder, 'show', '--no-patch', '--format=%cI%n%s', sha)).split('\n')
  return { sha, date, subject }
}

/** The text of a file at a commit; undefined when it has no such file, or the commit is not known here. */
export async function readFileAt(folder: string, sha: string, path: string) {
  const outcome = await attemptGit(folder, 'show', `${sha}:${path}`)
  return outcome.code === 0 ? outcome.stdout : undefined
}

/**
 * The lines that match an extended regular expression in the files of a commit with these names; none when the commit
 * is not known here.
 */
export async function searchAt(folder: string, sha: string, pattern: string, names: string[]) {
  const outcome = await attemptGit(folder, 'grep', '-hIE', '-e', pattern, sha, '--', ...names)
  return outcome.code === 0 ? outcome.stdout.split('\n').filter(Boolean) : []
}

// How the content of what git does not hold itself begins.
const STAND_INS: [begins: RegExp, what: string][] = [
  [/^version https:\/\/git-lfs\.github\.com\/spec\//, 'a file of Git LFS'],
  [/^\0GITCRYPT\0/, 'encrypted by git-crypt'],
  [/^\/annex\/objects\//, 'a file of git-annex'],
]
const MAY_BE_ONE = ['^version https://git-lfs\\.github\\.com/spec/', 'GITCRYPT', '^/annex/objects/']

const standIns = async (folder: string, sha: string) => {
  const { stdout } = await attemptGit(
    folder,
    'grep',
    '-lzE',
    '--full-name',
    ...MAY_BE_ONE.flatMap(pattern => ['-e', pattern]),
    sha,
  )
  const paths = stdout
    .split('\0')
    .filter(Boolean)
    .map(name => name.slice(sha.length + 1))
  const found = paths.map(async path => {
    const text = await readFileAt(folder, sha, path)
    if (text === undefined) return []
    return STAND_INS.flatMap(([begins, what]) => (begins.test(text) ? [`${path} (${what})`] : []))
  })
  return (await Promise.all(found)).flat()
}

/**
 * The paths of a commit whose content is not in the repository, each with what it is; none when the commit is not known
 * here.
 */
export async function missingFrom(folder: string, sha: string) {
  const [{ stdout }, others] = await Promise.all([
    attemptGit(folder, 'ls-tree', '-rz', '--full-tree', sha),
    standIns(folder, sha),
  ])
  const entries = stdout
    .split('\0')
    .flatMap(line =>
      [...line.matchAll(/^(\d+) \w+ (\w+)\t(.*)$/gs)].map(([, mode, id = '', path = '']) => ({ mode, id, path })),
    )
  const submodules = entries.filter(({ mode }) => mode === '160000').map(({ path }) => `${path} (a submodule)`)
  const links = entries
    .filter(({ mode }) => mode === '120000')
    .map(async ({ id, path }) =>
      (await git(folder, 'cat-file', 'blob', id)).includes('.git/annex/') ? [`${path} (a file of git-annex)`] : [],
    )
  return [...submodules, ...(await Promise.all(links)).flat(), ...others]
}

/** Has all of a commit here, where a clone was made without it (git clone --filter). */
const bringAll = async (folder: string, sha: string) => {
  if ((await attemptGit(folder, 'config', '--get', 'remote.origin.promisor')).stdout.trim() !== 'true') return
  const nothing = await git(folder, 'hash-object', '-t', 'tree', '--stdin')
  await gitRemote(folder, 'diff', '--shortstat', nothing, sha)
}

/**
 * Writes the files of exactly this commit into a new folder. It is checked out by a repository of its own, which has
 * nothing but the objects: no attributes, settings, filters or hooks of the clone, its working tree or this user decide
 * what the files are.
 */
export async function exportCommit(folder: string, sha: string, target: string) {
  const own = `${target}.git`
  const objects = resolvePath(folder, await git(folder, 'rev-parse', '--git-path', 'objects'))
  const format = await git(folder, 'rev-parse', '--show-object-format')
  await bringAll(folder, sha)
  mkdirSync(target, { recursive: true })
  const env = { ...BARE, HOME: own, XDG_CONFIG_HOME: own, GIT_CONFIG_NOSYSTEM: '1', GIT_ATTR_NOSYSTEM: '1' }
  await capture(['git', 'init', '--quiet', '--bare', '--template=', `--object-format=${format}`, own], { env })
  const inside = { cwd: target, env: { ...env, GIT_DIR: own, GIT_WORK_TREE: target, GIT_OBJECT_DIRECTORY: objects } }
  await capture(['git', 'read-tree', sha], inside)
  await capture(['git', 'checkout-index', '--all'], inside)
}

/**
 * The commit at the head of the remote's branch, asked from the remote without fetching it (its date and subject are
 * unknown then).
 */
export async function remoteHead(folder: string, branch: string): Promise<Commit> {
  // A pattern of ls-remote fits the ends of names, too.
  const answer = await gitRemote(folder, 'ls-remote', 'origin', `refs/heads/${branch}`)
  const sha = answer
    .split('\n')
    .find(line => line.endsWith(`\trefs/heads/${branch}`))
    ?.split('\t')[0]
  if (!sha)
    throw usage(
      `the remote of ${folder} has no branch ${JSON.stringify(branch)}`,
      `its branches: git -C ${folder} branch --remotes`,
    )
  return { sha, date: '', subject: '' }
}
