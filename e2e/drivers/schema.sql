CREATE TABLE d_kinds (kind int PRIMARY KEY, label text);
INSERT INTO d_kinds VALUES (1, 'one'), (2, 'two');
CREATE TABLE d_items (id serial PRIMARY KEY, name text NOT NULL, kind int REFERENCES d_kinds, price numeric(10, 2), at timestamptz DEFAULT '2026-01-01 00:00:00+00', tags text[]);
INSERT INTO d_items (name, kind, price, tags) VALUES ('a', 1, 1.50, '{x,y}'), ('b', 2, 2.25, NULL), ('c', 1, NULL, '{}'), ('d', NULL, 4, '{NULL}');
CREATE TABLE d_bulk (id int, name text, raw bytea);
