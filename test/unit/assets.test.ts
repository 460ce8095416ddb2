import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isNamedAfterContent } from '../../lib/deploy/assets.ts'

// What browsers ask for, and whether its name says what is in it. Extend it by a line.
const PATHS: [string, boolean][] = [
  ['/mon-espace/_nuxt/0a1b2c3.js', true],
  ['/mon-espace/_nuxt/pages/index.0a1b2c3.js', true],
  ['/mon-espace/_nuxt/fonts/marianne.0a1b2c3.woff2', true],
  ['/ma-candidature-vae/_nuxt/DfEoPW0H.js', true],
  ['/css/app-0123456789abcdef0123456789abcdef.css', true],
  ['/mon-espace/_nuxt/builds/latest.json', false],
  ['/mon-espace/_nuxt/builds/meta/1234.json', false],
  ['/mon-espace/_nuxt/LICENSES', false],
  ['/css/app.css', false],
  ['/css/app-0123456789abcdef0123456789abcdef.css.gz', false],
  ['/robots.txt', false],
]

for (const [path, expected] of PATHS)
  void test(`${path} is ${expected ? '' : 'not '}named after its content`, () =>
    assert.equal(isNamedAfterContent(path), expected))
