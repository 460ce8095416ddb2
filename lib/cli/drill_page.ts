// The last drill as a page for an auditor, who reads French and has nothing else at hand: what was tried, what came of
// it, and how to do it again.
// Long, since all of the page is here.
import type { MomentDrill } from '../archive/drill_moment.ts'
import type { Drill } from '../backup/drill.ts'
import type { AppDrill } from '../backup/drill_apps.ts'
import type { BackupSet } from '../backup/sets.ts'
import { DRILL_LABEL } from '../docker/stack.ts'
import { momentText } from '../system/site_time.ts'
import { escaped, pageOf } from './page.ts'

/** How many drills the page lists. */
const LAST = 12

const STYLE = `
h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; border-top: 1px solid #d1d9e0; padding-top: 1rem }
table { border-collapse: collapse } td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums } th { font-weight: 600 }
pre { background: #f6f8fa; padding: .6rem; overflow-x: auto; white-space: pre-wrap }
code { font-size: .95em } .small { color: #59636e; font-size: .85rem }`

/** A cell: a text, or a number, which stands at the right. */
type Cell = string | number

const number = (value: number) => value.toLocaleString('fr-FR')
const seconds = (value: number) => `${value.toLocaleString('fr-FR', { maximumFractionDigits: 1 })} s`
const timeText = (time: string) => momentText(new Date(Math.floor(Date.parse(time) / 1000) * 1000))
const many = (count: number, one: string, several = `${one}s`) => `${number(count)} ${count < 2 ? one : several}`

const cell = (value: Cell, tag = 'td') =>
  typeof value === 'number'
    ? `<${tag} class="number">${escaped(number(value))}</${tag}>`
    : `<${tag}>${escaped(value)}</${tag}>`

const table = (heads: string[], rows: Cell[][]) => {
  const head = heads.length === 0 ? '' : `<tr>${heads.map(it => cell(it, 'th')).join('')}</tr>`
  return `<table>${head}${rows.map(row => `<tr>${row.map(it => cell(it)).join('')}</tr>`).join('\n')}</table>`
}

const section = (title: string, ...parts: string[]) => `<h2>${escaped(title)}</h2>\n${parts.join('\n')}`
const paragraph = (text: string, mark = '') => `<p${mark ? ` class="${mark}"` : ''}>${escaped(text)}</p>`

const STEPS: Record<string, string> = {
  server: 'démarrer un serveur vide',
  restore: 'rétablir la base',
  compare: 'compter et comparer les lignes',
  migrate: 'exécuter les migrations de l’application',
  app: 'démarrer l’application et demander ses pages',
}

const SKIPPED = {
  label: `non démarrée : son label ${DRILL_LABEL} vaut « no » (elle ne démarre pas sans l’extérieur)`,
  'not live': 'non démarrée : aucune instance n’est en service sur ce serveur',
}

/** "✓ en 8,2 s : / a répondu 200" */
const appText = ({ skipped, seconds: spent = 0, answers = [] }: AppDrill) =>
  skipped === undefined
    ? `✓ saine et à l’écoute en ${seconds(spent)} : ` +
      answers.map(({ path, status }) => `${path} a répondu ${status}`).join(', ')
    : SKIPPED[skipped]

const appsPart = ({ apps, result }: Drill) => {
  if (apps === undefined && result === 'failed') return paragraph('L’essai n’est pas allé jusqu’à l’application.')
  if (apps === undefined || apps.length === 0) return paragraph('Aucune application n’a été démarrée.')
  return table(
    ['application', 'version (image)', 'résultat'],
    apps.map(app => [app.service, app.image ?? '—', appText(app)]),
  )
}

const appsShort = ({ apps = [] }: Drill) =>
  apps.map(it => `${it.service} ${it.skipped === undefined ? '✓' : '—'}`).join(', ')

const resultOf = ({ result, lost }: Drill) => {
  if (result === 'failed') return '✗ échec'
  return lost ? '✗ incomplet' : '✓ rétabli'
}

const verdictOf = ({ result, lost = [], apps = [] }: Drill) => {
  if (result === 'failed') return paragraph('✗ L’essai a échoué.', 'bad')
  const isTried = apps.some(({ skipped }) => skipped === undefined)
  const app = isTried ? ', et l’application y a répondu' : ' ; aucune application n’y a été essayée'
  if (lost.length === 0) return paragraph(`✓ La sauvegarde a été rétablie en entier${app}.`, 'good')
  const objects = many(lost.length, 'objet')
  return paragraph(`✗ Toutes les lignes sont revenues, mais il manque ${objects} : ${lost.join(' ; ')}`, 'bad')
}

const momentPart = (moment: MomentDrill | undefined) => {
  if (!moment) return []
  const { at, time, result, seconds: spent = 0, table: name = 'une table', pages, rows = 0, error = '' } = moment
  const part =
    pages === undefined ? name : `la partie comptée de ${name} (ses ${many(pages, 'première page', 'premières pages')})`
  const good =
    `✓ L’état du ${timeText(at)} a été retrouvé en ${seconds(spent)} ; ${part} y a ses ${many(rows, 'ligne')}, ` +
    'comme noté à cet instant. pg_amcheck a relu chaque table et chaque index : aucun n’est abîmé.'
  return [
    section(
      'Retour à un instant choisi au hasard (archive WAL)',
      paragraph(`Essai du ${timeText(time)}.`, 'small'),
      result === 'recovered' ? paragraph(good, 'good') : paragraph(`✗ L’état du ${timeText(at)} : ${error}`, 'bad'),
    ),
  ]
}

// What a server or an app says may quote a row, and beside an encrypted set nothing of those stands in the clear.
const failurePart = ({ error }: Drill, { set, hide }: DrillRecord) => {
  if (error === undefined) return []
  const isClear = set !== undefined && !set.recipients
  return [section('La cause', paragraph(isClear ? hide(error) : 'Elle est notée sur le serveur : .state/drills.jsonl'))]
}

/** What the page tells of. */
export interface DrillRecord {
  project: string
  /** all of them, oldest first */
  drills: Drill[]
  /** the manifest of the last one's set, if that is still there */
  set: Pick<BackupSet, 'made' | 'database' | 'recipients'> | undefined
  /** the last drill of a moment, where the site has an archive */
  moment: MomentDrill | undefined
  /** takes out of a text what nobody may read who gets the page */
  hide: (text: string) => string
}

/** The page; undefined when there was no drill yet. */
export function drillPage(record: DrillRecord) {
  const { project, drills, set, moment } = record
  const drill = drills.at(-1)
  if (!drill) return undefined
  const tables = Object.entries(set?.database.tables ?? {})
  const facts: Cell[][] = [
    ['essai du', timeText(drill.time)],
    ['jeu de sauvegarde', drill.set],
    ...(set ? [['fait le', timeText(set.made)]] : []),
    ...(set ? [['base', `${set.database.name}, PostgreSQL ${set.database.server}`]] : []),
    ...(set ? [['chiffré', set.recipients ? 'oui' : 'non']] : []),
    ...(drill.image === undefined ? [] : [['rétabli sur', `un serveur jetable et sans réseau, image ${drill.image}`]]),
    ...(drill.seconds === undefined ? [] : [['temps pour retrouver la base', seconds(drill.seconds)]]),
    ...(drill.rows === undefined
      ? []
      : [['comparé', `${many(drill.tables ?? 0, 'table')}, ${many(drill.rows, 'ligne')}`]]),
  ]
  const steps = Object.entries(drill.steps ?? {}).map(([name, spent]) => [STEPS[name] ?? name, seconds(spent)])
  const compared = drill.result === 'restored' ? 'lignes (sauvées, et retrouvées à l’essai)' : 'lignes sauvées'
  const content = [
    verdictOf(drill),
    table([], facts),
    ...failurePart(drill, record),
    section(
      'L’application, sur les données rétablies',
      paragraph(
        'La version en service est démarrée, isolée, sur la base rétablie : elle n’atteint que celle-ci, ni ' +
          'l’extérieur ni les fichiers déposés. Elle doit se dire saine, puis répondre à ses pages.',
        'small',
      ),
      appsPart(drill),
    ),
    ...(steps.length > 0 ? [section('Durée de chaque étape', table([], steps))] : []),
    ...momentPart(moment),
    ...(tables.length > 0 ? [section('Lignes de chaque table', table(['table', compared], tables))] : []),
    section(
      'Les derniers essais',
      table(
        ['date', 'jeu', 'résultat', 'temps', 'lignes', 'application'],
        drills
          .slice(-LAST)
          .toReversed()
          .map(it => [
            timeText(it.time),
            it.set,
            resultOf(it),
            it.seconds === undefined ? '' : seconds(it.seconds),
            it.rows ?? '',
            appsShort(it),
          ]),
      ),
    ),
    section(
      'Refaire cet essai',
      paragraph('Sur le serveur, dans le dossier des scripts ; le site n’en est pas touché :'),
      `<pre>tsx scripts/backup.ts --drill ${escaped(drill.set)}</pre>`,
      ...(set?.recipients
        ? [
            paragraph(
              'Ce jeu est chiffré : dès qu’un plus récent est fait, ajouter --key et le fichier de la clé privée.',
              'small',
            ),
          ]
        : []),
      paragraph(
        'L’essai du dimanche suit la sauvegarde de la nuit (backup.ts --install-cron), et remplace cette page.',
        'small',
      ),
    ),
  ]
  return pageOf('fr', `Essai de restauration : ${project}`, STYLE, content.join('\n'))
}
