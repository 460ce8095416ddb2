// Who came to personal data, when and from where: a line of JSON each, in a file that is only ever added to. The
// system's log gets it too, since who may write the file could change it.
import { detailsOf, Failure, messageOf } from './errors.ts'
import { appendLine } from './state_folder.ts'
import { person, who } from './identity.ts'
import { launch } from './run.ts'

/**
 * Appends a line, before what it tells of is done. Throws a Failure when it cannot: nobody comes to the data without a
 * trace.
 */
export function audit(what: string, details: Record<string, unknown> = {}) {
  const entry = { time: new Date().toISOString(), who: who(), from: person().from, what, ...details }
  launch(['logger', '--tag', 'avril', '--priority', 'authpriv.notice', '--', JSON.stringify(entry)])
  try {
    appendLine('audit.jsonl', entry)
  } catch (error) {
    throw new Failure(
      `no ${what} without a line in the audit log, and that cannot be written: ${messageOf(error)}`,
      detailsOf(error),
    )
  }
}
