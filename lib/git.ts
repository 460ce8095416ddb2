// The apps' repositories: fetched and read, never checked out or reset, so that nobody's local changes are touched.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { badConfig, EXIT, Failure, usage } from './errors.ts'
import { attempt, capture } from './run.ts'

// No question without a terminal: a missing password is an error, not a prompt that nobody sees.
const env = { GIT_TERMINAL_PROMPT: '0', GIT_SSH_COMMAND: process.env.GIT_SSH_COMMAND ?? 'ssh -o BatchMode=yes' }

const git = (folder: string, ...words: string[]) => capture(['git', '-C', folder, ...words], { env })

export interface Commit {
  sha: string
  /** ISO 8601 */
  date: string
  subject: string
}

/** Throws (78) when the folder is no git repository with a remote. */
export const checkRepository = async (folder: string) => {
  const clone = 'clone it beside this checkout, or set REPOS_DIR in .env'
  if (!existsSync(folder)) throw badConfig(`there is no repository ${folder}`, clone)
  const remote = await attempt(['git', '-C', folder, 'remote', 'get-url', 'origin'], { env })
  if (remote.code !== 0) throw badConfig(`${folder} is not a git repository with a remote "origin": ${remote.stderr.trim()}`, clone)
}

/** Clones a repository into a folder that gets its name when it is complete. Throws a Failure: 69 when the remote does not answer. */
export const cloneRepository = async (url: string, folder: string) => {
  const partial = join(dirname(folder), `.${basename(folder)}.partial-${process.pid}`)
  try {
    mkdirSync(dirname(folder), { recursive: true })
    const outcome = await attempt(['git', 'clone', '--quiet', '--origin', 'origin', '--', url, partial], { env })
    if (outcome.code !== 0)
      throw new Failure(`${url} could not be cloned: ${outcome.stderr.trim()}`, {
        exitCode: EXIT.unreachable,
        hint: 'is the network there, does the address fit (.env.example tells how to name another one), and may this user read it?',
      })
    renameSync(partial, folder)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/** Removes what clones that were killed left beside a repository's folder. */
export const sweepClones = (folder: string) => {
  const parent = dirname(folder)
  const left = existsSync(parent) ? readdirSync(parent).filter(name => name.startsWith(`.${basename(folder)}.partial-`)) : []
  for (const name of left) rmSync(join(parent, name), { recursive: true, force: true })
}

/** Brings the remote's branches and tags; the working tree stays as it is. Throws 69 when the remote does not answer. */
export const fetchRepository = async (folder: string) => {
  const command = ['git', '-C', folder, 'fetch', '--quiet', '--prune', '--tags', '--force', 'origin', '+refs/heads/*:refs/remotes/origin/*']
  const outcome = await attempt(command, { env })
  if (outcome.code === 0) return
  throw new Failure(`${folder} could not be fetched: ${outcome.stderr.trim()}`, {
    exitCode: EXIT.unreachable,
    hint: 'nothing was changed; is the network there, and may this user read the remote?',
  })
}

/** The branch that the remote calls its default. */
export const defaultBranch = async (folder: string) => {
  const answer = await git(folder, 'ls-remote', '--symref', 'origin', 'HEAD')
  const branch = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(answer)?.[1]
  if (!branch) throw badConfig(`the remote of ${folder} names no default branch`, 'name the branch: deploy_local.ts <repo> <branch>')
  return branch
}

const resolve = async (folder: string, revision: string) => {
  const outcome = await attempt(['git', '-C', folder, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`], { env })
  return outcome.code === 0 ? outcome.stdout.trim() : undefined
}

/** The commit at the head of the remote's branch. Throws (64) when there is no such branch. */
export const branchHead = async (folder: string, branch: string) => {
  const sha = await resolve(folder, `refs/remotes/origin/${branch}`)
  if (!sha) throw usage(`the remote of ${folder} has no branch ${JSON.stringify(branch)}`, `its branches: git -C ${folder} branch --remotes`)
  return readCommit(folder, sha)
}

/** The commit that a tag or a (short) commit id names. Throws (64) when there is none. */
export const namedCommit = async (folder: string, name: string) => {
  const sha = (await resolve(folder, `refs/tags/${name}`)) ?? (/^[0-9a-f]{4,64}$/.test(name) ? await resolve(folder, name) : undefined)
  if (!sha) throw usage(`${folder} has no tag or commit ${JSON.stringify(name)}`, `the last commits: git -C ${folder} log --oneline --all -20`)
  return readCommit(folder, sha)
}

export const readCommit = async (folder: string, sha: string): Promise<Commit> => {
  const [date = '', subject = ''] = (await git(folder, 'show', '--no-patch', '--format=%cI%n%s', sha)).split('\n')
  return { sha, date, subject }
}

/** The text of a file at a commit; undefined when it has no such file, or the commit is not known here. */
export const readFileAt = async (folder: string, sha: string, path: string) => {
  const outcome = await attempt(['git', '-C', folder, 'show', `${sha}:${path}`], { env })
  return outcome.code === 0 ? outcome.stdout : undefined
}

/** The lines that match an extended regular expression in the files of a commit with these names; none when the commit is not known here. */
export const searchAt = async (folder: string, sha: string, pattern: string, names: string[]) => {
  const outcome = await attempt(['git', '-C', folder, 'grep', '-hIE', '-e', pattern, sha, '--', ...names], { env })
  return outcome.code === 0 ? outcome.stdout.split('\n').filter(Boolean) : []
}

/** Writes the files of exactly this commit into a new folder, with an index of its own: neither the working tree nor its index is looked at. */
export const exportCommit = async (folder: string, sha: string, target: string) => {
  mkdirSync(target, { recursive: true })
  const own = { ...env, GIT_INDEX_FILE: `${target}.index` }
  await capture(['git', '-C', folder, 'read-tree', sha], { env: own })
  await capture(['git', '-C', folder, 'checkout-index', '--all', `--prefix=${join(target, '/')}`], { env: own })
}

/** The commit at the head of the remote's branch, asked from the remote without fetching it (its date and subject are unknown then). */
export const remoteHead = async (folder: string, branch: string): Promise<Commit> => {
  const answer = await git(folder, 'ls-remote', 'origin', `refs/heads/${branch}`)
  const sha = answer.split('\t')[0]
  if (!sha) throw usage(`the remote of ${folder} has no branch ${JSON.stringify(branch)}`, `its branches: git -C ${folder} branch --remotes`)
  return { sha, date: '', subject: '' }
}
