//! The checks by tokio-postgres: results in binary, types that it asks the catalog for, pipelines, portals, COPY as streams.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::future::try_join_all;
use futures::stream::TryStreamExt;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, IsolationLevel, Row, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{List, Way};

/// Longer than the whole list takes.
const PATIENCE: Duration = Duration::from_secs(600);

type Told = Result<Value, Error>;

/// Does the list; gives a line of JSON for each check.
pub fn run(way: &Way) -> String {
    sallyport_runtime::crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let done = async { tokio::time::timeout(PATIENCE, all(way)).await };
    runtime.block_on(done).expect("the list ends in time")
}

async fn all(way: &Way) -> String {
    let list = List::read();
    let mut session = Session::connect(way).await;
    let mut out = String::new();
    for (kind, value) in &list.values {
        let text = format!("select $1::text::{kind} as v, array[$1::text::{kind}] as a, null::{kind} as n");
        let told = told(&session.client, &text, &[value]).await;
        session.say(&mut out, &format!("value {kind} {value}"), told);
    }
    for statement in &list.statements {
        let simple = simple(&session.client, statement).await;
        session.say(&mut out, statement, simple);
        let again = told(&session.client, statement, &[]).await;
        session.say(&mut out, &format!("again: {statement}"), again);
    }
    for name in list.steps.keys() {
        let told = session.step(name, way).await;
        session.say(&mut out, name, told);
    }
    let after = told(&session.client, "select 7", &[]).await;
    session.say(&mut out, "after it all", after);
    out
}

/// A client, and what the server says to it unasked.
struct Session {
    client: Client,
    heard: mpsc::UnboundedReceiver<AsyncMessage>,
}

impl Session {
    async fn connect(way: &Way) -> Self {
        let mut config = Config::new();
        config.host(way.host).port(way.port).dbname(&way.database);
        config.user(way.user).password(way.password).ssl_mode(SslMode::Require);
        let (client, mut connection) = config.connect(tls(way)).await.unwrap();
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // What else becomes of the connection, the client is told.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let _ = hears.send(message);
            }
        });
        Self { client, heard }
    }

    /// Puts a line, with the notices that came meanwhile.
    fn say(&mut self, out: &mut String, name: &str, told: Told) {
        let mut line = vec![json!(name), told.unwrap_or_else(|error| refusal(&error))];
        while let Ok(message) = self.heard.try_recv() {
            if let AsyncMessage::Notice(notice) = message {
                line.push(json!([
                    "notice",
                    notice.severity(),
                    notice.code().code(),
                    notice.message()
                ]));
            }
        }
        *out += &(Value::from(line).to_string() + "\n");
    }

    async fn step(&mut self, name: &str, way: &Way) -> Told {
        match name {
            "batch" => self.batch().await,
            "batch_that_fails" => self.batch_that_fails().await,
            "rolled_back" => self.rolled_back().await,
            "savepoints" => self.savepoints().await,
            "cursor" => self.cursor(&[3, 40, 100]).await,
            "cursor_given_up" => self.cursor(&[2]).await,
            "copy_in" => self.copy_in().await,
            "copy_out" => self.copy_out().await,
            "copy_that_fails" => self.copy_that_fails().await,
            "copy_given_up" => self.copy_given_up().await,
            "notified" => self.notified(way).await,
            "cancelled" => self.cancelled(way).await,
            "prepared" => self.prepared().await,
            "prepared_then_altered" => self.prepared_then_altered().await,
            _ => panic!("{name} is in the list, and not done here"),
        }
    }

    async fn batch(&self) -> Told {
        let text = "insert into d_bulk (id, name) values ($1, $2) returning id * 2";
        let insert = &self.client.prepare(text).await?;
        // Sent one behind the other, before the first is answered.
        let sent = (0..50i32).map(|i| async move {
            let row = self.client.query_one(insert, &[&i, &format!("n{i}")]).await?;
            Ok::<i32, Error>(row.get(0))
        });
        Ok(json!(try_join_all(sent).await?))
    }

    async fn batch_that_fails(&self) -> Told {
        let inserts = [100, 100, 101].map(|kind| format!("insert into d_kinds values ({kind}, 'x')"));
        let refused = self.client.batch_execute(&inserts.join(";")).await.unwrap_err();
        let stayed = told(&self.client, "select * from d_kinds where kind in (100, 101)", &[]).await?;
        Ok(json!([refusal(&refused), stayed]))
    }

    async fn rolled_back(&mut self) -> Told {
        let serializable = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::Serializable);
        let transaction = serializable.start().await?;
        let level = transaction.query("show transaction_isolation", &[]).await?;
        let inserted = transaction
            .execute("insert into d_kinds values (300, 'x')", &[])
            .await?;
        transaction.rollback().await?;
        let stayed = told(&self.client, "select * from d_kinds where kind = 300", &[]).await?;
        Ok(json!([values(&level), inserted, stayed]))
    }

    async fn savepoints(&mut self) -> Told {
        let mut transaction = self.client.transaction().await?;
        transaction
            .execute("insert into d_kinds values (200, 'kept')", &[])
            .await?;
        let within = transaction.transaction().await?;
        let refused = within.execute("insert into d_kinds values (200, 'x')", &[]).await;
        let aborted = within.execute("select 1", &[]).await;
        within.rollback().await?;
        transaction.commit().await?;
        let stayed = told(&self.client, "select * from d_kinds where kind = 200", &[]).await?;
        Ok(json!([
            refusal(&refused.unwrap_err()),
            refusal(&aborted.unwrap_err()),
            stayed
        ]))
    }

    async fn cursor(&mut self, parts: &[i32]) -> Told {
        let transaction = self.client.transaction().await?;
        let portal = transaction.bind("select i from generate_series(1, 50) i", &[]).await?;
        let mut got = Vec::new();
        for rows in parts {
            got.push(values(&transaction.query_portal(&portal, *rows).await?));
        }
        drop(portal);
        transaction.commit().await?;
        Ok(json!([got, told(&self.client, "select 7", &[]).await?]))
    }

    async fn copy_in(&self) -> Told {
        let mut sink = pin!(self.client.copy_in::<_, Bytes>("copy d_bulk from stdin").await?);
        for i in 0..3000 {
            sink.send(Bytes::from(format!("{i}\tn{i}\t\\\\x00ff\n"))).await?;
        }
        let copied = sink.as_mut().finish().await?;
        let there = told(&self.client, "select count(*), sum(id) from d_bulk", &[]).await?;
        Ok(json!([copied, there]))
    }

    async fn copy_out(&self) -> Told {
        let mut got = Vec::new();
        for form in ["text", "csv", "binary"] {
            let text =
                format!("copy (select * from d_bulk order by id, name, raw limit 500) to stdout (format {form})");
            let parts: Vec<Bytes> = self.client.copy_out(&text).await?.try_collect().await?;
            got.push(parts.concat().escape_ascii().to_string());
        }
        Ok(json!(got))
    }

    async fn copy_that_fails(&self) -> Told {
        let mut sink = pin!(self.client.copy_in::<_, Bytes>("copy d_bulk (id) from stdin").await?);
        sink.send(Bytes::from_static(b"1\nx\n")).await?;
        Ok(json!(sink.as_mut().finish().await?))
    }

    async fn copy_given_up(&self) -> Told {
        {
            let mut sink = pin!(self.client.copy_in::<_, Bytes>("copy d_bulk (id) from stdin").await?);
            sink.send(Bytes::from_static(b"1\n")).await?;
        }
        told(&self.client, "select 7", &[]).await
    }

    async fn notified(&mut self, way: &Way) -> Told {
        self.client.batch_execute("listen d_words").await?;
        let other = Self::connect(way).await;
        other.client.batch_execute("notify d_words, 'hello'").await?;
        let pid = pid(&other.client).await?;
        loop {
            // The list's own statements notified this session, too.
            match self.heard.recv().await.expect("the session lives") {
                AsyncMessage::Notification(got) if got.channel() == "d_words" => {
                    return Ok(json!([got.channel(), got.payload(), got.process_id() == pid]));
                }
                _ => {}
            }
        }
    }

    async fn cancelled(&self, way: &Way) -> Told {
        let other = Self::connect(way).await;
        let pid = pid(&self.client).await?;
        let cancel = async {
            let sleeps = "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
            while other.client.query_opt(sleeps, &[&pid]).await?.is_none() {}
            self.client.cancel_token().cancel_query(tls(way)).await
        };
        let (slept, cancelled) = tokio::join!(self.client.batch_execute("select pg_sleep(300)"), cancel);
        cancelled?;
        let after = told(&self.client, "select 7", &[]).await?;
        Ok(json!([refusal(&slept.unwrap_err()), after]))
    }

    async fn prepared(&self) -> Told {
        let kept = self.client.prepare("select name from d_items where id = $1").await?;
        let mut got = Vec::new();
        for i in 0..20i32 {
            got.push(values(&self.client.query(&kept, &[&(i % 5)]).await?));
        }
        self.client.batch_execute("deallocate all").await?;
        let refused = self.client.query(&kept, &[&2i32]).await.unwrap_err();
        Ok(json!([got, refusal(&refused)]))
    }

    async fn prepared_then_altered(&self) -> Told {
        self.client
            .batch_execute("create table d_altered as select 1 as id")
            .await?;
        let kept = self.client.prepare("select * from d_altered").await?;
        let mut got = Vec::new();
        for _ in 0..6 {
            got.push(values(&self.client.query(&kept, &[]).await?));
        }
        let more = "alter table d_altered add column more text default 'more'";
        self.client.batch_execute(more).await?;
        let refused = self.client.query(&kept, &[]).await.unwrap_err();
        let anew = told(&self.client, "select * from d_altered", &[]).await?;
        Ok(json!([got, refusal(&refused), anew]))
    }
}

fn tls(way: &Way) -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&way.ca).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

async fn pid(client: &Client) -> Result<i32, Error> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.get(0))
}

/// A prepared statement's columns and rows.
async fn told(client: &Client, text: &str, parameters: &[&(dyn ToSql + Sync)]) -> Told {
    let statement = client.prepare(text).await?;
    let columns = statement.columns().iter().map(|column| {
        let (of_table, kind) = (column.table_oid().is_some(), column.type_().to_string());
        json!([
            column.name(),
            kind,
            column.type_modifier(),
            of_table,
            column.column_id()
        ])
    });
    let columns: Vec<Value> = columns.collect();
    Ok(json!([columns, values(&client.query(&statement, parameters).await?)]))
}

/// What one Query message is answered.
async fn simple(client: &Client, text: &str) -> Told {
    let messages = client.simple_query(text).await?;
    let told = messages.iter().map(|message| match message {
        SimpleQueryMessage::Row(row) => json!((0..row.len()).map(|i| row.get(i)).collect::<Vec<_>>()),
        SimpleQueryMessage::CommandComplete(rows) => json!(rows),
        SimpleQueryMessage::RowDescription(columns) => {
            json!(columns.iter().map(|column| column.name()).collect::<Vec<_>>())
        }
        _ => panic!("a message that tokio-postgres had not"),
    });
    Ok(Value::from(told.collect::<Vec<_>>()))
}

fn values(rows: &[Row]) -> Value {
    let row = |row: &Row| (0..row.len()).map(|i| row.get::<_, Raw>(i).0).collect::<Value>();
    rows.iter().map(row).collect()
}

fn refusal(error: &Error) -> Value {
    // Anything else is a driver that was disturbed, and no answer.
    let said = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    let position = said.position().map(|position| format!("{position:?}"));
    // The driver numbers statements over all its connections, so the second of two ways has other names.
    let numbered = said.code() == &SqlState::INVALID_SQL_STATEMENT_NAME;
    let message = if numbered { "its name" } else { said.message() };
    json!([
        "error",
        said.severity(),
        said.code().code(),
        message,
        said.detail(),
        said.hint(),
        position,
        said.table(),
        said.constraint()
    ])
}

/// A value byte for byte, whatever its type.
struct Raw(Value);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(json!(raw.escape_ascii().to_string())))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
