// The checkout of the bash scripts, read and never touched.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { badConfig } from '../system/errors.ts'
import { readSmall } from '../system/files.ts'
import { elixirWanted, fitsElixir } from '../docker/build_settings.ts'
import { readOldSettings } from './old_env.ts'
import { canServeIpv6 } from './ipv6.ts'
import { ENV_FILE, hasSettings, settingsWith } from '../system/env_file.ts'
import { listOldDumps, type OldDump } from './old_dumps.ts'
import type { OldMachine } from './old_machine.ts'
import { type Change, convertSettings, linesOfChanges, type OldSite } from './old_settings.ts'
import { readExample, readSettings } from '../system/settings.ts'

/** The .env that is to be made of an old one, and what becomes of each setting. */
export interface TakeOver {
  /** of the machine: its host and the folder of the old checkout */
  name: string
  changes: Change[]
  text: string
  dumps: OldDump[]
  /** it has a docker-compose.override.yml, of which nothing is taken over */
  override: boolean
}

// A part of npm's range (https://docs.npmjs.com/cli/v10/using-npm/package-spec) as mix.exs would say it.
const requirementOf = (part: string) => {
  const [, operator = '', text = ''] = /^(\^|~|v|=)?(\d+(?:\.\d+)*)/.exec(part) ?? []
  if (text === '') return part
  const given = text.split('.')
  if (operator === '^') return `>= ${text} and ~> ${given[0]}.0`
  if (operator === '~' && given.length === 3) return `~> ${text}`
  // What is left out may be anything.
  return given.length === 3 ? `== ${text}` : `~> ${text}.0`
}

/** Whether a version is one that a range of package.json allows: ">=18", "^18.1" or "18.x || 20.x". */
export function satisfies(version: string, range: string) {
  const alternatives = range.split('||').map(all =>
    all
      .replaceAll(/([<>=~^])\s+/g, '$1')
      .trim()
      .split(/\s+/)
      .map(requirementOf)
      .join(' and '),
  )
  return fitsElixir(version, alternatives.join(' or '))
}

const versionOf = (example: string, name: string) =>
  new RegExp(String.raw`^${name}=\w+:(\d+(?:\.\d+)*)`, 'm').exec(example)?.[1]

const askedBy = (file: string) => {
  const text = readSmall(file)
  if (text === undefined) return undefined
  if (file.endsWith('.exs')) return elixirWanted(text)
  try {
    const { engines } = JSON.parse(text) as { engines?: { node?: string | number } }
    return engines?.node === undefined ? undefined : `${engines.node}`
  } catch {
    return undefined
  }
}

const imagesOf = (top: string, folder: string, example: string): OldSite['images'] => {
  const beside = dirname(folder)
  const files = [
    ['PHOENIX_BASE_IMAGE', 'elixir', join(folder, 'mix.exs')],
    ...['avril-profil', 'avril-livret1'].map(
      it => ['NUXT_BASE_IMAGE', 'node', join(beside, it, 'package.json')] as const,
    ),
  ] as const
  const images: Record<string, { image: string; why: string }> = {}
  for (const [name, program, file] of files) {
    const wanted = askedBy(join(top, file))
    const version = wanted?.match(/\d+(?:\.\d+)*/)?.[0]
    const fits = program === 'elixir' ? fitsElixir : satisfies
    const now = versionOf(example, name)
    if (wanted === undefined || version === undefined || (now !== undefined && fits(now, wanted))) continue
    const [said, before] = [`${file} asks for ${program} ${wanted}`, images[name]?.why]
    const why = [before, fits(version, wanted) ? said : `${said}, and not for ${version}: choose one`]
    images[name] = { image: `${program}:${version}`, why: why.filter(Boolean).join('; ') }
  }
  return images
}

/**
 * What would be made of the old checkout in a folder. Throws a Failure: 78 when it has no .env, or this checkout has
 * one already, 69 without Compose.
 */
export async function readTakeOver(machine: OldMachine): Promise<TakeOver> {
  const folder = join(machine.top, machine.folder)
  if (hasSettings())
    throw badConfig(
      `${ENV_FILE} is there already, and an old site is taken over once`,
      'nothing was touched; to begin again, move it away first',
    )
  const example = readExample()
  const site = {
    settings: (await readOldSettings(machine)).settings,
    images: imagesOf(machine.top, machine.folder, example),
    ipv6: await canServeIpv6(),
  }
  const changes = convertSettings(site)
  const dumps = await listOldDumps(machine)
  return {
    name: machine.name,
    changes,
    text: settingsWith(example, linesOfChanges(changes)),
    dumps,
    override: existsSync(join(folder, 'docker-compose.override.yml')),
  }
}

/** The new settings. Throws a Failure (78) with all that a person must decide, or that would not be accepted here. */
export function checkTakeOver({ name, changes, text }: TakeOver) {
  const wrong = changes.filter(({ kind }) => kind === 'wrong')
  if (wrong.length > 0)
    throw badConfig(
      [
        `${wrong.length} of the settings in ${name}/.env cannot be taken over:`,
        ...wrong.map(it => `  ${it.name}: ${it.why}`),
      ].join('\n'),
      'nothing was touched; run it on a copy of that folder in which they are corrected',
    )
  return readSettings(text, readExample())
}
