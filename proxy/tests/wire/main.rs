//! The protocol whole, and every bad input: from clients before and after login, and from targets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod absent;
mod accounts;
mod alike;
mod assumptions;
mod busy;
mod calls;
mod cancels;
mod catalogs;
#[path = "../common/mod.rs"]
mod common;
mod copies;
mod credentials;
mod crowds;
mod csv;
mod deaths;
mod definitions;
mod encodings;
mod endings;
mod fake;
mod holds;
mod interleaved;
mod large;
mod locks;
mod logins;
mod lookout;
mod notifications;
mod ordinary;
mod pipelines;
mod portals;
mod readings;
mod reads;
mod replicas;
mod saved;
mod shapes;
mod standbys;
mod startups;
mod strangers;
mod targets;
mod temporary;
mod tokens;
mod transactions;
mod triggers;
mod typed;
mod violations;

/// What the tests of this program work on.
const SCHEMA: &str = "
CREATE TABLE t (id int primary key, name text, amount numeric(12,2), at timestamptz, tags text[], doc jsonb, raw bytea);
INSERT INTO t SELECT i, 'name ' || i, i * 1.5, '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 day',
  ARRAY['a' || i, NULL, 'b'], jsonb_build_object('n', i), decode(lpad(to_hex(i), 4, '0'), 'hex') FROM generate_series(1, 20) i;
CREATE TABLE u (id int, name text);
CREATE TABLE secrets (id int, ssn text, page text);
";
