import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actingCommands } from '../../lib/restore/acting_commands.ts'

// What a hostile dump may hold: the text that pg_restore sends, and what is told of it.
const HOSTILE: [sql: string, told: string[]][] = [
  ['DO $$ begin perform 1; end $$;', ["DO ''"]],
  ["COPY (select 1) TO PROGRAM 'id';", ["COPY (select 1) TO PROGRAM ''"]],
  ["COPY public.a FROM PROGRAM 'id';", ["COPY public.a FROM PROGRAM ''"]],
  ['COPY public.a (x) FROM stdin;\nDO $$$$;', ["DO ''"]],
  ['CREATE TABLE public.a (x int);\nselect evil();', ['select evil()']],
  ["SELECT pg_catalog.setval('public.s', evil(), true);", ["SELECT pg_catalog.setval('', evil(), true)"]],
  ["SELECT pg_catalog.set_config('search_path', evil(), false);", ["SELECT pg_catalog.set_config('', evil(), false)"]],
  ['CREATE TABLE public.a AS SELECT public.evil();', ['CREATE TABLE public.a AS SELECT public.evil()']],
  ['CREATE TABLE "(" AS SELECT evil() AS ")";', ['CREATE TABLE "(" AS SELECT evil() AS ")"']],
  ['create table public.a as select 1;', ['create table public.a as select 1']],
  [
    'CREATE UNLOGGED TABLE public.a (x) WITH (fillfactor=10) AS SELECT public.evil();',
    ['CREATE UNLOGGED TABLE public.a (x) WITH (fillfactor=10) AS SELECT public.evil()'],
  ],
  ["ALTER SYSTEM SET archive_command = 'id';", ["ALTER SYSTEM SET archive_command = ''"]],
  ['ALTER ROLE avril SUPERUSER;', ['ALTER ROLE avril SUPERUSER']],
  ['GRANT pg_execute_server_program TO phoenix;', ['GRANT pg_execute_server_program TO phoenix']],
  ["SET session_preload_libraries = 'x';", ["SET session_preload_libraries = ''"]],
  ['SET log_statement = none;', ['SET log_statement = none']],
  ["SET application_name = 'psql';", ["SET application_name = ''"]],
  [
    "SET standard_conforming_strings = off;\nSELECT '\\'; DO $$$$; --';",
    ['SET standard_conforming_strings = off', "SELECT ''", "DO ''"],
  ],
  ["COMMENT ON TABLE a IS 'x'; /* /* */ 'x */ DO $$$$; --'", ["/* /* */ ''"]],
  ['COMMENT ON TABLE a IS /* x */ NULL;', ['COMMENT ON TABLE a IS /* x */ NULL']],
  ["COMMENT ON TABLE a IS E'\\'; DO x; --';\nDROP TABLE b;", ['DROP TABLE b']],
  ['COMMENT ON TABLE "a;""\'" IS \'x\';DELETE FROM b', ['DELETE FROM b']],
  ['CREATE FUNCTION a$$() RETURNS int LANGUAGE sql AS $x$ ; $$ $x$; LOAD $$x$$;', ["LOAD ''"]],
  [
    'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();',
    ['CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f()'],
  ],
  ["CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p;", ["CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p"]],
  ["INSERT INTO a VALUES ('unclosed", ["INSERT INTO a VALUES ('unclosed"]],
  ["COMMENT ON TABLE a IS 'x' DO 'unclosed; DO $$$$", ["DO ''"]],
]

for (const [sql, told] of HOSTILE)
  void test(`told: ${sql.replaceAll('\n', ' ')}`, () => assert.deepEqual(actingCommands(sql), told))

const ORDINARY = [
  '--\n-- Name: people; Type: TABLE; Schema: app; Owner: avril\n--\n\n\n',
  "SET default_tablespace = '';",
  "SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET check_function_bodies = false;",
  "SELECT pg_catalog.set_config('search_path', '', false);",
  'CREATE TABLE app."Odd ""name" (\n    "a column" integer NOT NULL,\n    more integer GENERATED ALWAYS AS ((id + ' +
    '1)) STORED\n)\nPARTITION BY RANGE (at);',
  'CREATE MATERIALIZED VIEW app.m AS\n SELECT count(*) AS n FROM app.people\n  WITH NO DATA;',
  'CREATE FUNCTION app.touch() RETURNS trigger\n    LANGUAGE plpgsql\n    AS $$\nbegin\n  new.made := now();\n  ' +
    'return new;\nend $$;',
  'COPY app.people (id, "a b", c) FROM stdin;',
  'COPY app.nothing  FROM stdin;',
  "ALTER TABLE ONLY app.people ALTER COLUMN id SET DEFAULT nextval('app.s'::regclass);",
  "ALTER USER MAPPING FOR a SERVER b OPTIONS (x 'y');",
  "SELECT pg_catalog.setval('app.people_id_seq', 20999, true);",
  "SELECT * FROM pg_catalog.pg_restore_relation_stats(\n\t'version', '180001'::integer,\n\t'relation', 'x',\n" +
    "\t'relpages', '1'::integer,\n\t'reltuples', '-1'::real);",
  'REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT SELECT(notes) ON TABLE app.people TO "Odd ""role";',
  'SET SESSION AUTHORIZATION avril;\nGRANT SELECT ON TABLE a TO b WITH GRANT OPTION;\nRESET SESSION AUTHORIZATION;',
  'REFRESH MATERIALIZED VIEW app.m;',
  'TRUNCATE TABLE ONLY app.people;',
]

for (const sql of ORDINARY)
  void test(`not told: ${sql.replaceAll('\n', ' ').trim()}`, () => assert.deepEqual(actingCommands(sql), []))
