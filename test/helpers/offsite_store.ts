// offsite_store.ts FILE KEY PART: stores a file off the site, in parts of so many bytes.
import { loadSettings } from '../../lib/config.ts'
import { main } from '../../lib/main.ts'

const command = {
  usage: 'offsite_store.ts',
  summary: '',
  words: [3, 3] as [number, number],
  options: {},
  examples: [] as [string, string][],
}

await main(command, async (_, [file = '', key = '', part]) => {
  const { digest } = await import('../../lib/large_files.ts')
  const { withOffsite } = await import('../../lib/backup/offsite.ts')
  const { store } = await import('../../lib/backup/offsite_store.ts')
  const { sha256 } = await digest(file)
  await withOffsite(loadSettings(), site =>
    store(site, `${site.prefix}/${key}`, file, sha256, { partSize: Number(part) }),
  )
})
