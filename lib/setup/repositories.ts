// The apps' repositories, which docker-compose.yml names by its labels.
import { existsSync, readdirSync } from 'node:fs'
import type { Settings } from '../config.ts'
import { badConfig, EXIT } from '../errors.ts'
import { bad, findingOf, good, type Finding } from './findings.ts'
import { checkRepository, cloneRepository, sweepClones } from '../git.ts'
import { APP_LABEL, type StackConfig } from '../stack.ts'

const HOME = 'https://github.com/StartupsPoleEmploi'

export interface Repository {
  name: string
  folder: string
}

export const repositoriesOf = ({ services }: StackConfig): Repository[] =>
  Object.values(services).flatMap(({ labels, build }) => (labels?.[APP_LABEL] && build?.context ? [{ name: labels[APP_LABEL], folder: build.context }] : []))

/** The setting that names another address of a repository: AVRIL_PROFIL_GIT_URL for avril-profil. */
export const urlSetting = (name: string) => `${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}_GIT_URL`

/** Where a repository is cloned from. Throws (78) for what git would take for something else than an address. */
export const urlOf = (settings: Settings, name: string) => {
  const url = settings[urlSetting(name)] || `${HOME}/${name}`
  if (/^(https?:\/\/|ssh:\/\/|git:\/\/|file:\/\/|\/|\.{1,2}\/|\w[\w.-]*@\w[\w.-]*:)\S+$/.test(url)) return url
  throw badConfig(`.env: ${urlSetting(name)} is not the address of a repository`, 'https://…, ssh://…, user@host:path, or an absolute path')
}

const isEmpty = (folder: string) => readdirSync(folder).length === 0

/** Whether each repository is there. */
export const repositoryFindings = (repositories: Repository[], settings: Settings): Promise<Finding[]> =>
  Promise.all(
    repositories.map(async ({ name, folder }) => {
      try {
        const mend = `cloning ${urlOf(settings, name).replace(/\/\/[^@/]*@/, '//…@')} to ${folder}`
        if (!existsSync(folder) || isEmpty(folder)) return bad(`${name} is not there`, undefined, { about: name, mend, exitCode: EXIT.unreachable })
        await checkRepository(folder)
        return good(folder)
      } catch (error) {
        return findingOf(error)
      }
    }),
  )

/** Clones the repository that a finding is about. */
export const cloneFor = async ({ about }: Finding, repositories: Repository[], settings: Settings) => {
  for (const { name, folder } of repositories.filter(({ name }) => name === about)) {
    sweepClones(folder)
    await cloneRepository(urlOf(settings, name), folder)
  }
}
