// What each part of the benchmark is: it measures one thing on the site, and says what came out.
import type { Outcome } from './figures.ts'
import type { Site } from './site.ts'

export interface Settings {
  /** how many in a row */
  rollouts: number
  switches: number
  /** requests a second */
  rate: number
  /** where the picture goes; undefined draws none */
  picture: string | undefined
}

export type Part = (site: Site, settings: Settings) => Promise<Outcome>
