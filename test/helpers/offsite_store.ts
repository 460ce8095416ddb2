// offsite_store.ts FILE KEY PART: stores a file off the site, in parts of so many bytes.
import { loadSettings } from '../../lib/system/settings.ts'
import { main } from '../../lib/cli/main.ts'

const command = {
  usage: 'offsite_store.ts',
  summary: '',
  words: [3, 3] as [number, number],
  options: {},
  examples: [] as [string, string][],
}

await main(command, async (_, [file = '', key = '', part]) => {
  const { digest } = await import('../../lib/system/large_files.ts')
  const { openOffsite } = await import('../../lib/backup/offsite/layout.ts')
  const { store } = await import('../../lib/backup/offsite/upload.ts')
  const { sha256 } = await digest(file)
  const site = await openOffsite(loadSettings())
  try {
    await store(site, `${site.prefix}/${key}`, file, sha256, { partSize: Number(part) })
  } finally {
    await site.dispose()
  }
})
