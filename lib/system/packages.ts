// A script works right after `git clone`: what package-lock.json names is installed first.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './checkout.ts'
import { Failure } from './errors.ts'

/**
 * Installs the packages that package.json names when one of them is missing: an update of the scripts may bring one
 * more. Throws a Failure when npm fails.
 */
export function installPackages() {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }
  if (Object.keys(dependencies).every(name => existsSync(join(root, 'node_modules', name)))) return
  process.stderr.write('first use: installing the packages that package-lock.json names …\n')
  const npm = spawnSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (npm.status === 0) return
  throw new Failure(`npm ci failed in ${root}`, {
    hint: 'the lines above say why; then run the command again',
  })
}
