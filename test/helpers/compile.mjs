// compile.mjs FOLDER: puts what Node itself can run beside each script of a site and each helper of its tests: lib/x.js beside lib/x.ts. It is made by the esbuild of tsx,
// as tsx does at each start, which takes more of a processor than most scripts; the tests start thousands. What is about tsx itself starts tsx.
import { readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [folder = '.'] = process.argv.slice(2)
const { buildSync } = createRequire(createRequire(import.meta.url).resolve('tsx'))('esbuild')

const { outputFiles } = buildSync({
  entryPoints: ['scripts', 'lib', 'test'].flatMap(name =>
    readdirSync(join(folder, name), { recursive: true })
      .filter(file => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map(file => join(folder, name, file)),
  ),
  outdir: folder,
  outbase: folder,
  write: false,
  format: 'esm',
  target: 'node20',
  charset: 'utf8',
  keepNames: true,
})
for (const { path, text } of outputFiles) {
  const code = text.replaceAll(/\b(from |import |import\()"(\.\.?\/[^"]*)\.ts"/g, '$1"$2.js"')
  // A script knows its name from how it was started.
  const name = path.startsWith(join(folder, 'scripts'))
    ? "process.argv[1] = process.argv[1].replace(/js$/, 'ts');\n"
    : ''
  writeFileSync(path, name + code)
}
