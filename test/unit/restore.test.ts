import assert from 'node:assert/strict'
import { test } from 'node:test'
import { databaseStamp, databaseName, sinceOf } from '../../lib/postgres/databases.ts'
import { rolesIn } from '../../lib/restore/check_roles.ts'

for (const [line, roles] of [
  ['-- Name: people; Type: TABLE; Schema: app; Owner: joe doe', ['joe doe']],
  ['-- Data for Name: people; Type: TABLE DATA; Schema: app; Owner: joe', ['joe']],
  ['-- Name: EXTENSION postgis; Type: COMMENT; Schema: -; Owner: ', []],
  ['-- Name: people; Type: TABLE; Schema: app; Owner: -', []],
  ['GRANT SELECT ON TABLE app.people TO reader;', ['reader']],
  ['GRANT SELECT(a),UPDATE(b) ON TABLE app.people TO "Odd ""role" WITH GRANT OPTION;', ['Odd "role']],
  ['GRANT USAGE ON SCHEMA app TO PUBLIC;', []],
  ['ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA app GRANT SELECT ON TABLES TO reader;', ['owner', 'reader']],
  ['SET SESSION AUTHORIZATION grantor;', ['grantor']],
  ['CREATE POLICY p ON app.people FOR SELECT TO reader, "R 2" USING ((who = CURRENT_USER));', ['R 2', 'reader']],
  ['CREATE POLICY p ON app.people USING ((a = ANY (x TO y)));', []],
  ['CREATE POLICY p ON app.people TO reader WITH CHECK (true);', ['reader']],
  ['CREATE POLICY p ON app.people TO reader', ['reader']],
] as const) {
  void test(`roles in: ${line}`, () => assert.deepEqual(rolesIn([line]), roles))
}

void test('the name of a database beside the live one tells since when', () => {
  const time = new Date('2026-11-22T03:00:05.678Z')
  const name = databaseName('avril', 'before', databaseStamp(time))
  assert.equal(name, 'avril_before_20261122t030005z')
  assert.equal(sinceOf('avril', 'before', name)?.toISOString(), '2026-11-22T03:00:05.000Z')
})

for (const name of [
  'avril_before_20269922t030005z',
  'avril_before_20261122T030005Z',
  'avril_before_20261122t030005z_mine',
  'avril_beforehand',
  'avril_before_',
  'xavril_before_20261122t030005z',
  'avril_restoring_20261122t030005z',
  'avril2_before_20261122t030005z',
  'avril',
]) {
  void test(`no former database: ${name}`, () => assert.equal(sinceOf('avril', 'before', name), undefined))
}

void test('a name that PostgreSQL would cut is refused', () =>
  assert.throws(() => databaseName('a'.repeat(40), 'before', databaseStamp(new Date())), /is too long: no name/))
