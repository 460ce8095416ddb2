// What the guides tell people to type: each script is there, and knows each option that stands behind its name.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../lib/system/checkout.ts'

const scripts = readdirSync(join(root, 'scripts')).map(file => file.replace(/\.ts$/, ''))

// One process prints the help of all of them.
const print = `for (const name of ${JSON.stringify(scripts)}) { console.log('\\f' + name); await import(${JSON.stringify(join(root, 'scripts/'))} + name + '.ts') }`
const printed = execFileSync(
  process.execPath,
  ['--import', 'tsx', '--input-type=module', '--eval', print, 'x', '--help'],
  { cwd: root, encoding: 'utf8' },
)
const helps = new Map(
  printed
    .split('\f')
    .slice(1)
    .map(text => [text.slice(0, text.indexOf('\n')), text] as const),
)

/** What stands between backquotes, and each line of a block of code. */
const codeIn = (text: string) =>
  text
    .split('```')
    .flatMap((part, index) =>
      index % 2 === 1 ? part.split('\n') : (part.match(/`[^`]+`/g) ?? []).map(span => span.replaceAll(/\s+/g, ' ')),
    )

/**
 * [script, option] as they stand together; [script, ''] where none does. What follows " -- " is for another program.
 */
const commandsIn = (text: string) =>
  codeIn(text).flatMap(code =>
    [...code.matchAll(/(?<![\w/.-])(?:scripts\/)?(\w+)\.ts\b((?:(?!\.ts\b| -- )[^;#|&])*)/g)].flatMap(
      ([, script = '', words = '']) =>
        ['', ...(words.match(/(?<=[\s[])--[a-z][a-z-]*/g) ?? [])].map(option => [script, option] as const),
    ),
  )

for (const guide of ['README.md', 'docs/HEBERGEMENT.md']) {
  const commands = commandsIn(readFileSync(join(root, guide), 'utf8'))
  void test(`${guide} names scripts and options that are there, and no script is left out`, () => {
    const isKnown = ([script, option]: readonly [string, string]) =>
      helps.has(script) && new RegExp(`${option}(?![\\w-])`).test(helps.get(script) ?? '')
    assert.deepEqual(
      commands.filter(command => !isKnown(command)),
      [],
    )
    assert.deepEqual(
      scripts.filter(name => !commands.some(([script]) => script === name)),
      [],
    )
  })
}
