// make_base.ts full|incremental: a base backup of the site, now; prints its name.
import { makeBase } from '../../lib/archive/make_base.ts'
import { loadSettings } from '../../lib/system/settings.ts'
import { takeDataLock } from '../../lib/system/work_lock.ts'

const work = await takeDataLock('making a base backup', true)
try {
  const { name } = await makeBase(loadSettings(), work, process.argv[2] === 'full' ? 'full' : 'incremental')
  process.stdout.write(`${name}\n`)
} finally {
  await work.dispose()
}
