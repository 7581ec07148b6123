//! Two databases that differ in the protected values.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::case::Case;
use super::common::postgres::{PASSWORD, Postgres};

const SCHEMA: &str = include_str!("schema.sql");

/// The protected values of one of the two. They begin alike, so that a CHECK tells nothing apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Secrets {
    pub name: &'static str,
    pub ssn: &'static str,
    pub nine: &'static str,
    pub card: &'static str,
}

impl Secrets {
    pub const BOTH: [Self; 2] = [
        Self {
            name: "one",
            ssn: "536-90-4399",
            nine: "536904399",
            card: "4111 1111 1111 1111",
        },
        Self {
            name: "two",
            ssn: "536-17-8226",
            nine: "536178226",
            card: "4012 8888 8888 1881",
        },
    ];

    /// A text with placeholders filled in.
    pub fn fill(&self, text: &str, database: &str) -> String {
        text.replace("{ssn}", self.ssn)
            .replace("{nine}", self.nine)
            .replace("{card}", self.card)
            .replace("{database}", database)
    }
}

/// The databases of one test.
pub struct Databases {
    server: Arc<Postgres>,
    prefix: String,
    /// Whose they are, and all that is in them.
    owner: Option<String>,
    shared: RefCell<HashMap<&'static str, String>>,
    count: AtomicU32,
}

/// A database for one case.
pub struct Database<'a> {
    server: &'a Postgres,
    pub name: String,
    own: bool,
}

impl Databases {
    pub fn new(server: &Arc<Postgres>, prefix: &str) -> Self {
        let databases = Self::none(server, prefix, None);
        databases.fill(|database, sql| _ = server.sql(database, sql));
        databases
    }

    /// The same, owned by a role that is no superuser; extensions are a superuser's.
    pub fn owned(server: &Arc<Postgres>, prefix: &str) -> Self {
        let owner = format!("owner_{prefix}");
        server.sql(
            "postgres",
            &format!("CREATE ROLE {owner} LOGIN CREATEDB PASSWORD '{PASSWORD}'"),
        );
        let databases = Self::none(server, prefix, Some(owner.clone()));
        databases.fill(|database, sql| {
            if sql == SCHEMA {
                let extensions = SCHEMA.lines().filter(|line| line.starts_with("CREATE EXTENSION"));
                extensions.for_each(|line| _ = server.sql(database, line));
            }
            server.sql_as(&owner, database, sql).unwrap();
        });
        databases
    }

    /// Where they are.
    pub fn server(&self) -> &Arc<Postgres> {
        &self.server
    }

    /// Who plays cases.
    pub fn role(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    fn none(server: &Arc<Postgres>, prefix: &str, owner: Option<String>) -> Self {
        Self {
            server: server.clone(),
            prefix: format!("leaks_{prefix}"),
            owner,
            shared: RefCell::default(),
            count: AtomicU32::new(0),
        }
    }

    /// Makes the two, by a role that may.
    fn fill(&self, run: impl Fn(&str, &str)) {
        let [one, two] = Secrets::BOTH;
        let (first, second) = (self.template(one), self.template(two));
        run("postgres", &format!("CREATE DATABASE {first}"));
        run(&first, SCHEMA);
        run("postgres", &format!("CREATE DATABASE {second} TEMPLATE {first}"));
        let digits = two.card.replace(' ', "");
        run(
            &second,
            &format!(
                "UPDATE customers SET ssn = '{ssn}', ssn_num = {nine}, card = '{card}', card_num = {digits}, \
                 doc = jsonb_build_object('ssn', '{ssn}'), raw = convert_to('{ssn}', 'UTF8'), tags = ARRAY['x', '{ssn}'] \
                 WHERE id = 1; ANALYZE;",
                ssn = two.ssn,
                nine = two.nine,
                card = two.card,
            ),
        );
        // Both had one update, so that they differ in nothing else.
        run(&first, "UPDATE customers SET name = name WHERE id = 1; ANALYZE;");
    }

    fn template(&self, secrets: Secrets) -> String {
        format!("{}_{}", self.prefix, secrets.name)
    }

    /// A database with these values: the shared one, or a copy for a case that changes it.
    pub fn open(&self, case: &Case, secrets: Secrets) -> Database<'_> {
        let name = match case.fresh {
            true => self.copy(secrets),
            false => {
                let mut shared = self.shared.borrow_mut();
                shared.entry(secrets.name).or_insert_with(|| self.copy(secrets)).clone()
            }
        };
        Database {
            server: &self.server,
            name,
            own: case.fresh,
        }
    }

    fn copy(&self, secrets: Secrets) -> String {
        let template = self.template(secrets);
        let name = format!("{template}_{}", self.count.fetch_add(1, Ordering::Relaxed));
        let owner = self.owner.as_deref().unwrap_or("postgres");
        self.server.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {owner}"),
        );
        name
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if self.own && !std::thread::panicking() {
            self.server
                .sql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}
