// Prints its arguments as JSON, a word for people, and ends with the number in CODE.
process.stderr.write('for people\n')
process.stdout.write(JSON.stringify(process.argv.slice(2)))
process.exitCode = 7
