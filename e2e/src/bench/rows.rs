//! Results of several rows, two or three columns of each masked.

use anyhow::Result;

use super::load::{Load, Script, interleaved, ratios};
use super::report::{Line, Report};
use super::server::CUSTOMERS;
use super::stage::Stage;

struct Shape {
    name: &'static str,
    /// Rows of a result.
    rows: u32,
    table: &'static str,
    columns: &'static str,
    /// pgbench's query mode.
    mode: &'static str,
    /// Whether values come in binary form.
    binary: bool,
    /// The Connection.
    door: &'static str,
    what: &'static str,
}

const SHAPES: [Shape; 7] = [
    Shape {
        name: "rows20x5-masked",
        rows: 20,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "simple",
        binary: false,
        door: "durable",
        what: "20 rows of 5 columns, three masked by column rules, durable",
    },
    Shape {
        name: "rows20x5-masked-async",
        rows: 20,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "simple",
        binary: false,
        door: "async",
        what: "20 rows of 5 columns, three masked by column rules, records with bounded lag",
    },
    Shape {
        name: "rows1000x5-masked",
        rows: 1000,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "simple",
        binary: false,
        door: "durable",
        what: "1000 rows of 5 columns, three masked by column rules, durable",
    },
    Shape {
        name: "rows1000x5-detectors",
        rows: 1000,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "simple",
        binary: false,
        door: "detectors",
        what: "1000 rows of 5 columns, three masked by column rules and six detectors on the others, bounded lag",
    },
    Shape {
        name: "rows20x200-masked",
        rows: 20,
        table: "wide",
        columns: "*",
        mode: "simple",
        binary: false,
        door: "durable",
        what: "20 rows of 200 columns, two masked by column rules, durable",
    },
    Shape {
        name: "rows1000x5-prepared-masked",
        rows: 1000,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "prepared",
        binary: false,
        door: "durable",
        what: "1000 rows of 5 columns by a prepared statement, three masked by column rules, durable",
    },
    Shape {
        name: "rows1000x5-binary-masked",
        rows: 1000,
        table: "customers",
        columns: "id, name, ssn, card, iban",
        mode: "prepared",
        binary: true,
        door: "durable",
        what: "1000 rows of 5 columns in binary form by a prepared statement, three masked by column rules, durable",
    },
];

/// Results through the door, masked, against PgBouncer and a direct connection, which mask nothing.
pub(super) fn results(stage: &Stage, report: &mut Report) -> Result<()> {
    for shape in SHAPES {
        let name = |what: &str| format!("pg/{}/{what}", shape.name);
        let names = ["vs-pgbouncer", "vs-direct", "proxy-cpu-us-a-row"];
        if !names.iter().any(|what| report.wants(&name(what))) {
            continue;
        }
        let rows = if shape.table == "wide" { 1000 } else { CUSTOMERS };
        let last = (rows - shape.rows).max(1);
        let select = |first: &str| {
            format!(
                "SELECT {} FROM {} WHERE id >= {first} AND id < {first} + {}",
                shape.columns, shape.table, shape.rows
            )
        };
        let own = format!("\\set first random(1, {last})\n{};\n", select(":first"));
        let bound = select("$1");
        let load = Load {
            clients: 4,
            mode: shape.mode,
            script: if shape.binary {
                Script::Binary(&bound, last)
            } else {
                Script::Own(&own)
            },
        };
        let turns = interleaved(
            stage,
            load,
            &[stage.direct(), stage.bouncer(), stage.door(shape.door)?],
            false,
        )?;
        let [direct, bouncer, door] = turns.as_slice() else {
            continue;
        };
        let client = if shape.binary {
            "libpq, 4 clients"
        } else {
            "pgbench -c 4"
        };
        let how = format!("{client}, {}, results a second", shape.what);
        let what = format!("{how}, over PgBouncer unmasked in the same round");
        report.add(Line {
            name: &name("vs-pgbouncer"),
            unit: "ratio",
            runs: ratios(door, bouncer),
            what: &what,
        })?;
        let what = format!("{how}, over a direct connection unmasked in the same round");
        report.add(Line {
            name: &name("vs-direct"),
            unit: "ratio",
            runs: ratios(door, direct),
            what: &what,
        })?;
        let per_row = door.iter().map(|turn| turn.processor_us / f64::from(shape.rows));
        let what = format!("{client}, {}, processor time of the door, a row", shape.what);
        report.add(Line {
            name: &name("proxy-cpu-us-a-row"),
            unit: "us",
            runs: per_row.collect(),
            what: &what,
        })?;
    }
    Ok(())
}
