//! Common table expressions.

use std::rc::Rc;

use crate::sql::tree::Node;

use super::Flow;
use super::scope::{Column, Rows, Scope};
use super::walker::Walker;

/// Rounds after which a recursive query that still changes counts as unknown. Each round lets values flow one step further
/// from column to column, so this is a bound on columns handed around in a ring.
const MAX_ROUNDS: usize = 64;

impl Walker<'_> {
    /// Reads the WITH clause of a statement into its scope.
    pub(super) fn with(&mut self, node: Node<'_>, scope: &mut Scope<'_>) {
        let Some(with) = node.node("with_clause") else { return };
        let ctes: Vec<Node<'_>> = with.list("ctes").collect();
        if !with.flag("recursive") {
            for cte in ctes {
                let rows = self.cte(cte, scope, false);
                scope.ctes.push((cte.text("ctename").into(), rows));
            }
            return;
        }
        // Under RECURSIVE each may refer to itself and to those after it. They start as nothing and are read again until
        // nothing new flows in.
        let pending = Rows::open(Flow::clean());
        let first = scope.ctes.len();
        scope
            .ctes
            .extend(ctes.iter().map(|cte| (Rc::from(cte.text("ctename")), pending.clone())));
        for round in 0.. {
            let mut changed = false;
            for (index, cte) in ctes.iter().enumerate() {
                let rows = match round < MAX_ROUNDS {
                    true => self.cte(*cte, scope, round == 0),
                    false => Rows::open(self.lose(cte.text("ctename"))),
                };
                if let Some((_, before)) = scope.ctes.get_mut(first + index)
                    && *before != rows
                {
                    *before = rows;
                    changed = true;
                }
            }
            // The first round reads beginnings only, which may well look like the nothing that it began with.
            if (round > 0 && !changed) || round > MAX_ROUNDS {
                return;
            }
        }
    }

    fn cte(&mut self, cte: Node<'_>, scope: &Scope<'_>, first: bool) -> Rows {
        let mut rows = cte
            .node("ctequery")
            .map_or_else(Rows::lost, |query| self.cte_query(query, scope, first));
        rows.rename(cte.names("aliascolnames").into_iter());
        self.pay(&rows);
        // SEARCH and CYCLE add columns that hold the values of others.
        if let Some(search) = cte.node("search_clause") {
            let flow = named(&rows, &search.names("search_col_list"));
            rows.columns.push(Column::named(search.text("search_seq_column"), flow));
        }
        if let Some(cycle) = cte.node("cycle_clause") {
            let path = named(&rows, &cycle.names("cycle_col_list"));
            let mut mark = path.clone();
            // What marks a row is a constant, of a type that may run code of users.
            for field in ["cycle_mark_value", "cycle_mark_default"] {
                if let Some(value) = cycle.node(field) {
                    mark.join(&self.expression(value, scope));
                }
            }
            for (field, flow) in [("cycle_mark_column", mark), ("cycle_path_column", path)] {
                rows.columns.push(Column::named(cycle.text(field), flow));
            }
        }
        rows
    }

    /// A query that refers to itself has the columns of its first part: in the first round there is nothing else to know
    /// them by. Later rounds read all of it.
    fn cte_query(&mut self, query: Node<'_>, scope: &Scope<'_>, first: bool) -> Rows {
        match query.node("larg") {
            Some(start) if first && !query.has("with_clause") => {
                let mut rows = self.query(start, scope);
                rows.columns.iter_mut().for_each(|column| column.flow.bare = false);
                rows
            }
            _ => self.query(query, scope),
        }
    }
}

fn named(rows: &Rows, names: &[&str]) -> Flow {
    let mut flow = Flow::clean();
    for name in names {
        flow.join(&rows.named(name).unwrap_or_else(Flow::lost));
    }
    flow
}
