import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { HOST, ssh, unreachable } from '../../lib/ssh/commands.ts'
import { quoteWord } from '../../lib/system/shell.ts'

void test('a quoted word comes out of a POSIX shell as it was', () => {
  for (const word of [
    '',
    "'",
    "''",
    '"$HOME"',
    '`id`',
    '$(id)',
    'a b',
    'a\nb',
    '\\',
    "\\'",
    ';',
    '&',
    '*',
    '!',
    '~',
    '#',
    'é€𝄞',
    '-n',
    '\t',
    "it's; rm -rf '/'",
  ]) {
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${quoteWord(word)}`], { encoding: 'utf8' })
    assert.equal(stdout, word)
  }
})

void test('the command is one word for ssh, after the host; host-key checking is not among the options', () => {
  const words = ssh('me@there', {}, 'echo "$1"', "it's")
  assert.deepEqual(words.slice(-3), ['--', 'me@there', `'sh' '-c' 'echo "$1"' 'sh' 'it'\\''s'`])
  assert.ok(words.every(word => !/StrictHostKeyChecking|UserKnownHostsFile/.test(word)))
  assert.ok(words.includes('-T') && !words.includes('-t'))
  assert.ok(ssh('there', { terminal: true }, 'true').includes('-t'))
})

void test('what could be an option or a command is no host', () => {
  for (const host of ['server', 'me@server', '192.0.2.1', '[2001:db8::1]'.slice(1, -1), 'me@[::1]', 'a_b.example.org'])
    assert.match(host, HOST)
  for (const host of ['', '-oProxyCommand=id', 'a b', 'a;b', '$(id)', 'a\nb', '`id`', "a'b"])
    assert.doesNotMatch(host, HOST)
})

for (const [said, why] of [
  ['Host key verification failed.', 'its host key is not known here'],
  [
    '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.',
    'its host key is another one',
  ],
  ['me@there: Permission denied (publickey).', 'it refuses the key'],
  ['ssh: connect to host there port 22: Connection refused', 'nothing answers on its ssh port'],
  ['Connection timed out during banner exchange', 'time-out'],
  ['ssh: Could not resolve hostname there: Name or service not known', 'there is no host of this name'],
  ['kex_exchange_identification: read: Connection reset by peer', 'ssh failed'],
] as const) {
  void test(`words for: ${said}`, () => {
    const failure = unreachable('there', said)
    assert.equal(failure.exitCode, 69)
    assert.ok(failure.message.includes(why), failure.message)
  })
}
