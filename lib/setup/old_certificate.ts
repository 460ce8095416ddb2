// The certificate of the old site, for a stack that has none yet.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { exec } from '../docker/commands.ts'
import { root } from '../system/checkout.ts'
import { badConfig } from '../system/errors.ts'
import { replaceFile } from '../system/files.ts'
import { attempt } from '../system/run.ts'
import type { Settings } from '../system/settings.ts'
import type { OldStack } from './old_stack.ts'

/** The files of certificates and those of keys that a configuration of nginx names (as nginx -T prints it). */
export function certificatesIn(config: string) {
  const valuesOf = (name: string) => [
    ...new Set(
      [...config.matchAll(new RegExp(String.raw`\b${name}\s+"?([^;"$]+)"?\s*;`, 'g'))].map(it => it[1]!.trim()),
    ),
  ]
  return { certificates: valuesOf('ssl_certificate'), keys: valuesOf('ssl_certificate_key') }
}

const belongs = (secret: string, pem: string) => {
  try {
    return new X509Certificate(pem).checkPrivateKey(createPrivateKey(secret))
  } catch {
    return false
  }
}

const isFor = (site: string, pem: string) => {
  try {
    return new X509Certificate(pem).checkHost(site) !== undefined
  } catch {
    return false
  }
}

/**
 * Copies the certificate and the key that the old nginx has for the site to where this one looks for them, when nothing
 * is there; gives the folder when it did. Throws a Failure (78) when the old site has https and this one would not.
 */
export async function bringCertificate(old: OldStack, { WHOST: site, SSL_DIR }: Settings) {
  const folder = join(resolve(root, SSL_DIR), site)
  const nginx = old.instances.find(({ service, running }) => service === 'nginx' && running)
  if (site === 'localhost' || !nginx || (existsSync(folder) && readdirSync(folder).length > 0)) return undefined
  const { engine } = old.machine
  const textOf = async (file: string) => (await attempt(exec(nginx.id, 'cat', file), { engine })).stdout
  const { certificates, keys } = certificatesIn((await attempt(exec(nginx.id, 'nginx', '-T'), { engine })).stdout)
  for (const certificate of certificates) {
    const pem = await textOf(certificate)
    if (!isFor(site, pem)) continue
    for (const key of keys) {
      const secret = await textOf(key)
      if (!belongs(secret, pem)) continue
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      replaceFile(join(folder, 'privkey.pem'), secret, 0o600)
      replaceFile(join(folder, 'fullchain.pem'), pem)
      return folder
    }
  }
  if (certificates.length === 0) return undefined
  throw badConfig(
    `the old site has https, and its nginx has no certificate for ${site} (${certificates.join(', ')})`,
    `nothing was changed; put fullchain.pem and privkey.pem into ${folder}, or correct WHOST in .env`,
  )
}
