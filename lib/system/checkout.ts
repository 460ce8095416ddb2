import { join } from 'node:path'

/** The checkout that these scripts stand in, whatever the working folder. */
export const root = join(import.meta.dirname, '..', '..')
