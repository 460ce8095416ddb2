// What is told while something is done. Features tell it here; whoever runs them hands in a reporter, which shows it.

export interface Reporter {
  /** a text as it is */
  line: (text: string) => void
  /** something begins */
  step: (text: string) => void
  /** something has ended as it should */
  done: (text: string) => void
  /** something has not */
  bad: (text: string) => void
  warn: (text: string) => void
  /** what stands below a step */
  detail: (text: string) => void
  /** Shows how many bytes have come, of about `estimate`, until `end` is called. */
  transfer: (bytes: () => number, estimate: number | undefined) => { end: () => void }
}

const nothing = () => {}

/** Shows nothing. */
export const SILENT: Reporter = {
  line: nothing,
  step: nothing,
  done: nothing,
  bad: nothing,
  warn: nothing,
  detail: nothing,
  transfer: () => ({ end: nothing }),
}

let reporter = SILENT
let told = performance.now()

/** Hands in the reporter; gives the one before it. */
export function reportTo(it: Reporter) {
  const before = reporter
  reporter = it
  return before
}

/** For how many milliseconds nothing was told. */
export function silence() {
  return performance.now() - told
}

const tell = (how: Exclude<keyof Reporter, 'transfer'>) => (text: string) => {
  told = performance.now()
  reporter[how](text)
}

/** What a feature tells. */
export const say: Reporter = {
  line: tell('line'),
  step: tell('step'),
  done: tell('done'),
  bad: tell('bad'),
  warn: tell('warn'),
  detail: tell('detail'),
  transfer: (bytes, estimate) => reporter.transfer(bytes, estimate),
}
