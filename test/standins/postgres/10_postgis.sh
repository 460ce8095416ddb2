#!/bin/bash
# The same extensions in the same two databases as the official image, because a dump holds them.
set -euo pipefail

psql -c 'create database template_postgis is_template true'
for database in template_postgis "$POSTGRES_DB"; do
  psql -q -v ON_ERROR_STOP=1 --dbname "$database" <<'SQL'
create extension if not exists postgis;
create extension if not exists postgis_topology;
\c
create extension if not exists fuzzystrmatch;
create extension if not exists postgis_tiger_geocoder;
SQL
done
