// What a version of Node can do, as it says it of itself ("v20.19.0").

const numbersOf = (version: string) => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return { major, minor }
}

/** What the scripts need. */
export const LEAST = 'v20.19'

/** Whether the scripts run on Node of this version. */
export function isRecent(version: string) {
  const [here, least] = [numbersOf(version), numbersOf(LEAST)]
  return here.major > least.major || (here.major === least.major && here.minor >= least.minor)
}

/** Whether Node of this version runs a script of TypeScript as it is; before that it is tsx that does. */
export function runsTypeScript(version: string) {
  const { major, minor } = numbersOf(version)
  return major > 23 || (major === 22 && minor >= 18) || (major === 23 && minor >= 6)
}

/** What stands between node and the script; `tsx` is how tsx is found there. */
export function loaderFor(version: string, tsx: string) {
  return runsTypeScript(version) ? [] : ['--import', tsx]
}
