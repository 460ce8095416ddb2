// What a version of Node can do, as it says it of itself ("v20.19.0").

const numbersOf = (version: string) => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return { major, minor }
}

/** What the scripts need. */
export const LEAST_NODE = 'v20.19'

/** Whether the scripts run on Node of this version. */
export function isRecent(version: string) {
  const [here, least] = [numbersOf(version), numbersOf(LEAST_NODE)]
  return here.major > least.major || (here.major === least.major && here.minor >= least.minor)
}

/**
 * What stands between node and a script of TypeScript; `tsx` is how tsx is found there. `typescript` is what that Node
 * says of itself (process.features.typescript): its version does not tell, since Debian builds it without.
 */
export function loaderFor(typescript: string | false | undefined, tsx: string) {
  return typescript === 'strip' ? [] : ['--import', tsx]
}

/** The same of the Node that runs this. */
export function ownLoader(tsx: string) {
  return loaderFor((process.features as { typescript?: string | false }).typescript, tsx)
}
