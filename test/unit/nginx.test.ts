import assert from 'node:assert/strict'
import { test } from 'node:test'
import { liveMap } from '../../lib/nginx/live_map.ts'

const app = { service: 'phoenix', port: '4000' }

// What nginx does with the file: the first expression that matches wins.
const pick = (map: string, id: string) => {
  for (const [, pattern = '', target] of map.matchAll(/^"~(.+)" (\S+);$/gm))
    if (new RegExp(pattern).test(`phoenix ${id}`)) return target
  return undefined
}

for (let count = 1; count <= 16; count += 1) {
  void test(`${count} targets share all requests, none has more than one digit more than another`, () => {
    const targets = Array.from({ length: count }, (_, index) => `avril-phoenix-${index + 1}`)
    const map = liveMap(app, targets)
    const shares = new Map<string | undefined, number>()
    for (const digit of '0123456789abcdef') {
      const target = pick(map, `${digit}0000`)
      shares.set(target, (shares.get(target) ?? 0) + 1)
    }
    assert.deepEqual(new Set(shares.keys()), new Set(targets.map(name => `${name}:4000`)))
    assert.ok(Math.max(...shares.values()) - Math.min(...shares.values()) <= 1)
  })
}

void test('the service is part of the key, so that apps do not mix', () =>
  assert.match(liveMap(app, ['a']), /^"~\^phoenix \[0123456789abcdef\]" a:4000;$/m))
