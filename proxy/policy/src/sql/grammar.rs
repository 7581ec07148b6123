//! Values of enumerations in the grammar that more than one walk asks for, as [`Node::int`](super::tree::Node::int) gives them.

/// How far DROP and TRUNCATE go, numbered from RESTRICT on.
pub(super) const CASCADE: i64 = 2;

/// Kinds of objects.
pub(super) const OBJECT_COLUMN: i64 = 7;
pub(super) const OBJECT_SCHEMA: i64 = 37;

/// Commands of ALTER TABLE: `SET DEFAULT` and `DROP DEFAULT`.
pub(super) const COLUMN_DEFAULT: i64 = 3;
pub(super) const DROP_COLUMN: i64 = 14;
