// The one place where a process is changed: no module does anything when it is imported.
import { setFlagsFromString } from 'node:v8'
import { forgetInherited } from './environment.ts'
import { installPackages } from './packages.ts'

/** Called once by each command, before it imports what needs a package. Throws a Failure when npm fails. */
export function prepareProcess() {
  forgetInherited()
  // V8 would let the garbage of streams grow before it collects it: some 40 MB more at the peak of an encrypted backup,
  // for a tenth of its time. As an option of node it would have to stand before tsx. It is read at each collection, so
  // that it works from here on too.
  setFlagsFromString('--optimize-for-size')
  installPackages()
}
