// nasty.ts CHECKOUT: sends a table of arguments to echo.ts on the server, in two orders, and compares what arrives.
import { deepEqual } from 'node:assert/strict'
import { pathToFileURL } from 'node:url'

const TABLE = [
  '',
  ' ',
  '  two  spaces ',
  '\t',
  '\n',
  'a\nb',
  '\r\n',
  "'",
  "''",
  "it's",
  "'\\''",
  '"',
  '""',
  '"a b"',
  '\\',
  '\\\\',
  '\\n',
  "\\'",
  '$',
  '$HOME',
  '${HOME}',
  '$(id)',
  '$((1+1))',
  '`id`',
  ';',
  '; id',
  '&',
  '&& id',
  '|',
  '| id',
  '>',
  '> /tmp/x',
  '<',
  '<<EOF',
  '(',
  ')',
  '{a,b}',
  '*',
  '?',
  '[a-z]',
  '~',
  '~root',
  '#',
  '# a',
  '!',
  '!!',
  '^',
  '%',
  '%s',
  '%%',
  '=',
  'A=b',
  '-',
  '--',
  '---',
  '-n',
  '-e',
  '--help',
  '--on',
  '--on=x',
  'é',
  '€',
  '𝄞',
  'e\u0301',
  '\u202e',
  '\u2028',
  '\u0001',
  '\u007f',
  'a\u001b[31mb',
  'a'.repeat(5000),
]

const [checkout = ''] = process.argv.slice(2)
const load = (name: string) => import(pathToFileURL(`${checkout}/lib/${name}`).href)
const { openHost, scriptThere } = await load('remote/host.ts')
const { attempt } = await load('system/run.ts')
const host = await openHost('server')

const send = async (words: string[]) => {
  const { stdout, stderr, code } = await attempt(scriptThere(host, false, {}, 'echo', words))
  deepEqual([JSON.parse(stdout), stderr, code], [words, 'for people\n', 7])
}

await send(TABLE)
await send(TABLE.toReversed())
process.stdout.write(`${TABLE.length} arrived`)
