//! The walk over every node of a statement.

use super::beyond;
use super::body;
use super::choice::{gives_its_rows, is_selective, is_upsert, merge_is_selective, updates};
use super::denied::{self, Denied};
use super::effect::{self, Setting};
use super::functions::{Safety, is_own_operator, safety};
use super::lineage::spelled_out;
use super::names::{Access, FunctionRef, RelationRef, access, qualified, ranged};
use super::pinned;
use super::statement::DATA;
use super::tree::Node;
use super::verb::{Verb, Verbs};

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) verbs: Verbs,
    pub(super) relations: Vec<RelationRef>,
    pub(super) functions: Vec<FunctionRef>,
    pub(super) denied: Vec<Denied>,
    pub(super) opaque: Vec<String>,
    pub(super) executes: Vec<String>,
    pub(super) cursors: Vec<String>,
    pub(super) settings: Vec<Setting>,
    pub(super) highest_param: u32,
    pub(super) locks: bool,
    pub(super) operates: bool,
    pub(super) pins: bool,
    pub(super) runs_explained: bool,
    pub(super) beyond: Option<&'static str>,
    pub(super) changes: usize,
    pub(super) changes_with_where: usize,
}

/// Values of enumerations in the grammar, by the names they have there.
mod code {
    pub(super) const ACCESS_SHARE: i64 = 1;
    pub(super) const CMD_UPDATE: i64 = 3;
    pub(super) const CMD_INSERT: i64 = 4;
    pub(super) const CMD_DELETE: i64 = 5;
    pub(super) const VAR_RESET: i64 = 5;
    pub(super) const VAR_RESET_ALL: i64 = 6;
    /// ENABLE TRIGGER in all its forms.
    pub(super) const ENABLE_TRIGGER: [i64; 5] = [38, 39, 40, 42, 44];
    /// Object types that are relations: foreign table, index, materialised view, sequence, table, view.
    pub(super) const RELATIONS: [i64; 6] = [19, 21, 24, 38, 42, 52];
}

/// Walks a statement. `depth`: in how many bodies of functions it stands.
pub(super) fn gather(root: Node<'_>, depth: usize) -> Facts {
    let mut walk = Walk {
        depth,
        facts: Facts::default(),
        scopes: Vec::new(),
        around: Vec::new(),
    };
    walk.visit(root, None);
    walk.facts
}

struct Walk<'a> {
    depth: usize,
    facts: Facts,
    /// Names of common table expressions, innermost last.
    scopes: Vec<&'a str>,
    /// The statements around the node that read or write rows, innermost last: its columns are of that one's relations.
    around: Vec<Node<'a>>,
}

/// Where a node stands: its parent and the kind of thing the parent does to relations.
type Parent<'a> = Option<Node<'a>>;

impl<'a> Walk<'a> {
    fn visit(&mut self, node: Node<'a>, parent: Parent<'a>) {
        self.note(node, parent);
        let (outer, around) = (self.scopes.len(), self.around.len());
        if DATA.contains(&node.kind()) {
            self.around.push(node);
        }
        if let Some(with) = node.node("with_clause") {
            self.with(with);
        }
        for child in node.children() {
            if !child.is("WithClause") {
                self.visit(child, Some(node));
            }
        }
        self.scopes.truncate(outer);
        self.around.truncate(around);
    }

    /// A common table expression is visible in those after it, in itself only under RECURSIVE, and in the statement.
    fn with(&mut self, with: Node<'a>) {
        let ctes: Vec<Node<'a>> = with.list("ctes").collect();
        if with.flag("recursive") {
            self.scopes.extend(ctes.iter().map(|cte| cte.text("ctename")));
        }
        for cte in ctes {
            self.visit(cte, Some(with));
            self.scopes.push(cte.text("ctename"));
        }
    }

    fn note(&mut self, node: Node<'a>, parent: Parent<'a>) {
        if let Some(verb) = Verb::of_kind(node.kind()) {
            self.facts.verbs.insert(verb);
        }
        let setting = self.setting(node, parent);
        self.facts.pins |= setting.is_some() && node.list("args").next().is_some_and(|name| !name.is("AConst"));
        if let Some(denied) = denied::of(node, setting) {
            self.facts.denied.push(denied);
        }
        self.facts.denied.extend(body::denied(node, self.depth));
        self.facts.operates |= OPERATING.contains(&node.kind()) || !spelled_out(node.kind()).is_empty();
        match node.kind() {
            "RangeVar" | "RangeFunction" => self.relation(node, parent),
            "FuncCall" => {
                self.facts.denied.extend(body::denied_in_call(node, self.depth));
                self.function(node, setting);
            }
            "AExpr" => self.operator(&node.names("name")),
            "SubLink" => self.operator(&node.names("oper_name")),
            "SortBy" => self.operator(&node.names("use_op")),
            "ParamRef" => self.param(node),
            "LockingClause" | "LockStmt" => self.facts.locks |= node.int("mode") != code::ACCESS_SHARE,
            "AIndirection" => self.fields(&node.names("indirection")),
            "ColumnRef" if node.count("fields") > 1 => {
                self.fields(node.names("fields").get(1..).unwrap_or_default());
            }
            "CurrentOfExpr" => self.facts.cursors.push(node.text("cursor_name").to_owned()),
            "RangeTableSample" => self.sample(node),
            _ => self.statement(node),
        }
    }

    fn statement(&mut self, node: Node<'a>) {
        let facts = &mut self.facts;
        facts.beyond = facts.beyond.or_else(|| beyond::of(node));
        match node.kind() {
            "SelectStmt" if node.has("into_clause") => facts.verbs.insert(Verb::Create),
            "UpdateStmt" | "DeleteStmt" => facts.change(is_selective(node, None)),
            "MergeStmt" => facts.change(merge_is_selective(node, None)),
            "InsertStmt" if is_upsert(node) => facts.change(gives_its_rows(node)),
            "OnConflictClause" if updates(node) => facts.verbs.insert(Verb::Update),
            "MergeWhenClause" => facts.merge_action(node.int("command_type")),
            // It makes tables, whose names and columns the other server tells.
            "ImportForeignSchemaStmt" => facts.verbs.insert(Verb::Create),
            "CopyStmt" => facts.verbs.insert(if node.flag("is_from") {
                Verb::CopyFrom
            } else {
                Verb::CopyTo
            }),
            "GrantStmt" | "GrantRoleStmt" => {
                facts.verbs.insert(if node.flag("is_grant") {
                    Verb::Grant
                } else {
                    Verb::Revoke
                });
            }
            "VacuumStmt" => facts.verbs.insert(if node.flag("is_vacuumcmd") {
                Verb::Vacuum
            } else {
                Verb::Analyze
            }),
            "TransactionStmt" => {
                facts.verbs.insert(transaction_verb(node.int("kind")));
                facts.settings.extend(effect::modes(node));
            }
            "VariableSetStmt" => {
                let reset = [code::VAR_RESET, code::VAR_RESET_ALL].contains(&node.int("kind"));
                facts.verbs.insert(if reset { Verb::Reset } else { Verb::Set });
                facts.settings.push(effect::setting(node));
                facts.settings.extend(effect::modes(node));
            }
            "ExplainStmt" => {
                facts.runs_explained |= node
                    .list("options")
                    .any(|option| option.text("defname") == "analyze" && effect::is_on(option));
            }
            "ExecuteStmt" => facts.executes.push(node.text("name").to_owned()),
            "FetchStmt" => facts.cursors.push(node.text("portalname").to_owned()),
            "DoStmt" => facts.opaque.push("a DO block".to_owned()),
            "CallStmt" => facts.opaque.push("a procedure".to_owned()),
            // It will run for whoever writes to the table, and nobody is asked then.
            "CreateTrigStmt" | "CreateEventTrigStmt" => {
                facts
                    .opaque
                    .push(format!("function {}", node.names("funcname").join(".")));
            }
            // One that did not run will, as if it were made now.
            "AlterTableCmd" if code::ENABLE_TRIGGER.contains(&node.int("subtype")) => {
                facts.opaque.push("a trigger that is enabled".to_owned());
            }
            "AlterEventTrigStmt" if node.text("tgenabled") != "D" => {
                facts.opaque.push("an event trigger that is enabled".to_owned());
            }
            // It will run wherever a value of the type is, whatever the text says there.
            "CreateCastStmt" => node
                .node("func")
                .into_iter()
                .for_each(|func| facts.runs(&func.names("objname"))),
            "CreateRangeStmt" => {
                let differs = |param: &Node<'_>| param.text("defname") == "subtype_diff";
                let functions = node
                    .list("params")
                    .filter(differs)
                    .filter_map(|param| param.node("arg"));
                functions.for_each(|func| facts.runs(&func.names("names")));
            }
            "DropStmt" | "CommentStmt" | "SecLabelStmt" | "AlterObjectDependsStmt" | "AlterExtensionContentsStmt" => {
                facts.objects(node);
            }
            _ => {}
        }
    }

    fn relation(&mut self, node: Node<'a>, parent: Parent<'a>) {
        // `FOR UPDATE OF c` names an alias.
        if parent.is_some_and(|parent| parent.is("LockingClause")) {
            return;
        }
        let Some((schema, name)) = ranged(node) else { return };
        let access = parent.map_or(Access::Read, |parent| access(parent, node));
        // DML never writes to a common table expression: there the name is the table's.
        if schema.is_none() && access == Access::Read && self.scopes.contains(&name) {
            return;
        }
        self.facts.add_relation(RelationRef {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            access,
        });
    }

    /// The setting that a call of `set_config` changes, if that can be read.
    fn setting(&self, node: Node<'a>, parent: Parent<'a>) -> Option<&'a str> {
        if !node.is("FuncCall") || node.names("funcname").last() != Some(&"set_config") {
            return None;
        }
        let first = node.list("args").next()?;
        first.literal().or_else(|| {
            let select = self.around.last().filter(|around| around.is("SelectStmt"))?;
            let target = parent.is_some_and(|parent| parent.is("ResTarget"));
            // A common table expression computes its names, each time that one is asked for.
            let computed = self.scopes.contains(&pinned::SETTINGS);
            pinned::setting(*select, node).filter(|_| target && !computed)
        })
    }

    fn function(&mut self, node: Node<'a>, setting: Option<&str>) {
        let names = node.names("funcname");
        let Some((schema, name)) = qualified(&names) else {
            return;
        };
        match safety(schema.as_deref(), &name) {
            Safety::Safe => {}
            Safety::Effect(verb) => self.facts.effect(verb),
            Safety::Telling => self.facts.opaque.push(format!("system function {}", names.join("."))),
            Safety::Opaque => self.facts.opaque.push(format!("function {}", names.join("."))),
        }
        if name == "set_config" {
            self.facts.settings.push(config_setting(node, setting));
        }
        self.facts.add_function(FunctionRef { schema, name });
    }

    /// What looks like a field may be a call of a function with an effect.
    fn fields(&mut self, names: &[&str]) {
        // Or a cast to a type of users.
        self.facts.operates |= !names.is_empty();
        for name in names {
            if let Safety::Effect(verb) = safety(None, name) {
                self.facts.effect(verb);
            }
        }
    }

    fn operator(&mut self, names: &[&str]) {
        let Some((schema, name)) = qualified(names) else { return };
        // Words such as BETWEEN stand in the same place as operators.
        let word = name.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        if !word && !is_own_operator(schema.as_deref(), &name) {
            self.facts.opaque.push(format!("operator {}", names.join(".")));
            self.facts.add_function(FunctionRef { schema, name });
        }
    }

    fn sample(&mut self, node: Node<'a>) {
        let method = node.names("method");
        if !matches!(
            method.as_slice(),
            ["bernoulli" | "system"] | ["pg_catalog", "bernoulli" | "system"]
        ) {
            self.facts.opaque.push(format!("sampling method {}", method.join(".")));
        }
    }

    fn param(&mut self, node: Node<'a>) {
        let number = u32::try_from(node.int("number")).unwrap_or(0);
        self.facts.highest_param = self.facts.highest_param.max(number);
    }
}

fn transaction_verb(kind: i64) -> Verb {
    match kind {
        1 | 2 => Verb::Begin,
        3 | 9 => Verb::Commit,
        4 | 7 | 10 => Verb::Rollback,
        8 => Verb::PrepareTransaction,
        _ => Verb::Savepoint,
    }
}

fn config_setting(node: Node<'_>, name: Option<&str>) -> Setting {
    let args: Vec<Node<'_>> = node.list("args").collect();
    let literal = |at: usize| args.get(at).and_then(|arg| arg.literal()).map(str::to_owned);
    let value = literal(1);
    Setting {
        name: name.map(str::to_ascii_lowercase),
        computed: value.is_none(),
        value,
        local: false,
    }
}

impl Facts {
    /// What a function of PostgreSQL's own does. A sequence that it advances is one row, which it names.
    fn effect(&mut self, verb: Verb) {
        self.verbs.insert(verb);
        if verb == Verb::Update {
            self.change(true);
        }
    }

    fn change(&mut self, selective: bool) {
        self.changes += 1;
        self.changes_with_where += usize::from(selective);
    }

    fn merge_action(&mut self, command: i64) {
        match command {
            code::CMD_UPDATE => self.verbs.insert(Verb::Update),
            code::CMD_INSERT => self.verbs.insert(Verb::Insert),
            code::CMD_DELETE => self.verbs.insert(Verb::Delete),
            _ => {}
        }
    }

    /// Relations that a statement names by plain lists of words.
    fn objects(&mut self, node: Node<'_>) {
        let kind = node.int("remove_type").max(node.int("objtype"));
        let lists = node
            .list("objects")
            .chain(node.node("object"))
            .filter(|object| object.is("List"));
        for list in lists {
            let mut names = list.names("items");
            if !code::RELATIONS.contains(&kind) {
                // A column, constraint, trigger, rule or policy: its relation stands before the last word.
                if names.len() < 2 || !PARTS_OF_RELATIONS.contains(&kind) {
                    continue;
                }
                names.pop();
            }
            if let Some((schema, name)) = qualified(&names) {
                self.add_relation(RelationRef {
                    schema,
                    name,
                    access: Access::Define,
                });
            }
        }
    }

    /// A function that is made part of something.
    fn runs(&mut self, names: &[&str]) {
        let Some((schema, name)) = qualified(names) else { return };
        if safety(schema.as_deref(), &name) != Safety::Safe {
            self.opaque.push(format!("function {}", names.join(".")));
        }
    }

    fn add_relation(&mut self, relation: RelationRef) {
        if !self.relations.contains(&relation) {
            self.relations.push(relation);
        }
    }

    fn add_function(&mut self, function: FunctionRef) {
        if !self.functions.contains(&function) {
            self.functions.push(function);
        }
    }
}

/// What applies operators and casts. Whatever states a type makes values of it: a cast, and a column of XMLTABLE or JSON_TABLE.
/// USING and NATURAL compare by `=`.
const OPERATING: [&str; 5] = ["AExpr", "TypeName", "SubLink", "CaseExpr", "JoinExpr"];

/// Object types that belong to a relation: column, policy, rule, constraint of a table, trigger.
const PARTS_OF_RELATIONS: [i64; 5] = [7, 29, 36, 41, 45];
