// A checkout of a test's own, for code that reads and writes .env or .state beside itself.
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

const original = join(import.meta.dirname, '../..')

/**
 * Gives its folder, with lib, these parts of the original and an empty .state; it is removed when the tests have ended.
 */
export function ownCheckout(...parts: string[]) {
  const checkout = mkdtempSync(join(tmpdir(), 'avril-checkout-'))
  after(() => rmSync(checkout, { recursive: true }))
  for (const part of ['lib', 'package.json', ...parts])
    cpSync(join(original, part), join(checkout, part), { recursive: true })
  symlinkSync(join(original, 'node_modules'), join(checkout, 'node_modules'))
  mkdirSync(join(checkout, '.state'))
  return checkout
}
