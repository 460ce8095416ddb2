// What Docker and Compose answer has the form that the code counts on, or it is said where not: by versions to come, or
// by what calls itself docker.
import { Failure } from '../system/errors.ts'
import { readJson, type Schema } from '../system/schema.ts'

/** Reads an answer in JSON. Throws a Failure that says in which field it is not as it should be. */
export function readAnswer<T>(schema: Schema<T>, text: string, what: string): T {
  const { value, damage } = readJson(schema, text)
  if (damage === undefined) return value
  throw new Failure(`what ${what} answered cannot be understood: ${damage}`, {
    hint: 'is it a version of Docker and Compose that these scripts know? docker version; docker compose version',
  })
}
