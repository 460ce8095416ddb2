// certbot, of the distribution: it gets a certificate of an authority by ACME, and knows when it is due again.
// Long, since all that is known of certbot is here: its words, its folders, what it says.
import { EXIT, Failure } from '../system/errors.ts'

export interface CertbotRequest {
  /** its own: the account, the keys, its logs */
  folder: string
  /** what the certificate is for; the first is its name, too */
  names: [site: string, ...aliases: string[]]
  /** the folder that nginx answers /.well-known/acme-challenge/ from */
  webroot: string
  /** the address of the authority's directory */
  directory: string
  /** who the authority writes to; given, the terms of the authority are accepted */
  mail?: string | undefined
  /** also when it is not due */
  force: boolean
}

/**
 * Gets a certificate, or a new one when it is due (as the authority says by ARI, from certbot 4.1 on) or the names have
 * changed; else does nothing. One command for the first and for each later one, so that it always knows the settings
 * of today.
 */
export function certonly({ folder, names, webroot, directory, mail, force }: CertbotRequest) {
  const ownFolders = ['--config-dir', folder, '--work-dir', `${folder}/work`, '--logs-dir', `${folder}/log`]
  const authority = ['--server', directory, '--webroot', '--webroot-path', webroot]
  const wanted = ['--cert-name', names[0], ...names.flatMap(name => ['--domain', name]), '--key-type', 'ecdsa']
  const when = ['--renew-with-new-domains', force ? '--force-renewal' : '--keep-until-expiring']
  const account = mail === undefined ? [] : ['--email', mail, '--agree-tos', '--no-eff-email']
  const words = [...ownFolders, '--max-log-backups', '60', ...authority, ...wanted, ...when, ...account]
  return ['certbot', 'certonly', '--non-interactive', ...words]
}

interface Trouble {
  text: string
  hint: string
  exitCode: number
}

// What the authority says of a name: the type of RFC 8555, and whether the details are of that kind, too.
const OF_NAMES: [type: RegExp, detail: RegExp, trouble: Trouble][] = [
  [
    /dns|connection/,
    /resolve|NXDOMAIN|SERVFAIL|no valid A records|looking up/i,
    {
      text: 'the DNS has no answer for it that leads anywhere',
      hint:
        'its A record (and AAAA, if there is one) must lead to this server: dig +short A <name>; dig +short AAAA ' +
        '<name>. Correct it where the domain is kept, wait until dig shows it, then run this again',
      exitCode: EXIT.config,
    },
  ],
  [
    /dns|caa/,
    /CAA/,
    {
      text: 'its DNS allows another authority alone (CAA)',
      hint: 'dig CAA <name> and its parents: have this authority added there, or set ACME_DIRECTORY to that one',
      exitCode: EXIT.config,
    },
  ],
  [
    /connection|tls/,
    /./,
    {
      text: 'the authority does not reach it by port 80',
      hint:
        'does its DNS lead to this server (dig +short A <name>; AAAA too), is port 80 open in the firewall of the ' +
        'provider and of this machine, and are NGINX_BIND and NGINX_PORT in .env 0.0.0.0 and 80? From another ' +
        'network: curl -I http://<name>/',
      exitCode: EXIT.unreachable,
    },
  ],
  [
    /unauthorized|incorrectResponse/,
    /./,
    {
      text: 'somebody else answers there, not this server',
      hint:
        'its A or AAAA record leads to another machine (dig +short A <name>; dig +short AAAA <name>), or something ' +
        'in front of nginx answers /.well-known/acme-challenge/ itself',
      exitCode: EXIT.config,
    },
  ],
]

// What certbot says when it did not come so far.
const OF_ALL: [words: RegExp, trouble: Trouble][] = [
  [
    /Another instance of Certbot is already running/,
    { text: 'another certbot is at work', hint: 'run this again when it has ended', exitCode: EXIT.locked },
  ],
  [
    /No space left on device/,
    { text: 'the disk is full', hint: 'make room (df -h, df -i), then run this again', exitCode: EXIT.noSpace },
  ],
  [
    /temporarily prevented|unpause/i,
    {
      text: 'the authority has paused this account after too many failures',
      hint: 'correct what failed before, then open the link in the log: a person must end the pause',
      exitCode: EXIT.unreachable,
    },
  ],
  [
    /rateLimited|too many (?:certificates|failed authorizations|new orders|registrations)/i,
    {
      text: 'the authority gives no more for now, because it was asked too often',
      hint: 'wait as long as it says, and correct what failed before; cron asks again by itself',
      exitCode: EXIT.unreachable,
    },
  ],
  [
    /SSLError|CERTIFICATE_VERIFY_FAILED/,
    {
      text: 'this machine does not trust the certificate of the authority itself',
      hint:
        'is the clock right (date)? The root of an authority of your own goes into ' +
        '/usr/local/share/ca-certificates/<name>.crt, then update-ca-certificates',
      exitCode: EXIT.config,
    },
  ],
  [
    /ConnectionError|NewConnectionError|Max retries exceeded|Read timed out|ConnectTimeout|NameResolutionError|Unable to (?:reach|contact)|\b50[0234]\b|serverInternal/,
    {
      text: 'the authority does not answer',
      hint: 'is the network there, and is ACME_DIRECTORY right? If the authority is down: cron asks again by itself',
      exitCode: EXIT.unreachable,
    },
  ],
  [
    /invalidContact|unsupportedContact|invalid ?email|Unable to register/i,
    {
      text: 'the authority takes no account with that mail address',
      hint: 'give one that reaches you: tsx scripts/setup.ts --certificate <mail>',
      exitCode: EXIT.config,
    },
  ],
  [
    /agree to the|must agree|register(?:ing)? (?:before|without)|--agree-tos|--email|--register-unsafely/,
    {
      text: 'this server has no account at the authority yet',
      hint: 'tsx scripts/setup.ts --certificate <mail>, which accepts its terms',
      exitCode: EXIT.config,
    },
  ],
  [
    /rejectedIdentifier|policy forbids|not a (?:valid )?public suffix|valid public/i,
    {
      text: 'the authority gives no certificate for such a name',
      hint: 'are WHOST and WHOST_ALIASES in .env public names?',
      exitCode: EXIT.config,
    },
  ],
]

// The name of a file that is gone by now tells nobody anything.
const TOKEN = /\/\.well-known\/acme-challenge\/[\w-]+/g

/** For each name that the authority refused: what it said. */
export function refusalsIn(words: string) {
  const found = words.matchAll(/^ *(?:Domain|Identifier): +(\S+)\n *Type: +(\S+)\n *Detail: +(.*)$/gm)
  return [...found].map(([, name = '', type = '', detail = '']) => ({
    name,
    type,
    detail: detail.replaceAll(TOKEN, '/…'),
  }))
}

const lastWords = (words: string) =>
  words
    .split('\n')
    .map(line => line.trim())
    .findLast(line => line !== '' && !/^(Ask for help|Saving debug log|Some challenges have failed|- -)/.test(line)) ??
  'it says nothing'

const OTHER: Trouble = {
  text: 'the authority refused it',
  hint: 'what it says tells why; all of it is in the log',
  exitCode: EXIT.failed,
}

const troubleOf = (type: string, detail: string) =>
  OF_NAMES.find(([ofType, ofDetail]) => ofType.test(type) && ofDetail.test(detail))?.[2] ?? OTHER

/** The same in words, a line for each name. */
export function refusalTexts(words: string) {
  return refusalsIn(words).map(
    ({ name, type, detail }) => `${name}: ${troubleOf(type, detail).text} (${type}: ${detail})`,
  )
}

/**
 * Why certbot got none, by its words: what is wrong, what to do, and an exit code by the cause. `log` has all of it.
 */
export function failureOfCertbot(words: string, names: string[], log: string) {
  const [first] = refusalsIn(words)
  if (first) {
    const { hint, exitCode } = troubleOf(first.type, first.detail)
    const others = names.length > 1 ? `; one certificate is for all of ${names.join(', ')}` : ''
    return new Failure(`no certificate was given${others}:\n  ${refusalTexts(words).join('\n  ')}`, {
      hint: `${hint.replaceAll('<name>', first.name)}; ${log}`,
      exitCode,
    })
  }
  const trouble = OF_ALL.find(([pattern]) => pattern.test(words))?.[1] ?? { ...OTHER, text: 'certbot failed' }
  return new Failure(`no certificate was given: ${trouble.text} (${lastWords(words).slice(0, 300)})`, {
    hint: `${trouble.hint}; ${log}`,
    exitCode: trouble.exitCode,
  })
}
