-- What cannot be made again with any search_path: its functions have changed since. Only the rows can come back.
create function same(text) returns text language plpgsql immutable as 'begin return $1; end';
create function is_good(text) returns boolean language plpgsql immutable as 'begin return true; end';
create domain good as text check (is_good(value));
create table checked (id int primary key, label text constraint is_good check (is_good(label)), other good);
create table parted (id int, label text check (is_good(label))) partition by range (id);
create table parted_1 partition of parted for values from (0) to (100);
create table computed (id int primary key, label text, copy text not null generated always as (same(label)) stored);
create index computed_same on computed (same(label));
create index computed_label on computed (lower(label));
insert into checked values (1, 'a', 'b');
insert into parted values (1, 'a');
insert into computed (id, label) values (1, 'a');
create or replace function same(text) returns text language plpgsql immutable as 'begin return nothing($1); end';
create or replace function is_good(text) returns boolean language plpgsql immutable as 'begin return false; end';
