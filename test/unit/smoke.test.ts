import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smokeTestsOf, troubleIn } from '../../lib/docker/smoke.ts'
import { Failure } from '../../lib/system/errors.ts'

// expectation (a line of the label, or the app's own path alone), what comes back, what is said
for (const [expected, status, location, body, trouble] of [
  ['', 200, '', '', undefined],
  ['', 204, '', '', undefined],
  ['', 302, '/se-connecter', '', undefined],
  ['', 301, 'https://avril.test/mon-espace/', '', /301 \(to https:\/\/avril\.test\/mon-espace\/\), not with a page/],
  ['', 307, '/mon-espace/', '', /307/],
  ['', 302, '', '', /302, not with a page/],
  ['', 302, 'http://[', '', /302/],
  ['', 404, '', '', /404/],
  ['', 500, '', '', /500/],
  ['', 0, '', '', /with 0/],
  ['/mon-espace/ 302', 302, '/mon-espace/', '', undefined],
  ['/mon-espace/ 401', 200, '', '', /200, not with 401/],
  ['/mon-espace/ 200 Mon espace', 200, '', '<h1>Mon espace</h1>', undefined],
  ['/mon-espace/ 200 Mon espace', 200, '', '<h1>Erreur</h1>', /without "Mon espace"/],
  ['/mon-espace/ 200 Mon espace', 200, '', undefined, undefined],
] as const) {
  void test(`${expected || 'a page'}: ${status} ${location} ${body ?? ''}`, () => {
    const [smoke] = smokeTestsOf('nuxt_profile', '/mon-espace/', expected)
    assert.ok(smoke)
    const found = troubleIn(smoke, { status, location, ...(body === undefined ? {} : { body }) })
    if (trouble === undefined) assert.equal(found, undefined)
    else assert.match(found ?? '', trouble)
  })
}

void test("the app's own path comes first, unless a line is about it", () => {
  assert.deepEqual(
    smokeTestsOf('x', '/', '\n /a 200\n /b 301 words here \n').map(({ path, status, words }) => [path, status, words]),
    [
      ['/', undefined, ''],
      ['/a', 200, ''],
      ['/b', 301, 'words here'],
    ],
  )
  assert.deepEqual(
    smokeTestsOf('x', '/a', '/a 200').map(({ path }) => path),
    ['/a'],
  )
})

for (const line of ['a 200', '/a', '/a 99', '/a 2000', '200 /a', '/a 20x']) {
  void test(`${JSON.stringify(line)} is no smoke test`, () =>
    assert.throws(
      () => smokeTestsOf('x', '/', line),
      (error: unknown) => error instanceof Failure && error.exitCode === 78,
    ))
}
