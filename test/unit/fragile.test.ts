import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fragileText } from '../../lib/backup/fragile.ts'

void test('objects that a restore cannot make by itself are one warning, with the command that mends each function once', () => {
  assert.equal(fragileText([], 'public'), undefined)
  const found = Array.from({ length: 7 }, (_, n) => ({
    object: `index i${n}`,
    function: 'slugify(text)',
    word: 'unaccent',
  }))
  const text = fragileText(found, 'app, public') ?? ''
  assert.match(text, /index i4: slugify\(text\) names unaccent without its schema\n {2}… and 2 more/)
  assert.equal(text.match(/alter function slugify\(text\) set search_path = app, public;/g)?.length, 1)
})
