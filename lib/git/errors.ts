// What git says when it cannot do something, and what that means for whoever reads it: one hint a cause.
import { EXIT, Failure } from '../system/errors.ts'

type Cause = [words: RegExp, exitCode: number, hint: (folder: string) => string]

/** git's words in English (LC_ALL=C), the first that fit. The folder is that of the clone. */
const CAUSES: Cause[] = [
  [
    /dubious ownership/,
    EXIT.config,
    folder => `it belongs to another user, whose settings git would follow: chown -R $(id -un) ${folder}`,
  ],
  [
    /Unable to create '.*\.lock': File exists|cannot lock ref .*File exists/,
    EXIT.locked,
    () =>
      'another git is at work there, or was killed: if none runs (pgrep -a git), remove that file and run this again',
  ],
  [/No space left on device|Disk quota exceeded/, EXIT.noSpace, () => 'make room (df -h, docker system df)'],
  [
    /insufficient permission|Read-only file system|(cannot|could not|unable to) (open|create|write|append|lock|unlink)[^\n]*Permission denied/i,
    EXIT.cannotWrite,
    folder => `may this user write there (ls -ld ${folder} ${folder}/.git)?`,
  ],
  [
    /bad object|object file .* is empty|loose object .* corrupt|inflate: data stream error|missing (blob|tree|commit)|packfile .*(corrupt|cannot be accessed|does not match)|bad (tree|config|index)|invalid object/,
    EXIT.config,
    folder => `the clone is damaged: move ${folder} away, and tsx scripts/setup.ts clones it anew`,
  ],
  [
    /Host key verification failed|authenticity of host/,
    EXIT.unreachable,
    () => 'the key of that host is not known here: connect once by hand (ssh <host>), and compare its fingerprint',
  ],
  [
    /Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied \(|returned error: 40[13]|HTTP Basic: Access denied/,
    EXIT.unreachable,
    () =>
      'the remote wants a login that this user has not: a key of ssh, or a token in the address in .env ' +
      '(.env.example: AVRIL_GIT_URL)',
  ],
  [
    /certificate|SSL|TLS/,
    EXIT.unreachable,
    () => 'the certificate of the remote is not trusted here: the clock (date)? ca-certificates? a proxy?',
  ],
  [
    /Could not resolve (host|proxy)|Name or service not known|Temporary failure in name resolution/i,
    EXIT.unreachable,
    () => 'is the network there, and is the name of the host right?',
  ],
  [
    /Connection (refused|timed out|reset|closed)|Network is unreachable|No route to host|Failed to connect|Couldn't connect|early EOF|hung up unexpectedly|returned error: 5\d\d/i,
    EXIT.unreachable,
    () => 'is the network there (a proxy?), and does the remote work? Then run this again',
  ],
  [
    /not found|does not appear to be a git repository|does not exist|No such file or directory|returned error: 404/i,
    EXIT.unreachable,
    () => 'does the address fit (.env.example tells how to name another one), and may this user read it?',
  ],
]

/** Words without the logins in the addresses that they name. */
export function withoutLogin(words: string) {
  return words.replace(/\/\/[^@/\s']*@/g, '//…@')
}

/** The Failure for what git could not do, with its words. */
export function failureOfGit(what: string, folder: string, words: string) {
  const [, exitCode = EXIT.unreachable, hint] = CAUSES.find(([form]) => form.test(words)) ?? []
  const said = withoutLogin(words).trim().split('\n').slice(0, 4).join('\n  ')
  return new Failure(`${what}: ${said}`, {
    exitCode,
    hint: hint?.(folder) ?? 'nothing was changed; git says why in the lines above',
  })
}
