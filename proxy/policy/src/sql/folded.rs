//! What PostgreSQL computes while it plans: calls that are given nothing but constants.

use super::tree::Node;

/// Whether an expression, as `pg_get_expr` writes it under an empty path, has a function, an operator or a cast of users that no column
/// is given to. Where its owner calls it immutable, PostgreSQL computes it while it plans whatever reads the relation.
pub fn is_folded_expression(expression: &str) -> bool {
    let Ok(script) = super::parse(&format!("SELECT {expression}")) else {
        return true;
    };
    let mut roots = script.readings().flatten().filter_map(|statement| statement.root());
    roots.any(|root| below(root).folds)
}

/// What stands at a node and below it.
#[derive(Clone, Copy, Default)]
struct Below {
    columns: bool,
    folds: bool,
}

fn below(node: Node<'_>) -> Below {
    let mut all = Below {
        columns: node.is("ColumnRef"),
        folds: false,
    };
    for child in node.children() {
        let child = below(child);
        all.columns |= child.columns;
        all.folds |= child.folds;
    }
    all.folds |= !all.columns && is_of_users(node);
    all
}

/// Whether a node calls something of another schema than PostgreSQL's own.
fn is_of_users(node: Node<'_>) -> bool {
    let names = match node.kind() {
        "FuncCall" => node.names("funcname"),
        "AExpr" => node.names("name"),
        "TypeCast" => node.node("type_name").map_or_else(Vec::new, |name| name.names("names")),
        _ => Vec::new(),
    };
    matches!(names.as_slice(), [schema, _, ..] if *schema != "pg_catalog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_constants_is_computed_while_a_query_is_planned() {
        for (expression, folded) in [
            ("(public.f(1) > 0)", true),
            ("(x + public.f(1))", true),
            ("public.f()", true),
            ("public.f(lower('a'::text))", true),
            ("(1 OPERATOR(public.@@@) 2)", true),
            ("lower('a'::public.checked)", true),
            ("public.g(x, public.f(1))", true),
            ("public.f(x), (public.f(1) > 0)", true),
            ("no expression(", true),
            ("public.normalise(email)", false),
            ("public.normalise((email)::text), (id > 0)", false),
            ("public.f(x, 1, 'a'::text)", false),
            ("(x OPERATOR(public.@@@) 2)", false),
            ("lower('a'::text)", false),
            ("pg_catalog.lower('a'::text)", false),
            ("((x)::public.checked IS NULL)", false),
        ] {
            assert_eq!(is_folded_expression(expression), folded, "{expression}");
        }
    }
}
