// Words for a shell that is not here.
/** A word for a POSIX shell. ssh sends a command as one text, which the login shell of the other side takes apart. */
export function quoteWord(word: string) {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}
