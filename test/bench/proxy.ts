// What a request costs nginx itself, with the switch in its memory and as it was until 0.3: proxy.sh makes the load.
import { join } from 'node:path'
import { Failure } from '../../lib/system/errors.ts'
import { capture, isInstalled } from '../../lib/system/run.ts'
import { say } from '../../lib/system/progress.ts'
import { figuresOf, median, type Outcome } from './figures.ts'

const ROUNDS = 10
const SECONDS = 2
/** how much dearer a request may be */
const LIMIT = 1.1

const FILES = { taken: 'taken out of an image', kept: 'kept by nginx', asked: 'asked of a Node app' }

interface Run {
  kind: 'memory' | 'reload' | 'taken' | 'kept' | 'asked'
  protocol: 'h1' | 'h2'
  requests: number
  failed: number
  seconds: number
  cpu: number
}

export async function proxy(): Promise<Outcome> {
  const figures = figuresOf('proxy')
  if (!isInstalled('h2load')) throw new Failure('h2load is missing', { hint: 'apt-get install nghttp2-client' })
  say.step(`${ROUNDS} rounds of each kind, by HTTP/1.1 and HTTP/2`)
  const lines = await capture([join(import.meta.dirname, 'proxy.sh'), String(ROUNDS), String(SECONDS)])
  const runs = lines.split('\n').map(line => JSON.parse(line) as Run)
  const costOf = (kind: string, protocol: string) =>
    median(runs.filter(it => it.kind === kind && it.protocol === protocol).map(it => (it.cpu / it.requests) * 1e6))
  const rateOf = (kind: string, protocol: string) =>
    median(runs.filter(it => it.kind === kind && it.protocol === protocol).map(it => it.requests / it.seconds))
  const sum = (number: (run: Run) => number) => runs.reduce((total, run) => total + number(run), 0)
  const named = { h1: 'HTTP/1.1', h2: 'HTTP/2' }
  return {
    figures: [
      figures.noneFailed('requests', { failed: sum(({ failed }) => failed), sent: sum(({ requests }) => requests) }),
      ...(['h1', 'h2'] as const).flatMap(protocol => [
        figures.plain(
          `${named[protocol]}: CPU a request in nginx, until 0.3 and now (median)`,
          `${costOf('reload', protocol).toFixed(0)} µs; ${costOf('memory', protocol).toFixed(0)} µs`,
        ),
        figures.plain(
          '  requests a second',
          `${rateOf('reload', protocol).toFixed(0)}; ${rateOf('memory', protocol).toFixed(0)}`,
        ),
        figures.most('  now against until 0.3', costOf('memory', protocol) / costOf('reload', protocol), LIMIT, '×'),
      ]),
      ...Object.entries(FILES).map(([kind, name]) =>
        figures.plain(
          `a script of 100 kB, ${name}: a second; CPU each`,
          `${rateOf(kind, 'h2').toFixed(0)}; ${costOf(kind, 'h2').toFixed(0)} µs`,
        ),
      ),
    ],
    details: runs,
  }
}
