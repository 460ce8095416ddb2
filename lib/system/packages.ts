// The only module that imports packages, so that a script works right after `git clone`: what package-lock.json names
// is installed first.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './checkout.ts'

// Each of them: an update of the scripts may bring one more.
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>
}
if (!Object.keys(dependencies).every(name => existsSync(join(root, 'node_modules', name)))) {
  process.stderr.write('first use: installing the packages that package-lock.json names …\n')
  const npm = spawnSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (npm.status !== 0) {
    process.stderr.write(`error: npm ci failed in ${root}\nhint: the lines above say why; then run the command again\n`)
    process.exit(1)
  }
}

export const { Chalk } = await import('chalk')

/** Loaded by the one module that needs it, so that --help does not wait for it. */
export const loadZx = () => import('zx/core')
export const loadAge = () => import('age-encryption')
export const loadDotenv = () => import('dotenv')
export const loadS3 = () => {
  // On Node 20 the client would write on every run that its releases of 2027 need a newer one; package-lock.json names
  // the one that runs here.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
  return import('@aws-sdk/client-s3')
}
