import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { Failure } from '../../lib/system/errors.ts'
import {
  branchHead,
  checkRepository,
  cloneRepository,
  exportCommit,
  fetchRepository,
  forgetLogin,
  missingFrom,
  namedCommit,
  remoteHead,
} from '../../lib/git/repository.ts'
import { addressWithLogin, bareAddress } from '../../lib/git/login.ts'
import { failureOfGit } from '../../lib/git/errors.ts'

const place = mkdtempSync(join(tmpdir(), 'avril git '))
after(() => rmSync(place, { recursive: true }))

const settings = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
}
const git = (folder: string, ...words: string[]) =>
  execFileSync('git', ['-C', folder, ...words], {
    encoding: 'utf8',
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()

let count = 0

/** A repository with a commit that has these files. */
const repository = (files: Record<string, string> = { 'file.txt': 'one\n' }) => {
  const folder = join(place, `repository ${++count}`)
  mkdirSync(folder)
  git(folder, 'init', '--quiet', '--initial-branch', 'main')
  return { folder, sha: commit(folder, files) }
}
const commit = (folder: string, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  git(folder, 'add', '--all')
  git(folder, 'commit', '--quiet', '--allow-empty', '--message', 'a commit')
  return git(folder, 'rev-parse', 'HEAD')
}
const cloneOf = (folder: string, ...words: string[]) => {
  const clone = join(place, `clone ${++count}`)
  git(place, 'clone', '--quiet', ...words, `file://${folder}`, clone)
  return clone
}

const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error instanceof Failure, String(error))
  return error
}

// --- what is exported
const exported = async (folder: string, sha: string) => {
  const target = join(place, `export ${++count}`)
  await exportCommit(folder, sha, target)
  return target
}

const SCRIPT = '#!/bin/sh\n'
const setFlag = (folder: string, name: string, value: string) => git(folder, 'config', name, value)
const info = (folder: string, name: string, text: string) => {
  mkdirSync(join(folder, '.git/info'), { recursive: true })
  appendFileSync(join(folder, '.git/info', name), text)
}

// what stands in a clone, and would change the script.sh of a commit
const CLONES: Record<string, (folder: string) => void> = {
  'attributes of its working tree': folder => writeFileSync(join(folder, '.gitattributes'), '* text eol=crlf\n'),
  'attributes of its info folder': folder => info(folder, 'attributes', '* text eol=crlf\n'),
  'core.autocrlf': folder => setFlag(folder, 'core.autocrlf', 'true'),
  'core.eol': folder => (setFlag(folder, 'core.eol', 'crlf'), info(folder, 'attributes', '* text\n')),
  'core.attributesFile': folder => (
    writeFileSync(join(folder, '.git/own'), '* text eol=crlf\n'),
    setFlag(folder, 'core.attributesFile', join(folder, '.git/own'))
  ),
  'a filter': folder => (
    info(folder, 'attributes', '* filter=loud\n'),
    setFlag(folder, 'filter.loud.smudge', 'tr a-z A-Z')
  ),
  'a sparse checkout': folder => (
    setFlag(folder, 'core.sparseCheckout', 'true'),
    info(folder, 'sparse-checkout', '/other\n')
  ),
  'core.fileMode': folder => setFlag(folder, 'core.fileMode', 'false'),
  'a replaced object': folder => {
    const blob = git(folder, 'rev-parse', 'HEAD:script.sh')
    writeFileSync(join(folder, 'evil'), 'evil\n')
    git(folder, 'replace', blob, git(folder, 'hash-object', '-w', 'evil'))
  },
  'a replaced commit': folder => {
    const sha = git(folder, 'rev-parse', 'HEAD')
    git(folder, 'replace', sha, commit(folder, { 'script.sh': 'evil\n' }))
  },
  'local changes': folder => writeFileSync(join(folder, 'script.sh'), 'evil\n'),
}
for (const [what, make] of Object.entries(CLONES))
  void test(`nothing but the commit decides what is exported: ${what}`, async () => {
    const { folder } = repository({ 'file.txt': 'one\n' })
    writeFileSync(join(folder, 'script.sh'), SCRIPT, { mode: 0o755 })
    const sha = commit(folder, {})
    make(folder)
    const target = await exported(folder, sha)
    assert.equal(readFileSync(join(target, 'script.sh'), 'utf8'), SCRIPT)
    assert.equal(statSync(join(target, 'script.sh')).mode & 0o111, 0o111)
    assert.deepEqual(readdirSync(target).toSorted(), ['file.txt', 'script.sh'])
  })

void test('the attributes of the commit itself hold, as in any clone of it', async () => {
  const { folder, sha } = repository({
    '.gitattributes': '*.bat text eol=crlf\n',
    'a.bat': 'one\n',
    'a.sh': 'one\n',
    link: '',
  })
  const target = await exported(folder, sha)
  assert.deepEqual(
    ['a.bat', 'a.sh'].map(name => readFileSync(join(target, name), 'utf8')),
    ['one\r\n', 'one\n'],
  )
})

void test('of a clone that left files behind (--filter) all are exported', async () => {
  const { folder } = repository()
  git(folder, 'config', 'uploadpack.allowFilter', 'true')
  git(folder, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
  const sha = commit(folder, { 'a/b.txt': 'two\n' })
  const target = await exported(cloneOf(folder, '--filter=blob:none', '--no-checkout'), sha)
  assert.deepEqual(
    ['file.txt', 'a/b.txt'].map(name => readFileSync(join(target, name), 'utf8')),
    ['one\n', 'two\n'],
  )
})

void test('a worktree of a clone is a repository too', async () => {
  const { folder, sha } = repository()
  const tree = join(place, 'a worktree')
  git(folder, 'worktree', 'add', '--quiet', '--detach', tree)
  assert.ok(existsSync(join(await exported(tree, sha), 'file.txt')))
})

// --- what no export brings
const LFS = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'

// what it is, what makes it, what is said
const MISSING: [what: string, make: (folder: string) => void, said: string[]][] = [
  [
    'a submodule',
    folder =>
      git(
        folder,
        '-c',
        'protocol.file.allow=always',
        'submodule',
        '--quiet',
        'add',
        `file://${repository().folder}`,
        'assets/shared',
      ),
    ['assets/shared (a submodule)'],
  ],
  [
    'a file of Git LFS',
    folder => commit(folder, { 'film de démo.mp4': LFS }),
    ['film de démo.mp4 (a file of Git LFS)'],
  ],
  [
    'a file of git-crypt',
    folder => commit(folder, { 'a/secret': '\0GITCRYPT\0abc\n' }),
    ['a/secret (encrypted by git-crypt)'],
  ],
  [
    'a file of git-annex',
    folder => commit(folder, { 'big.bin': '/annex/objects/SHA256E-s1--a.bin\n' }),
    ['big.bin (a file of git-annex)'],
  ],
  [
    'a link of git-annex',
    folder => symlinkSync('.git/annex/objects/a/b/c', join(folder, 'big')),
    ['big (a file of git-annex)'],
  ],
  [
    'words about them, and other links',
    folder => (
      symlinkSync('file.txt', join(folder, 'link')),
      commit(folder, { 'README.md': `It begins:\n\n${LFS}GITCRYPT\n` })
    ),
    [],
  ],
]
for (const [what, make, said] of MISSING)
  void test(`what an export cannot bring is found: ${what}`, async () => {
    const { folder } = repository()
    make(folder)
    assert.deepEqual(await missingFrom(folder, commit(folder, {})), said)
  })

// --- which commit is meant

void test('a hex word is a commit; a tag of that name that is another one is refused (64), and can be meant in full', async () => {
  const { folder, sha: first } = repository()
  const second = commit(folder, {})
  for (const name of [first, first.slice(0, 8), first.slice(0, 8).toUpperCase()]) {
    assert.equal((await namedCommit(folder, name)).sha, first)
    git(folder, 'update-ref', `refs/tags/${name}`, second)
    const { exitCode, message, hint } = await failure(namedCommit(folder, name))
    assert.equal(exitCode, 64)
    assert.match(message, /a tag of that name is another one/)
    assert.match(hint ?? '', new RegExp(`--to refs/tags/${name}`))
    assert.equal((await namedCommit(folder, `refs/tags/${name}`)).sha, second)
    git(folder, 'update-ref', `refs/tags/${name}`, first)
    assert.equal((await namedCommit(folder, name)).sha, first)
    git(folder, 'update-ref', '-d', `refs/tags/${name}`)
  }
  git(folder, 'update-ref', `refs/heads/${first.slice(0, 8)}`, second)
  assert.equal((await namedCommit(folder, first.slice(0, 8))).sha, first)
  git(folder, 'tag', '20240115', second)
  assert.equal((await failure(namedCommit(folder, '20240115'))).exitCode, 64)
  git(folder, 'tag', 'v1', second)
  assert.equal((await namedCommit(folder, 'v1')).sha, second)
})

void test('what no commit is named, and a clone that has only the newest commits, is said (64)', async () => {
  const { folder, sha: first } = repository()
  commit(folder, {})
  assert.match((await failure(namedCommit(folder, '0000000'))).hint ?? '', /log --oneline/)
  assert.match((await failure(namedCommit(cloneOf(folder, '--depth', '1'), first))).hint ?? '', /fetch --unshallow/)
})

void test('a branch is the one of exactly that name', async () => {
  const { folder, sha: first } = repository()
  const second = commit(folder, {})
  git(folder, 'update-ref', 'refs/aaa/refs/heads/main', first)
  const clone = cloneOf(folder)
  assert.equal((await remoteHead(clone, 'main')).sha, second)
  assert.equal((await branchHead(clone, 'main')).sha, second)
})

void test('a folder that is no repository is not taken for a part of one that it lies in (78)', async () => {
  const { folder } = repository()
  git(folder, 'remote', 'add', 'origin', '/nowhere')
  mkdirSync(join(folder, 'avril'))
  assert.equal(await checkRepository(folder), '/nowhere')
  assert.equal((await failure(checkRepository(join(folder, 'avril')))).exitCode, 78)
})

// --- what git says

// its words, the exit code, the beginning of the one hint
const WORDS: [words: string, exitCode: number, hint: RegExp][] = [
  ["fatal: detected dubious ownership in repository at '/x'", 78, /belongs to another user.*chown/],
  [
    "error: cannot lock ref 'refs/x': Unable to create '/x/.git/packed-refs.lock': File exists.",
    75,
    /remove that file/,
  ],
  [
    "error: could not delete reference x: Unable to create '/x/.git/packed-refs.lock': File exists.\n\nAnother " +
      'git process seems to be running',
    75,
    /remove that file/,
  ],
  ['fatal: write error: No space left on device', 74, /make room/],
  ["error: cannot open '.git/FETCH_HEAD': Permission denied", 73, /may this user write/],
  [
    'error: insufficient permission for adding an object to repository database .git/objects',
    73,
    /may this user write/,
  ],
  ['error: object file .git/objects/ab/cd is empty', 78, /damaged/],
  ["remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://example.org/a'", 69, /login/],
  ["fatal: could not read Username for 'https://github.com': terminal prompts disabled", 69, /login/],
  ['git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.', 69, /login/],
  ['Host key verification failed.\nfatal: Could not read from remote repository.', 69, /fingerprint/],
  ["fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none", 69, /certificate/],
  ["fatal: unable to access 'https://x/': Could not resolve host: x", 69, /name of the host/],
  [
    "fatal: unable to access 'https://x/': Failed to connect to x port 443: Connection refused",
    69,
    /does the remote work/,
  ],
  ["fatal: repository 'https://x/' not found", 69, /does the address fit/],
  ["fatal: '/nowhere' does not appear to be a git repository", 69, /does the address fit/],
  ['fatal: something new', 69, /git says why/],
]
for (const [words, exitCode, hint] of WORDS)
  void test(`one hint for one cause: ${words.split('\n')[0]}`, () => {
    const told = failureOfGit('it could not be fetched', '/x', words)
    assert.equal(told.exitCode, exitCode)
    assert.match(told.hint ?? '', hint)
  })

void test('a repository of another owner, and a lock that was left, are told as that by git itself', async t => {
  if (process.getuid?.() !== 0) return t.skip('only root can give a folder away')
  const { folder } = repository()
  git(folder, 'branch', 'gone')
  const clone = cloneOf(folder)
  git(clone, 'pack-refs', '--all')
  git(folder, 'branch', '-D', 'gone')
  writeFileSync(join(clone, '.git/packed-refs.lock'), '')
  assert.equal((await failure(fetchRepository(clone))).exitCode, 75)
  rmSync(join(clone, '.git/packed-refs.lock'))
  await fetchRepository(clone)
  execFileSync('chown', ['-R', '65534', clone])
  // The machine of a test may trust every folder.
  const trusting = execFileSync('sh', ['-c', 'git config --get-all safe.directory || true'], {
    encoding: 'utf8',
    cwd: '/',
  }).includes('*')
  if (trusting) return t.skip('git trusts every folder here')
  const { exitCode, hint } = await failure(checkRepository(clone))
  assert.deepEqual([exitCode, /chown/.test(hint ?? '')], [78, true])
})

// --- logins

/** A remote by http that wants a login, the files of a bare repository behind it. */
const serve = async (folder: string, login: string) => {
  git(folder, 'update-server-info')
  const server = createServer((request, response) => {
    const given = Buffer.from(/^Basic (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '', 'base64').toString()
    const file = join(folder, '.git', new URL(request.url ?? '', 'http://x').pathname.replace('/app.git', ''))
    if (given !== login) return response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
    if (!existsSync(file) || statSync(file).isDirectory()) return response.writeHead(404).end()
    return response.end(readFileSync(file))
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

void test('a token brings the clone, and stands in none of its files; one that does is taken out', async () => {
  const { folder } = repository()
  const { server, port } = await serve(folder, 'bot:s3cr3t/&')
  try {
    const address = `http://bot:s3cr3t%2F%26@127.0.0.1:${port}/app.git`
    const clone = join(place, 'with a token')
    await cloneRepository(address, clone)
    assert.equal(readFileSync(join(clone, 'file.txt'), 'utf8'), 'one\n')
    const found = () => execFileSync('sh', ['-c', 'grep -rl s3cr3t "$1" || true', 'sh', clone], { encoding: 'utf8' })
    assert.equal(found(), '')
    assert.equal(await checkRepository(clone), `http://127.0.0.1:${port}/app.git`)
    git(clone, 'remote', 'set-url', 'origin', address)
    await fetchRepository(clone)
    await forgetLogin(clone)
    assert.equal(found(), '')
    const { exitCode, message, hint } = await failure(
      cloneRepository(address.replace('s3cr3t', 'wr0ng'), join(place, 'refused')),
    )
    assert.equal(exitCode, 69)
    assert.match(hint ?? '', /login/)
    assert.doesNotMatch(message, /wr0ng/)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

void test('the login is that of the address in .env that leads to the same place', () => {
  const url = 'https://x:y@example.org/avril'
  const settings = new Map([
    ['AVRIL_GIT_URL', url],
    ['OTHER', 'https://a:b@example.org/other'],
  ])
  assert.equal(addressWithLogin('https://example.org/avril', settings), url)
  assert.equal(addressWithLogin('https://old:token@example.org/avril', settings), url)
  assert.equal(addressWithLogin('https://example.org/other', settings), undefined)
  assert.equal(bareAddress('https://x:y@example.org/a@b'), 'https://example.org/a@b')
  assert.equal(bareAddress('git@example.org:avril'), 'git@example.org:avril')
})
