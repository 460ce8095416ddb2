// How long nobody answers on nginx's port of this machine, while it is started again.
import { placeOf } from '../status/site_address.ts'
import { loadSettings } from '../system/settings.ts'
import { sleep } from '../system/signals.ts'

/** milliseconds between two questions, and what an answer may take */
const [PAUSE, PATIENCE] = [100, 1000]

const answers = async (url: string) => {
  try {
    await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(PATIENCE) })
    return true
  } catch {
    return false
  }
}

/** The seconds in which nobody answers while work is done. Throws what the work throws. */
export async function outageDuring(work: () => Promise<unknown>) {
  const settings = loadSettings()
  const url = `http://${placeOf(settings).here.address}:${settings.NGINX_PORT}/healthcheck`
  const over = new AbortController()
  let [silent, last] = [0, performance.now()]
  const watch = async () => {
    while (!over.signal.aborted) {
      const isUp = await answers(url)
      const now = performance.now()
      if (!isUp) silent += now - last
      last = now
      await sleep(PAUSE)
    }
  }
  const watching = watch()
  try {
    await work()
  } finally {
    over.abort()
    await watching
  }
  return silent / 1000
}
