// What a build is told, and what it demands: the settings that it gets (build.args.SETTINGS in docker-compose.yml),
// those that it lacks, and its version of Elixir.
import { badConfig } from '../system/errors.ts'

const NAMES = /^\s*([A-Za-z_]\w*)=/gm

/** The names in the build argument SETTINGS, one NAME=value a line. */
export function buildSettingsOf(args: Record<string, string> | undefined) {
  return [...(args?.SETTINGS ?? '').matchAll(NAMES)].map(([, name = '']) => name)
}

const SECRET_WORD = /(^|_)(SECRET|PASSWORD|PASS|TOKEN|PRIVATE|CREDENTIALS?)(_|$)/
const SECRET_NAME = /_GIT_URL$|^AWS_|^MINIO_|^OFFSITE_|^DATABASE_URL$|^PGPASSWORD$/

/**
 * What nobody may learn: what a Nuxt build gets is in the files that every visitor downloads, and every build argument
 * in the history of the image.
 */
export function isSecretName(name: string) {
  return SECRET_WORD.test(name) || SECRET_NAME.test(name)
}

// Elixir's module attributes, and what the configuration of Nuxt reads.
const ATTRIBUTE = /^\s*@\w+.*System\.(?:get_env|fetch_env!?)\(\s*"(\w+)"/
const NUXT = /process\.env\.([A-Z]\w*)/g

/**
 * The settings that lines of the code read at build time. The lines come from `git grep`: Elixir's and those of
 * nuxt.config.
 */
export function readAtBuild(lines: string[]) {
  const names = lines.flatMap(
    line => ATTRIBUTE.exec(line)?.[1] ?? [...line.matchAll(NUXT)].map(([, name = '']) => name),
  )
  return [...new Set(names)].toSorted()
}

/** The version of Elixir that an image's name tells: "elixir:1.8.2-slim"; undefined when it tells none. */
export function elixirOf(image: string) {
  return /(?:^|\/)elixir:(\d+\.\d+(?:\.\d+)?)/.exec(image)?.[1]
}

/** What mix.exs demands: "~> 1.8.2"; undefined when nothing. */
export function elixirWanted(mix: string) {
  return /^[^#\n]*\belixir:\s*"([^"]+)"/m.exec(mix)?.[1]
}

const numbers = (version: string) => version.split('.').map(Number)
const compare = (a: number[], b: number[]) =>
  (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0) || (a[2] ?? 0) - (b[2] ?? 0)

const fitsOne = (version: number[], requirement: string) => {
  const [, operator = '==', text = ''] = /^(~>|>=|<=|==|!=|>|<)?\s*(\d+(?:\.\d+){0,2})/.exec(requirement.trim()) ?? []
  if (text === '') return true
  const wanted = numbers(text)
  const order = compare(version, wanted)
  switch (operator) {
    case '~>': {
      // "~> 1.8.2" stays below 1.9, "~> 1.8" below 2.
      const kept = Math.max(wanted.length - 1, 1)
      return order >= 0 && wanted.slice(0, kept).every((part, index) => version[index] === part)
    }
    case '>=':
      return order >= 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    case '<':
      return order < 0
    case '!=':
      return order !== 0
    default:
      return order === 0
  }
}

/**
 * Whether a version of Elixir is one that a requirement of mix.exs allows
 * (https://hexdocs.pm/elixir/Version.html#module-requirements).
 */
export function fitsElixir(version: string, requirement: string) {
  return requirement.split(/\s+or\s+/).some(all => all.split(/\s+and\s+/).every(one => fitsOne(numbers(version), one)))
}

/**
 * Throws (78) when the base image of a build has an Elixir that mix.exs does not allow: the compiler would say so only
 * after minutes.
 */
export function checkElixir(service: string, image: string | undefined, mix: string | undefined) {
  if (image === undefined || mix === undefined) return
  const [has, wanted] = [elixirOf(image), elixirWanted(mix)]
  if (has === undefined || wanted === undefined || fitsElixir(has, wanted)) return
  const setting = `${service.toUpperCase()}_BASE_IMAGE`
  throw badConfig(
    `mix.exs demands Elixir ${wanted}, and ${service} is built on ${image}, which has ${has}`,
    `name an image in .env that has it (${setting}=elixir:…), or change mix.exs; nothing was touched`,
  )
}
