// Pieces of the WAL become segments again.
import { closeSync, existsSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { segmentName, segmentStart } from './positions.ts'

const writeInto = (folder: string, name: string, segment: number, bytes: Uint8Array, offset: number) => {
  const path = join(folder, name)
  const file = openSync(path, existsSync(path) ? 'r+' : 'wx', 0o644)
  try {
    writeSync(file, bytes, 0, bytes.length, offset)
    // What is not written yet is zeros.
    ftruncateSync(file, segment)
  } finally {
    closeSync(file)
  }
}

interface Place {
  timeline: number
  /** where a segment begins */
  start: number
  /** bytes of a segment */
  segment: number
}

/** Writes WAL that begins so as segments into a folder; the last one is filled up with zeros. Gives where it ends. */
export async function writeSegments(
  wal: AsyncIterable<Uint8Array>,
  { timeline, start, segment }: Place,
  folder: string,
) {
  let position = start
  for await (const chunk of wal)
    for (let rest = chunk; rest.length > 0;) {
      const offset = position - segmentStart(position, segment)
      const part = rest.subarray(0, segment - offset)
      writeInto(folder, segmentName(timeline, position, segment), segment, part, offset)
      position += part.length
      rest = rest.subarray(part.length)
    }
  return position
}
