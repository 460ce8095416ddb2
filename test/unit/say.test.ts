import assert from 'node:assert/strict'
import { test } from 'node:test'
import { harmless } from '../../lib/cli/terminal.ts'

// what others wrote, what a person sees of it
for (const [text, shown] of [
  ['one\ttwo\nthree é 😀', 'one\ttwo\nthree é 😀'],
  ['\u001B[2J\u001B[?25lx', 'x'],
  ['\u001B]0;title\u0007x\u001B]52;c;cGF5\u001B\\y', ']0;titlex]52;c;cGF5\\y'],
  ['error: no\rall is well\b\u007F\u0000', 'error: noall is well'],
  ['\u009B31mx\u0085y\u009B[31m', 'xy31m'],
  ['\n[31mx\u001Bc\u001B', '\n[31mxc'],
  ['admin\u202E gnp.exe\u2066x\u2069\u200F\u2028y', 'admin gnp.exexy'],
  ['\u001B[36;1mphoenix-1 |\u001B[0m x\u001B[8mhidden', '\u001B[36;1mphoenix-1 |\u001B[0m xhidden'],
  ['\u001B[31mred\u001B[39m', '\u001B[31mred\u001B[39m'],
] as const) {
  void test(`a terminal does not obey ${JSON.stringify(text)}`, () => assert.equal(harmless(text), shown))
}
