// How Node runs a script of TypeScript: from 22.18 on by itself, before that by tsx.

/** Whether Node of this version ("v22.18.0") runs a script as it is. */
export function runsTypeScript(version: string) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return major > 23 || (major === 22 && minor >= 18) || (major === 23 && minor >= 6)
}

/** What stands between node and the script; `tsx` is how tsx is found there. */
export function loaderFor(version: string, tsx: string) {
  return runsTypeScript(version) ? [] : ['--import', tsx]
}
