// Which release of each app is live, as a file that Compose reads beside docker-compose.yml: so plain `docker compose
// up -d` agrees.
import * as v from 'valibot'
import { Document, parse, Scalar } from 'yaml'
import { baseFiles, GENERATED, releasesFile } from './compose_files.ts'
import { badConfig } from '../system/errors.ts'
import { readIfThere, readOrEmpty, replaceFile } from '../system/files.ts'
import { stateFile } from '../system/state_folder.ts'

/** A release that is live, or about to be. */
export interface Pin {
  image: string
  /** names the rollout that brought it, and is an alias of its instances in the stack's network */
  rollout: string
  network: string
  /** tells whether docker-compose.yml or .env have changed since (App.fingerprint) */
  fingerprint: string
}

type Pins = Readonly<Record<string, Pin>>

const HEAD = `${GENERATED.slice(1)}: the release of each app that is live. Do not edit.
 Compose reads it last (COMPOSE_FILE in .env).
 Without what it says every app runs the image that docker-compose.yml names.`

/** Compose's tag for what docker-compose.yml says and this file takes back. */
const RESET = { tag: '!reset', resolve: () => null }

const service = v.strictObject({
  image: v.string(),
  build: v.null(),
  pull_policy: v.literal('never'),
  labels: v.strictObject({
    'avril.rollout': v.string(),
    // With a letter in front: digits alone would be a number.
    'avril.fingerprint': v.pipe(v.string(), v.startsWith('f')),
  }),
  networks: v.record(v.string(), v.strictObject({ aliases: v.tuple([v.string()]) })),
})
const FORM = v.strictObject({ services: v.record(v.string(), service) })

/** What takes back what docker-compose.yml says. */
export function nothing() {
  const scalar = new Scalar(null)
  scalar.tag = RESET.tag
  return scalar
}

/** A file that Compose reads beside docker-compose.yml; `head` says what it is for. */
export function composeText(content: object, head: string) {
  const document = new Document(content, { aliasDuplicateObjects: false, customTags: [RESET] })
  document.commentBefore = head
  return document.toString({ lineWidth: 0 })
}

/** The file that pins these releases. */
export function renderPins(pins: Pins) {
  // Without `build: !reset null` Compose would build a missing image from the working tree and give it the release's
  // name.
  const entries = Object.entries(pins).map(([name, { image, rollout, network, fingerprint }]) => [
    name,
    {
      image,
      build: nothing(),
      pull_policy: 'never',
      labels: { 'avril.rollout': rollout, 'avril.fingerprint': `f${fingerprint}` },
      networks: { [network]: { aliases: [rollout] } },
    },
  ])
  return composeText({ services: Object.fromEntries(entries) }, HEAD)
}

const read = (text: string): unknown => {
  try {
    return parse(text, { customTags: [RESET] })
  } catch {
    return undefined
  }
}

/** Reads what renderPins wrote. Throws (78) for anything else, since it would be overwritten. */
export function parsePins(text: string): Pins {
  if (text === '') return {}
  const { success, output } = v.safeParse(FORM, read(text))
  if (!success)
    throw badConfig(
      'docker-compose.releases.yml was not written by these scripts, or was edited',
      'move your own changes to docker-compose.override.yml, and remove the file',
    )
  return Object.fromEntries(
    Object.entries(output.services).map(([name, { image, labels, networks }]) => [
      name,
      {
        image,
        rollout: labels['avril.rollout'],
        network: Object.keys(networks)[0] ?? 'default',
        fingerprint: labels['avril.fingerprint'].slice(1),
      },
    ]),
  )
}

export function readPins(): Pins {
  return parsePins(readOrEmpty(releasesFile()))
}

export function publishPins(pins: Pins) {
  return replaceFile(releasesFile(), renderPins(pins))
}

/** The file with which a release is started before it is live. */
export function NEXT_PINS_FILE() {
  return stateFile('next.yml')
}

/** The file that pins the live releases, when there is one. */
export function pinFiles() {
  return readIfThere(releasesFile()) === undefined ? [] : [releasesFile()]
}

/** The Compose files of the stack as it is now. */
export function composeFiles() {
  return [...baseFiles(), ...pinFiles()]
}
