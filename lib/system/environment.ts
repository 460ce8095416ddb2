// What a command inherits from whoever calls it (a login shell, cron, a git hook, sudo) decides nothing: the same words
// do the same for everybody.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './checkout.ts'

// What git, Compose, the builder, zx, bash (a function that is exported takes the place of a program), GNU's programs
// and every program that speaks a language would listen to.
const DECIDES =
  /^(GIT|COMPOSE|BUILDKIT|ZX|LC|BASH)_|^(LANG|LANGUAGE|TZ|SHELLOPTS|BASHOPTS|POSIXLY_CORRECT|TAR_OPTIONS|DOCKER_BUILDKIT|DOCKER_DEFAULT_PLATFORM|SOURCE_DATE_EPOCH)$/
// How this user reaches the engine and the network, and reads what is said.
const KEPT = /^(PATH|HOME|USER|TERM|DEBUG|NO_COLOR)$|^(DOCKER|SSH)_|_PROXY$/i

const NAMES = {
  '.env': /^([A-Za-z_]\w*)=/gm,
  '.env.example': /^#?([A-Za-z_]\w*)=/gm,
  'docker-compose.yml': /(?:\$\{|\benvironment: )([A-Za-z_]\w*)/g,
}

const textOf = (file: string) => {
  try {
    return readFileSync(join(root, file), 'utf8')
  } catch {
    // Whoever needs it says so.
    return ''
  }
}

// For Compose a variable of the shell comes before .env, which these scripts read.
const settings = () =>
  Object.entries(NAMES).flatMap(([file, form]) => [...textOf(file).matchAll(form)].map(([, name = '']) => name))

/** A person is looking: over ssh the other side says so. */
export const terminal = process.stderr.isTTY === true || process.env.AVRIL_TERMINAL === '1'

/** Called once by each command, before it does anything. */
export function forgetInherited() {
  process.umask(0o022)
  const forgotten = Object.keys(process.env).filter(name => DECIDES.test(name))
  for (const name of [...forgotten, ...settings().filter(name => !KEPT.test(name))]) delete process.env[name]
  // LANGUAGE comes before LC_ALL in every locale but C, whose characters are bytes. A bash that is nobody's child
  // (SHLVL) takes a pipe of Node, which is a socket, for a login from afar, and reads ~/.bashrc.
  Object.assign(process.env, { LC_ALL: 'C.UTF-8', LANGUAGE: 'C', SHLVL: '1' })
}
