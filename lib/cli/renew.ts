// What cron does about the certificate, in words.
import { renewCertificate } from '../setup/renewal.ts'
import { counted } from '../system/format.ts'
import { say } from '../system/progress.ts'
import { loadSettings } from '../system/settings.ts'
import { print } from './terminal.ts'

/** Renews the certificate if it is due, and says what came of it. Throws a Failure as renewCertificate does. */
export async function renew({ json }: { json: boolean }) {
  const settings = loadSettings()
  const { isNew, reloaded, life } = await renewCertificate(settings)
  const how = reloaded ? 'after a reload' : 'without a reload'
  const what = isNew ? `a new certificate is served, ${how}` : 'the certificate is not due yet'
  say.done(`${what}; it lasts until ${life.until} (${counted(life.days, 'day')})`)
  if (json) print(JSON.stringify({ new: isNew, reloaded, ...life }))
  return 0
}
