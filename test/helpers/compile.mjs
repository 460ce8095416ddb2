// compile.mjs FOLDER [OTHER]: puts what Node itself can run beside each script of a site and each helper of its tests, or to the same places in another folder. It is made by
// the esbuild of tsx, as tsx does at each start, which takes more of a processor than most scripts; the tests start thousands. What is about tsx itself starts tsx.
// A script is one file: to find, read and link a hundred modules takes longer than to run them. All else is lib/x.js beside lib/x.ts.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'

const [folder, other = folder] = process.argv.slice(2).map(word => resolve(word))
const { build } = createRequire(createRequire(import.meta.url).resolve('tsx'))('esbuild')

const filesIn = name =>
  readdirSync(join(folder, name), { recursive: true })
    .filter(file => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map(file => join(folder, name, file))

const scripts = join(folder, 'scripts')
const common = { write: false, format: 'esm', target: 'node20', charset: 'utf8', keepNames: true }
const bundle = { ...common, bundle: true, platform: 'node', minifyWhitespace: true }
// What was written for `require` finds it.
const banner = {
  js: "import { createRequire as createHere } from 'node:module'; const require = createHere(import.meta.url);",
}

const inOneFile = {
  name: 'in one file',
  setup({ onLoad, onResolve }) {
    // What reads files beside itself looks for them from scripts/.
    onLoad({ filter: /\/lib\/.*\.ts$/ }, ({ path }) => {
      const here = JSON.stringify(`${relative(scripts, dirname(path))}/.`)
      const place = `decodeURIComponent(new URL(${here}, import.meta.url).pathname)`
      return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.dirname', place), loader: 'ts' }
    })
    // The largest by far, and few need it: a file of its own.
    onResolve({ filter: /^@aws-sdk\/client-s3$/ }, () => ({ path: './client_s3.js', external: true }))
  },
}

const entries = filesIn('scripts')
const built = await Promise.all([
  build({ ...bundle, banner, entryPoints: entries, outdir: scripts, plugins: [inOneFile] }),
  build({
    ...bundle,
    banner,
    entryPoints: { client_s3: '@aws-sdk/client-s3' },
    // As ES modules: who imports it asks for names.
    mainFields: ['module', 'main'],
    outdir: scripts,
    absWorkingDir: folder,
  }),
  build({ ...common, entryPoints: ['lib', 'test'].flatMap(filesIn), outdir: folder, outbase: folder }),
])
const isScript = path => entries.some(entry => basename(entry, '.ts') === basename(path, '.js'))
for (const [index, { outputFiles }] of built.entries())
  for (const { path, text } of outputFiles) {
    const place = join(other, relative(folder, path))
    mkdirSync(dirname(place), { recursive: true })
    const code = text.replaceAll(/\b(from |import |import\()"(\.\.?\/[^"]*)\.ts"/g, '$1"$2.js"')
    // A script knows its name from how it was started.
    const name = index === 0 && isScript(path) ? "process.argv[1] = process.argv[1].replace(/js$/, 'ts');\n" : ''
    writeFileSync(place, name + code)
  }
