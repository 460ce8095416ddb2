// The load generator as the shell uses it.
import { equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Faults, faultyServer } from './faulty_server.ts'
import { type Report } from './load.ts'

const folder = mkdtempSync(join(tmpdir(), 'load generator '))
after(() => rmSync(folder, { recursive: true }))

const COMMAND = ['--import', 'tsx', join(import.meta.dirname, 'load.ts')]

const start = (...words: string[]) =>
  spawn(process.execPath, [...COMMAND, ...words], { stdio: ['pipe', 'pipe', 'pipe'] })

const ended = async (child: ReturnType<typeof start>) => {
  const exit = once(child, 'exit')
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map(stream => stream.setEncoding('utf8').toArray()),
  )
  await exit
  return { code: child.exitCode, stdout: String(stdout?.join('')), stderr: String(stderr?.join('')) }
}

const run = async (faults: Faults, json: string) => {
  const server = await faultyServer(faults)
  const child = start('--url', server.url, '--rate', '50', '--slow', '0', '--until-stdin-closes', '--json', json)
  await server.whenAsked(60)
  child.stdin.write('rollout\n')
  await server.whenAsked(100)
  child.stdin.end()
  const outcome = await ended(child)
  server.close()
  return outcome
}

void test('marks come by standard input, the report goes to a file', async () => {
  const json = join(folder, 'report.json')
  const { code, stdout, stderr } = await run({}, json)
  equal(code, 0, stderr)
  match(stdout, /^0 of \d+ requests failed/)
  const report: Report = JSON.parse(readFileSync(json, 'utf8'))
  equal(report.marks[0]?.label, 'rollout')
  equal(report.rows.length, report.sent)
})

void test('a failed request makes the exit code 1, and is listed', async () => {
  const { code, stdout } = await run({ badGateway: 20 }, join(folder, 'bad.json'))
  equal(code, 1)
  match(stdout, /failed: \w+ at \d+ ms: 502/)
})

void test('a wrong command line ends with 64', async () => {
  for (const words of [[], ['--url', 'http://127.0.0.1:1', '--rate', '0'], ['--url', 'nowhere'], ['--nonsense']]) {
    const { code, stdout, stderr } = await ended(start(...words))
    equal(code, 64, stderr)
    equal(stdout, '')
    match(stderr, /^error: /)
  }
})
