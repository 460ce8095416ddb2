-- Makes the empty database that the column "text" of the table "given" describes (save_database.sql). It is data: every
-- statement is built by the server.
select format('create database %I template template0 owner %I encoding %L locale_provider %s lc_collate %L lc_ctype %L', name, owner, encoding, provider, "collate", ctype)
  || case provider when 'icu' then format(' icu_locale %L', locale) when 'builtin' then format(' builtin_locale %L', locale) else '' end
  || coalesce(' icu_rules ' || quote_literal(rules), '')
from given, json_to_record(text::json) as it(name text, owner text, encoding text, provider text, "collate" text, ctype text, locale text, rules text) \gexec
