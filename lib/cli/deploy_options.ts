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
  'with-data': {
    help:
      'with --rollback: the database goes back, too, to what it was before the deploy that is taken back; what was ' +
      'written since leaves the live database, and is kept for backup_restore.ts --undo. Is the code back already? ' +
      'Then backup_restore.ts --before-deploy: this would take back one more deploy',
  },
  yes: { help: 'with --with-data: do not ask (needed without a terminal)' },
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
  observe: {
    value: 'seconds',
    help:
      'how long its visitors are watched before the old one goes: when more of their requests fail than before, ' +
      'everybody gets the old one back (default 30; 0, and for --rollback: not at all)',
    form: [/^\d{1,3}$/, 'a number of seconds from 0 to 999'] as const,
  },
  canary: {
    value: 'percent',
    help: 'for the first half of that time, give the new release to this percentage of the visitors only',
    form: [/^[1-9]\d?$/, 'a number from 1 to 99'] as const,
  },
  errors: {
    value: 'percent',
    help: 'how many more requests in a hundred may fail than before (default 5)',
    form: [/^\d{1,2}$/, 'a number from 0 to 99'] as const,
  },
  slower: {
    value: 'times',
    help: 'how many times as long as before the slowest 1 % of the requests may take (default 5)',
    form: [/^[1-9]\d?$/, 'a number from 1 to 99'] as const,
  },
  pause: {
    help:
      'for a migration that the old release cannot live with: requests wait in nginx, each for 30 s at most, while ' +
      'it runs and until the new release serves; nothing is observed then, and --probation is 0 unless it is said',
  },
  wait: { help: 'queue, for six hours at most, when another deploy is running, instead of ending with 75' },
  'no-hooks': { help: "do not run the team's hooks (HOOKS_DIR)" },
  'dry-run': { help: 'print what would be done, in its order; changes nothing' },
  json: { help: 'print the result as one JSON document on stdout' },
}

const numberOr = (text: string | undefined, otherwise: number) => (text === undefined ? otherwise : Number(text))

/** How a release is to be observed, by the options of a deploy. */
export function observationOf(
  options: Record<'observe' | 'canary' | 'errors' | 'slower', string | undefined>,
  defaults: { seconds: number; errors: number; slower: number },
) {
  return {
    seconds: numberOr(options.observe, defaults.seconds),
    canary: options.canary === undefined ? undefined : Number(options.canary),
    errors: numberOr(options.errors, defaults.errors),
    slower: numberOr(options.slower, defaults.slower),
  }
}

/** Throws a Failure (64) when the words do not go together. */
export function checkDeployWords(
  options: {
    to: string | undefined
    rollback: boolean
    pause: boolean
    'with-data'?: boolean
  } & Record<'observe' | 'canary' | 'errors' | 'slower', string | undefined>,
  branch: string | undefined,
) {
  const targets = [branch !== undefined, options.to !== undefined, options.rollback].filter(Boolean)
  const watching = [options.canary, options.errors, options.slower].some(it => it !== undefined)
  if (watching && (options.rollback || Number(options.observe ?? 1) === 0))
    throw usage('--canary, --errors and --slower are about what --observe watches, and it watches nothing here')
  if (options['with-data'] && !options.rollback) throw usage('--with-data is for --rollback')
  if (options.pause && options.rollback) throw usage('--rollback migrates nothing, so there is nothing to --pause for')
  if (options.pause && (watching || Number(options.observe ?? 0) > 0))
    throw usage(
      '--pause observes nothing: nobody can be sent back to a release that cannot live with the new database',
      'if the old release can live with it: without --pause',
    )
  if (targets.length > 1) throw usage('a branch, --to and --rollback exclude one another')
  if (branch !== undefined && !NAME.test(branch))
    throw usage(`${JSON.stringify(branch)} is not the name of a branch: ${FORM}`)
}
