// The apps' repositories, which docker-compose.yml names by its labels.
import { existsSync, readdirSync } from 'node:fs'
import type { Settings } from '../system/settings.ts'
import { badConfig, EXIT } from '../system/errors.ts'
import { bad, type Finding, findingOf, good, warning } from './findings.ts'
import { checkRepository, cloneRepository, forgetLogin, sweepClones } from '../git/repository.ts'
import { addressWithLogin, hasLogin } from '../git/login.ts'
import { withoutLogin } from '../git/errors.ts'
import { APP_LABEL } from '../docker/stack.ts'
import type { StackConfig } from '../docker/stack_config.ts'

const HOME = 'https://github.com/StartupsPoleEmploi'

export interface Repository {
  name: string
  folder: string
}

export function repositoriesOf({ services }: StackConfig): Repository[] {
  return Object.values(services).flatMap(({ labels, build }) =>
    labels?.[APP_LABEL] && build?.context ? [{ name: labels[APP_LABEL], folder: build.context }] : [],
  )
}

/** The setting that names another address of a repository: AVRIL_PROFIL_GIT_URL for avril-profil. */
export function urlSetting(name: string) {
  return `${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}_GIT_URL`
}

/** Where a repository is cloned from. Throws (78) for what git would take for something else than an address. */
export function urlOf({ texts }: Pick<Settings, 'texts'>, name: string) {
  const url = texts.get(urlSetting(name)) ?? `${HOME}/${name}`
  if (/^(https?:\/\/|ssh:\/\/|git:\/\/|file:\/\/|\/|\.{1,2}\/|\w[\w.-]*@\w[\w.-]*:)\S+$/.test(url)) return url
  throw badConfig(
    `.env: ${urlSetting(name)} is not the address of a repository`,
    'https://…, ssh://…, user@host:path, or an absolute path',
  )
}

const isEmpty = (folder: string) => readdirSync(folder).length === 0

// Whoever gets the folder (a backup, an image) has the token.
const loginFinding = (name: string, folder: string, address: string, settings: Settings) => {
  const text = `the address that ${folder} has of its remote holds a login`
  if (addressWithLogin(address, settings.texts))
    return warning(text, undefined, {
      about: name,
      mend: `taking the login out of ${folder}/.git/config, as .env has it`,
    })
  return warning(
    text,
    `set ${urlSetting(name)} in .env to what git -C ${folder} config remote.origin.url prints; then tsx ` +
      'scripts/setup.ts takes it out there',
  )
}

/** Whether each repository is there. */
export function repositoryFindings(repositories: Repository[], settings: Settings): Promise<Finding[]> {
  return Promise.all(
    repositories.map(async ({ name, folder }) => {
      try {
        const mend = `cloning ${withoutLogin(urlOf(settings, name))} to ${folder}`
        if (!existsSync(folder) || isEmpty(folder))
          return bad(`${name} is not there`, undefined, { about: name, mend, exitCode: EXIT.unreachable })
        const address = await checkRepository(folder)
        return hasLogin(address) ? loginFinding(name, folder, address, settings) : good(folder)
      } catch (error) {
        return findingOf(error)
      }
    }),
  )
}

/** Clones the repository that a finding is about, or takes the login out of its remote's address. */
export async function cloneFor({ about }: Finding, repositories: Repository[], settings: Settings) {
  for (const { name, folder } of repositories.filter(({ name }) => name === about)) {
    sweepClones(folder)
    await (existsSync(folder) && !isEmpty(folder)
      ? forgetLogin(folder)
      : cloneRepository(urlOf(settings, name), folder))
  }
}
