// What a process that ships remembers.
import type { Offsite } from './offsite_listing.ts'
import type { Positions } from './ship_wal.ts'

/** What a process keeps from one pass to the next. */
export interface ShipMemory {
  positions: Positions
  offsite: Offsite | undefined
  /** the server's WAL goes on from what is in BACKUP_DIR */
  isKnown: boolean
  /** what is written anew there was, by this process, which lives for an hour */
  isIndexed: boolean
  /** a base backup that is due is made, unless one of this process has failed */
  mayMakeBase: boolean
  /** what a table has was noted */
  isNoted: boolean
}

/** At the start of a process nothing is known. */
export function newShipMemory(): ShipMemory {
  return {
    positions: new Map(),
    offsite: undefined,
    isIndexed: false,
    isKnown: false,
    mayMakeBase: true,
    isNoted: false,
  }
}
