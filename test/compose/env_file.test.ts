import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'
import { readSettings } from '../../lib/system/settings.ts'

const example = readFileSync(join(root, '.env.example'), 'utf8')

for (const value of [
  "default-src 'self'; img-src 'self' data: https://*.example.org; report-uri /csp?a=b#c",
  "it's",
  ' {a} # b\té! ',
  '',
]) {
  void test(`double quotes keep ${JSON.stringify(value)}, as Compose reads it too`, () => {
    const { texts } = readSettings(`${example}OTHER="${value}"\n`, example)
    assert.equal(texts.get('OTHER') ?? '', value)
    const folder = mkdtempSync(join(tmpdir(), 'compose-'))
    writeFileSync(join(folder, '.env'), `VALUE="${value}"\n`)
    writeFileSync(
      join(folder, 'compose.yml'),
      'services: { a: { image: a, environment: { READ: "${VALUE}" }, env_file: .env } }',
    )
    const printed = execFileSync(
      'docker',
      ['compose', '--project-directory', folder, '--file', join(folder, 'compose.yml'), 'config', '--format', 'json'],
      { encoding: 'utf8' },
    )
    rmSync(folder, { recursive: true })
    const { services } = JSON.parse(printed) as { services: { a: { environment: Record<string, string> } } }
    assert.deepEqual(services.a.environment, { READ: value, VALUE: value })
  })
}

const withDefaults = [...example.matchAll(/^([A-Z_]+)=(.*)$/gm)].flatMap(([line, name = '', value = '']) => {
  try {
    readSettings(example.replace(`${line}\n`, ''), example)
    return [{ line, name, value }]
  } catch {
    return []
  }
})

void test('what only the hosting reads may be missing in .env, and is the same to Compose and to the scripts', () => {
  assert.ok(withDefaults.length > 15, withDefaults.map(({ name }) => name).join())
  const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
  const short = withDefaults.reduce((text, { line }) => text.replace(`${line}\n`, ''), example)
  const { texts: _, ...settings } = readSettings(short, example)
  const { texts: _texts, ...whole } = readSettings(example, example)
  assert.deepEqual(settings, whole)
  for (const { name, value } of withDefaults)
    for (const [, found = ''] of compose.matchAll(new RegExp(String.raw`\$\{${name}:?-([^}]*)\}`, 'g')))
      assert.equal(found, value, name)
})
