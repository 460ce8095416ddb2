// The login (a name and a password, or a token) that an address of a repository may have in it. It stays in .env: not
// in an argument list, where every user of the machine sees it, nor in the settings of a clone, which end in whatever
// the clone is copied to.
import { type Texts, uncheckedTexts } from '../system/settings.ts'

const FORM = /^(https?:\/\/)([^/@]*)@(.*)$/s

/** An address without the login in it. */
export function bareAddress(url: string) {
  return url.replace(FORM, '$1$3')
}

export function hasLogin(url: string) {
  return FORM.test(url)
}

/** The address in .env that leads to the same place and has a login; undefined when none does. */
export function addressWithLogin(url: string, texts: Texts) {
  return [...texts].find(
    ([name, value]) => name.endsWith('_GIT_URL') && hasLogin(value) && bareAddress(value) === bareAddress(url),
  )?.[1]
}

const readTexts = (): Texts => {
  try {
    return uncheckedTexts()
  } catch {
    // Whoever needs more of it says so.
    return new Map()
  }
}

const decoded = (text: string) => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

// git asks it when the remote has asked git, for this host alone; what other helpers would note is not told to them.
const ANSWER = String.raw`printf 'username=%s\npassword=%s\n' "$AVRIL_GIT_USER" "$AVRIL_GIT_PASSWORD"`
const HELPER = `!answer() { ${ANSWER}; }; answer`

/** Variables by which git logs in at a remote, when this address or that of .env for the same place has a login. */
export function loginEnvironment(url: string): Record<string, string> {
  const [, scheme = '', login, rest = ''] =
    FORM.exec(hasLogin(url) ? url : (addressWithLogin(url, readTexts()) ?? '')) ?? []
  if (login === undefined) return {}
  const [user = '', ...password] = login.split(':')
  return {
    AVRIL_GIT_USER: decoded(user),
    AVRIL_GIT_PASSWORD: decoded(password.join(':')),
    // A name alone may be one whose password a helper of this user knows.
    GIT_CONFIG_COUNT: password.length > 0 ? '2' : '1',
    GIT_CONFIG_KEY_0: `credential.${scheme}${rest.split('/')[0]}.helper`,
    GIT_CONFIG_VALUE_0: password.length > 0 ? '' : HELPER,
    GIT_CONFIG_KEY_1: `credential.${scheme}${rest.split('/')[0]}.helper`,
    GIT_CONFIG_VALUE_1: HELPER,
  }
}
