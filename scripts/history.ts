import { resolve } from 'node:path'
import { main } from '../lib/cli/main.ts'
import { print } from '../lib/cli/terminal.ts'

const command = {
  usage: 'history.ts [options] [repo]',
  summary: 'Shows the last deploys, of all apps or of one: what came of them, and what their visitors got meanwhile.',
  words: [0, 1] as [number, number],
  options: {
    last: {
      value: 'number',
      help: 'how many (default 20)',
      form: [/^[1-9]\d{0,4}$/, 'a number from 1 to 99999'] as const,
    },
    json: { help: 'print them as one JSON document' },
    html: { value: 'file', help: 'write them as a page that stands alone, with a picture of each of the last 30' },
  },
  examples: [
    ['tsx scripts/history.ts', 'the last deploys'],
    ['tsx scripts/history.ts --html deploys.html avril', 'those of an app, with pictures'],
  ] as [string, string][],
}

await main(command, async (options, [repository]) => {
  const { appFor, openStack } = await import('../lib/docker/stack.ts')
  const { readHistory } = await import('../lib/deploy/history.ts')
  const { readTimeline } = await import('../lib/deploy/timeline.ts')
  const stack = await openStack()
  const all = readHistory()
  // An app that was removed since has a history too.
  if (repository !== undefined && !all.some(entry => entry.repository === repository)) appFor(stack, repository)
  const entries = all
    .filter(entry => repository === undefined || entry.repository === repository)
    .slice(-Number(options.last ?? 20))
  if (options.html !== undefined) {
    const { historyPage } = await import('../lib/cli/history_page.ts')
    const { replaceFile } = await import('../lib/system/files.ts')
    const { say } = await import('../lib/system/progress.ts')
    const file = resolve(options.html)
    replaceFile(
      file,
      historyPage(
        stack.project,
        entries.map(entry => ({ entry, timeline: readTimeline(entry) })),
      ),
    )
    say.done(`${file} has ${entries.length} deploys`)
  }
  if (options.json) return print(JSON.stringify(entries))
  if (options.html !== undefined) return
  const { historyText } = await import('../lib/cli/history_report.ts')
  print(historyText(entries))
})
