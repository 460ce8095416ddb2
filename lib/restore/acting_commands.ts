// The commands of a dump that do more than define what the database holds. A dump is text that pg_restore sends on:
// whoever made it can have put anything there.

const NAME_PART = String.raw`(?:[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|"(?:[^"]|"")*")`
const TOKEN = new RegExp(
  [
    String.raw`(?<space>\s+|--[^\n]*)`,
    // A backslash is a part of E'…' alone.
    String.raw`(?<text>[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|\$(?<tag>(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?\$\k<tag>\$)`,
    `(?<word>${NAME_PART})`,
    String.raw`\d+|/\*|[^]`,
  ].join('|'),
  'gy',
)

/** The commands in a text, each in one line, and each text in it as ''. */
export function commandsIn(sql: string) {
  const commands = ['']
  for (const { 0: token, groups = {} } of sql.matchAll(TOKEN)) {
    if (token === ';') commands.push('')
    else if (groups.space !== undefined) commands[commands.length - 1] += ' '
    else commands[commands.length - 1] += groups.text === undefined ? token : "''"
  }
  return commands.map(command => command.replaceAll(/\s+/g, ' ').trim()).filter(Boolean)
}

const NAME = String.raw`${NAME_PART}(?:\.${NAME_PART})*`
// In parentheses, where nothing is computed.
const CONSTANTS = String.raw`\((?:''|-?\d+(?:\.\d+)?|true|false|NULL|::${NAME}(?:\[\])?|[, ])*\)`
const SETTINGS =
  'statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|client_encoding|' +
  'check_function_bodies|xmloption|client_min_messages|row_security|' +
  'default_tablespace|default_table_access_method|default_with_oids|search_path'
const FUNCTIONS =
  'set_config|setval|pg_is_in_recovery|lo_create|lo_unlink|pg_restore_relation_stats|pg_restore_attribute_stats'

// As pg_dump and pg_restore write them. What is computed meanwhile is found in what comes to be; what belongs to the
// server as a whole is in no dump of a database.
const DEFINING = new RegExp(
  `^(?:${[
    String.raw`CREATE (?!(?:EVENT TRIGGER|ROLE|USER(?! MAPPING)|GROUP|DATABASE|TABLESPACE|SUBSCRIPTION)\b).*`,
    String.raw`ALTER (?!(?:SYSTEM|ROLE|USER(?! MAPPING)|GROUP|DATABASE|TABLESPACE|SUBSCRIPTION)\b).*`,
    'COMMENT ON .*',
    'SECURITY LABEL .*',
    '(?:GRANT|REVOKE) .* ON .*',
    `REFRESH MATERIALIZED VIEW ${NAME}`,
    `TRUNCATE TABLE (?:ONLY )?${NAME}`,
    String.raw`COPY ${NAME} (?:\(.*\) )?FROM stdin`,
    'BEGIN|COMMIT|START TRANSACTION',
    `SET SESSION AUTHORIZATION (?:DEFAULT|''|${NAME})|RESET SESSION AUTHORIZATION`,
    String.raw`SET (?:${SETTINGS}) = (?:''|\w+)`,
    "SET standard_conforming_strings = (?:''|on)",
    String.raw`SELECT (?:\* FROM )?pg_catalog\.(?:${FUNCTIONS}) ?${CONSTANTS}`,
    // libpq's own, before it writes large objects.
    String.raw`select proname, oid from pg_catalog\.pg_proc where proname in \([', ]*\) and pronamespace = \(select oid from pg_catalog\.pg_namespace where nspname = ''\)`,
  ].join('|')})$`,
  'u',
)

const withoutParentheses = (command: string): string => {
  const less = command.replaceAll(/\([^()]*\)/g, '')
  return less === command ? command : withoutParentheses(less)
}

// A comment of the other kind could hide where a text begins; pg_dump writes none.
const isDefining = (command: string) =>
  DEFINING.test(command) &&
  !command.includes('/*') &&
  !/^CREATE (?:[A-Z]+ )*TABLE .* AS\b/u.test(withoutParentheses(command.replaceAll(/"(?:[^"]|"")*"/g, '""')))

/** Those of a text that pg_restore sent. */
export function actingCommands(sql: string) {
  return commandsIn(sql).filter(command => !isDefining(command))
}
