// The words of a deploy, the same on the server and from another machine.
import { usage } from '../system/errors.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/
const FORM = 'letters, digits, ".", "_", "/" and "-", a letter or a digit first'

export const DEPLOY_OPTIONS = {
  'if-change': { help: 'do nothing when the live instance already runs the head of the branch' },
  to: {
    value: 'commit|tag',
    help: 'deploy this instead of the head of a branch',
    form: [NAME, `a commit or a tag: ${FORM}`] as const,
  },
  rollback: { help: 'go back to the release before the live one; builds nothing, migrates nothing' },
  keep: {
    value: 'number',
    help: 'how many releases to keep on this machine (default 5)',
    form: [/^[1-9]\d{0,2}$/, 'a number from 1 to 999'] as const,
  },
  timeout: {
    value: 'seconds',
    help: 'how long a new instance may take to get healthy (default 300)',
    form: [/^[1-9]\d{0,4}$/, 'a number of seconds from 1 to 99999'] as const,
  },
  probation: {
    value: 'seconds',
    help: 'how long it must have run before it gets requests (default 7)',
    form: [/^\d{1,4}$/, 'a number of seconds from 0 to 9999'] as const,
  },
  wait: { help: 'queue, for six hours at most, when another deploy is running, instead of ending with 75' },
  'dry-run': { help: 'print what would be done; changes nothing' },
  json: { help: 'print the result as one JSON document on stdout' },
}

/** Throws a Failure (64) when the words do not go together. */
export function checkDeployWords(options: { to: string | undefined; rollback: boolean }, branch: string | undefined) {
  const targets = [branch !== undefined, options.to !== undefined, options.rollback].filter(Boolean)
  if (targets.length > 1) throw usage('a branch, --to and --rollback exclude one another')
  if (branch !== undefined && !NAME.test(branch))
    throw usage(`${JSON.stringify(branch)} is not the name of a branch: ${FORM}`)
}
