// What must be closed again whatever happens: a lock, a server, a folder. `await using` would do the same, and Node has
// it from 24 on.

/** Something that is to be closed, released or removed when it is needed no more; safe to do twice. */
export interface Disposable {
  dispose: () => Promise<void> | void
}

/**
 * What is going to be done: nothing is replaced before it is executed, and what it needs (locks, folders, a server) is
 * held until it is disposed of.
 */
export interface Planned<Plan, Result> extends Disposable {
  plan: Plan
  execute: () => Promise<Result>
}

/** Holds what was opened, and disposes of it in the end: the last first, each of them, also when another one fails. */
export class Scope implements Disposable {
  readonly #held: Disposable[] = []

  /** Takes something in, and gives it back. */
  use<Held extends Disposable>(held: Held): Held {
    this.#held.push(held)
    return held
  }

  /** Throws what the first of them throws that fails, when all have been disposed of. */
  async dispose() {
    const errors: unknown[] = []
    for (let held = this.#held.pop(); held; held = this.#held.pop())
      try {
        await held.dispose()
      } catch (error) {
        errors.push(error)
      }
    if (errors.length > 0) throw errors[0]
  }
}
