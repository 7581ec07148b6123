//! Foreign keys that definitions try: whether values of one table stand in another.

use std::collections::HashSet;

use crate::catalog::{AttNum, Column, Oid, Part, Relation};
use crate::sql::names::ranged;
use crate::sql::tree::Node;

use super::walker::Walker;

/// ALTER TABLE and none of the others that have its commands.
const OBJECT_TABLE: i64 = 42;
/// `ALTER CONSTRAINT`, which may have a key be enforced that was not.
const ALTER_CONSTRAINT: i64 = 20;
/// Commands of ALTER TABLE that try rows which are there by the foreign keys of their table: `SET EXPRESSION` and `TYPE … USING`, by
/// which they may hold a guess from then on, `VALIDATE CONSTRAINT`, and `ATTACH PARTITION`, whose rows are those of its partition.
const TRYING: [i64; 4] = [7, 21, 25, 60];

impl Walker<'_> {
    /// Follows a foreign key to what it refers to: whether a value is there, and no more of that relation. Gives the node that names it,
    /// where it is known which columns these are.
    pub(super) fn refers(&mut self, node: Node<'_>) -> Option<u32> {
        let target = node.node("pktable").filter(|_| node.is("Constraint"))?;
        let schema = Some(target.text("schemaname")).filter(|schema| !schema.is_empty());
        let catalog = self.catalog;
        let relation = catalog.resolve(&self.path, schema, target.text("relname"))?;
        let named = node.names("pk_attrs");
        let is_key = |column: &&Column| match named.is_empty() {
            true => relation.key.contains(&column.attnum),
            false => named.contains(&column.name.as_str()),
        };
        let key: Vec<&Column> = relation.columns.iter().filter(is_key).collect();
        if key.is_empty() || key.len() < named.len() {
            return None;
        }
        self.looked_up(relation, &key);
        let only = self.found.written.insert(relation.oid) || self.found.referred.contains(&relation.oid);
        if only {
            self.found.referred.insert(relation.oid);
        }
        Some(target.id())
    }

    /// ALTER TABLE that has rows tried by the foreign keys which their table has: that it is done tells that what these hold stands in the
    /// other. Which of them is meant, its name would tell, and the catalog does not say of it which columns it is about: all count.
    pub(super) fn tried(&mut self, node: Node<'_>) {
        let is_table = node.is("AlterTableStmt") && node.int("objtype") == OBJECT_TABLE;
        if !is_table || !node.list("cmds").any(tries) {
            return;
        }
        let Some((schema, name)) = node.node("relation").and_then(ranged) else {
            return;
        };
        let catalog = self.catalog;
        let Some(relation) = catalog.resolve(&self.path, schema, name) else {
            // Behind a change of names it may be any.
            self.lose_all(&format!("which keys {name} has"));
            return;
        };
        let (mut tables, mut todo): (HashSet<Oid>, Vec<Oid>) = (HashSet::new(), vec![relation.oid]);
        while let Some(oid) = todo.pop() {
            if tables.insert(oid) {
                todo.extend(catalog.children(oid));
            }
        }
        for other in catalog.relations() {
            let keys = other.hanging.iter().filter(|hanging| hanging.part == Part::Key);
            let on: HashSet<AttNum> = keys
                .filter(|key| tables.contains(&key.relation))
                .flat_map(|key| key.on.iter().copied())
                .collect();
            let columns = other.columns.iter();
            let key: Vec<&Column> = columns.filter(|column| on.contains(&column.attnum)).collect();
            if !key.is_empty() {
                self.looked_up(other, &key);
            }
        }
    }

    /// Values are looked for in these columns.
    fn looked_up(&mut self, relation: &Relation, key: &[&Column]) {
        let rows = self.rows_of(relation, false);
        for column in key {
            let flow = rows.named(&column.name).unwrap_or_default();
            self.touch(&flow);
            self.aside(&flow);
        }
    }
}

/// Whether a command of ALTER TABLE has rows tried that are there. One that has a key put off from then on has none.
fn tries(command: Node<'_>) -> bool {
    match command.int("subtype") {
        ALTER_CONSTRAINT => command
            .node("def")
            .is_none_or(|def| def.flag("alter_enforceability") && def.flag("is_enforced")),
        subtype => TRYING.contains(&subtype),
    }
}
