// A release in the words of the people who made it.
import type { App } from '../docker/stack.ts'
import { age } from '../system/format.ts'
import { describe } from './plan.ts'

export function short(revision: string) {
  return revision.slice(0, 12)
}
export function tagOf(image: string | null | undefined) {
  return image?.split(':').at(-1) ?? 'nothing'
}

/** "1a2b3c4d5e6f, 3 days old: Fix the form" */
export async function releaseText(app: App, revision: string | undefined) {
  const commit = await describe(app.folder, revision)
  if (!commit) return 'built by Compose, commit unknown'
  return `${short(commit.sha)}${commit.date ? `, ${age(new Date(commit.date))} old: ${commit.subject}` : ''}`
}
