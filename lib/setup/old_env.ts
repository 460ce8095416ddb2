// The .env of an old checkout, read as the Compose did that made its containers.
import * as v from 'valibot'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { docker } from '../docker/commands.ts'
import { badConfig, EXIT } from '../system/errors.ts'
import { readSmall, replaceFile } from '../system/files.ts'
import { attempt, capture, failureOf } from '../system/run.ts'
import type { OldMachine } from './old_machine.ts'

const SINGLE = /^(\s*(?:export\s+)?[\w.-]+\s*=\s*)'((?:[^'\\]|\\.)*)'/
const DOUBLE = /^\s*(?:export\s+)?[\w.-]+\s*=\s*"/
// Between double quotes Compose 2 would take a \ before it for a sign that it stands for itself.
const literalDollars = (line: string) =>
  line.replaceAll(/(\\?)\$(?!\{)/g, (_, slash) => `${slash}${slash && DOUBLE.test(line) ? slash : ''}$$`)

/**
 * A .env in such words that Compose 2 reads in it what Compose 1 reads in the former: that one replaces ${NAME} alone,
 * between single quotes too, and takes any other $ as it stands; \\ between such quotes is a \ (python-dotenv).
 */
export function inWordsOfCompose2(text: string) {
  const lineOf = (line: string) => {
    const [all = '', begin = '', value = ''] = SINGLE.exec(line) ?? []
    if (all === '') return literalDollars(line)
    const read = value.replaceAll(/\\(['\\])/g, '$1')
    if (read === value && !value.includes('${')) return line
    const escaped = read.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll(/\$(?!\{)/g, '$$$$')
    return `${begin}"${escaped}"${line.slice(all.length)}`
  }
  return text.split('\n').map(lineOf).join('\n')
}

// Compose quotes what it stumbles over, which may be a secret, and does not always end the quote.
const withoutValues = (text: string) => text.replaceAll(/"[^"]*("|$)|(?<=template: ).*/g, '(not shown)')

/** The text of a folder's .env. Throws a Failure (78) when there is none, or it cannot be read as text. */
const textOf = (folder: string, name: string) => {
  const text = readSmall(join(folder, '.env'))
  if (text === undefined)
    throw badConfig(
      `there is no ${name}/.env`,
      'name the folder of the old checkout, the one with its docker-compose.yml',
    )
  if (text.includes('\uFFFD'))
    throw badConfig(
      `${name}/.env is not UTF-8 (an é of an old editor?), line ` +
        text.slice(0, text.indexOf('\uFFFD')).split('\n').length,
      'nothing was touched; run it on a copy of that folder in which the file was written anew: iconv -f latin1 ' +
        '-t utf8',
    )
  return text
}

/** Compose 1 or 2. */
type Major = 1 | 2

/**
 * The settings of a folder's .env as that Compose itself reads them, which the old stack did: quotes, comments, and
 * ${OTHER}. Throws a Failure (78) with its words, in which the folder has a name.
 */
export async function readAsCompose(folder: string, major: Major, name = folder) {
  const text = textOf(folder, name)
  const scratch = mkdtempSync(join(tmpdir(), 'avril-settings-'))
  const copy = join(scratch, 'env')
  try {
    replaceFile(copy, major === 1 ? inWordsOfCompose2(text) : text, 0o600)
    const services = { reader: { image: 'none', env_file: [copy] } }
    const words = ['--project-name', 'reader', '--project-directory', folder, '--env-file', copy, '--file', '-']
    const command = docker('compose', ...words, 'config', '--format', 'json')
    const outcome = await attempt(command, { input: JSON.stringify({ services }) })
    if (outcome.code !== 0)
      throw failureOf(
        [],
        { ...outcome, stderr: withoutValues(outcome.stderr.replaceAll(copy, `${name}/.env`)) },
        {
          what: `reading ${name}/.env as Compose does`,
          exitCode: EXIT.config,
          hint: 'nothing was touched; run it on a copy of that folder in which this is corrected',
        },
      )
    const { environment = {} } = JSON.parse(outcome.stdout).services.reader as {
      environment?: Record<string, string | null>
    }
    // What it prints could be read again: a "$" is "$$" there.
    return new Map(Object.entries(environment).map(([name, value]) => [name, (value ?? '').replaceAll('$$', '$')]))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Compose makes a name of the folder when .env has none; Compose 1 leaves such characters out of both. */
const projectOf = (folder: string, settings: ReadonlyMap<string, string>) =>
  (settings.get('COMPOSE_PROJECT_NAME') || basename(folder)).toLowerCase().replaceAll(/[^a-z0-9_-]/g, '')

const ENV = v.array(v.string())

/** The variables of a container. */
const environmentOf = async (id: string, engine: OldMachine['engine']) => {
  const text = await capture(docker('inspect', '--format', '{{json .Config.Env}}', id), { engine })
  return new Map(
    v.parse(ENV, JSON.parse(text)).map(it => [it.slice(0, it.indexOf('=')), it.slice(it.indexOf('=') + 1)]),
  )
}

const FORMAT = ['project', 'version', 'service'].map(it => `{{.Label "com.docker.compose.${it}"}}`).join(' ')

/** Containers of Compose, by a label that they have. */
const listBy = async (label: string, value: string, engine: OldMachine['engine']) => {
  const filter = `label=com.docker.compose.${label}=${value}`
  const command = docker('ps', '--all', '--filter', filter, '--format', `${FORMAT} {{.ID}}`)
  return (await capture(command, { engine })).split('\n').flatMap(line => {
    const [project = '', version = '', service = '', id = ''] = line.split(' ')
    return id === '' ? [] : [{ project, version, service, id }]
  })
}

/**
 * The settings of an old checkout, and its Compose project. They are read as the Compose did that made its containers;
 * what Compose 1 has made of a value is in the container of phoenix, whatever its rules were (before 1.26 quotes were a
 * part of it). Where there are none they are read as by docker-compose, which the bash scripts call. Throws a Failure:
 * 78 when .env cannot be read.
 */
export async function readOldSettings({ name, folder, top, engine }: OldMachine) {
  const here = join(top, folder)
  const settings = await readAsCompose(here, 1, name)
  const named = projectOf(folder, settings)
  // It may have been named by -p, or in docker-compose.yml; an older Compose does not note the folder.
  const own = await listBy('project.working_dir', folder, engine)
  const containers = own.length > 0 ? own : await listBy('project', named, engine)
  const [first] = containers
  if (!first) return { project: named, settings }
  if (!first.version.startsWith('1.')) return { project: first.project, settings: await readAsCompose(here, 2, name) }
  const phoenix = containers.find(({ service }) => service === 'phoenix')
  const had = phoenix === undefined ? new Map<string, string>() : await environmentOf(phoenix.id, engine)
  return {
    project: first.project,
    settings: new Map([...settings].map(([key, value]) => [key, had.get(key) ?? value])),
  }
}
