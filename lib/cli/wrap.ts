// Text in the width of a terminal.

/** Lines of whole words, none longer than `width` characters where its words allow that. */
export function wrap(text: string, width: number) {
  const lines = ['']
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)!
    if (last === '') lines[lines.length - 1] = word
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/**
 * Lines of which those that are too long go on below the text that begins in the column `hang`. Not for what people
 * copy: a command on two lines is two commands.
 */
export function fold(lines: string[], hang: number, width = Infinity) {
  return lines.map(line => {
    if (line.length <= width) return line
    return line.slice(0, hang) + wrap(line.slice(hang), width - hang).join(`\n${' '.repeat(hang)}`)
  })
}
