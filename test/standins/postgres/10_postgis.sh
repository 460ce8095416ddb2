#!/bin/bash
# The same extensions in the same two databases as the official image, because a dump holds them. Made once: to copy
# them is quicker.
set -euo pipefail

psql -c 'create database template_postgis is_template true'
psql -q -v ON_ERROR_STOP=1 --dbname template_postgis <<'SQL'
create extension if not exists postgis;
create extension if not exists postgis_topology;
\c
create extension if not exists fuzzystrmatch;
create extension if not exists postgis_tiger_geocoder;
SQL
psql -q -v ON_ERROR_STOP=1 -v db="$POSTGRES_DB" --dbname postgres <<'SQL'
drop database if exists :"db";
create database :"db" template template_postgis strategy file_copy;
SQL
# What postgis_topology and the geocoder have set for their database is not copied with it.
psql -q -v ON_ERROR_STOP=1 -v db="$POSTGRES_DB" --dbname template_postgis <<'SQL'
select format('alter database %I set %s to %s', :'db', split_part(it, '=', 1), substr(it, strpos(it, '=') + 1))
from pg_db_role_setting, unnest(setconfig) as it
where setrole = 0 and setdatabase = (select oid from pg_database where datname = current_database()) \gexec
SQL
