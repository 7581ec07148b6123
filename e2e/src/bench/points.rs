//! Point selects and point updates.

use anyhow::Result;

use super::door::ASKED;
use super::load::{Load, Script, Turn, interleaved, ratios};
use super::report::{Line, Report};
use super::stage::Stage;

/// pgbench's `SELECT abalance FROM pgbench_accounts WHERE aid = …`.
const SELECT: Script<'_> = Script::Builtin("select-only");
/// One statement that writes.
const UPDATE: Script<'_> = Script::Own(
    "\\set aid random(1, 1000000)\n\\set delta random(-5000, 5000)\n\
     UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n",
);

/// Point selects: through the door with every statement durable before it runs, and with bounded lag.
pub(super) fn selects(stage: &Stage, report: &mut Report) -> Result<()> {
    for (clients, mode, suffix) in [
        (1, "simple", ""),
        (4, "simple", ""),
        (64, "simple", ""),
        (4, "prepared", "-prepared"),
        (64, "prepared", "-prepared"),
    ] {
        let name = |door: &str, what: &str| format!("pg/select1-c{clients}{suffix}-{door}/{what}");
        let wanted = ["durable", "async"].iter().any(|door| {
            ["vs-pgbouncer", "vs-direct", "added-us"]
                .iter()
                .any(|what| report.wants(&name(door, what)))
        });
        let processor = clients == 4 && suffix.is_empty() && report.wants("pg/select1/proxy-cpu-us");
        if !wanted && !processor {
            continue;
        }
        let load = Load {
            clients,
            mode,
            script: SELECT,
        };
        let peers = [
            stage.direct(),
            stage.bouncer(),
            stage.door("durable")?,
            stage.door("async")?,
        ];
        let turns = interleaved(stage, load, &peers, clients == 1)?;
        let [direct, bouncer, durable, lagging] = turns.as_slice() else {
            continue;
        };
        let how = format!("pgbench -S -M {mode} -c {clients}, TLS on every leg, statements a second");
        for (door, turns, promise) in [
            ("durable", durable, "each record on disk before its statement runs"),
            ("async", lagging, "records with bounded lag"),
        ] {
            let what = format!("{how}, door ({promise}) over PgBouncer (session pooling) in the same round");
            report.add(Line {
                name: &name(door, "vs-pgbouncer"),
                unit: "ratio",
                runs: ratios(turns, bouncer),
                what: &what,
            })?;
            let what = format!("{how}, door ({promise}) over a direct connection in the same round");
            report.add(Line {
                name: &name(door, "vs-direct"),
                unit: "ratio",
                runs: ratios(turns, direct),
                what: &what,
            })?;
        }
        if clients == 1 {
            latency(report, direct, bouncer, durable, lagging)?;
        }
        if processor {
            cost(report, bouncer, durable, lagging)?;
        }
    }
    Ok(())
}

fn latency(report: &mut Report, direct: &[Turn], bouncer: &[Turn], durable: &[Turn], lagging: &[Turn]) -> Result<()> {
    for (name, turns) in [
        ("c1-durable", durable),
        ("c1-async", lagging),
        ("c1-pgbouncer", bouncer),
    ] {
        let added = turns
            .iter()
            .zip(direct)
            .map(|(door, direct)| door.median_us - direct.median_us);
        report.add(Line {
            name: &format!("pg/select1-{name}/added-us"),
            unit: "us",
            runs: added.collect(),
            what: "pgbench -S -c 1, median latency less the direct connection's in the same round",
        })?;
    }
    Ok(())
}

fn cost(report: &mut Report, bouncer: &[Turn], durable: &[Turn], lagging: &[Turn]) -> Result<()> {
    let used = |turns: &[Turn]| turns.iter().map(|turn| turn.processor_us).collect::<Vec<_>>();
    for (name, turns, who) in [
        (
            "pg/select1/proxy-cpu-us",
            durable,
            "the door with its recorder inside, records durable",
        ),
        (
            "pg/select1-async/proxy-cpu-us",
            lagging,
            "the door with its recorder inside, records with bounded lag",
        ),
        ("pg/select1-pgbouncer/cpu-us", bouncer, "PgBouncer"),
    ] {
        let what = format!("pgbench -S -c 4, processor time of {who}, a statement");
        report.add(Line {
            name,
            unit: "us",
            runs: used(turns),
            what: &what,
        })?;
    }
    Ok(())
}

/// Point selects where rules ask for a second person about something else: what is allowed is to pay nothing for that.
pub(super) fn beside_approvals(stage: &Stage, report: &mut Report) -> Result<()> {
    let names = [
        "pg/select1-c4-approvals/vs-without",
        "pg/select1-c4-approvals/added-cpu-us",
    ];
    if !names.iter().any(|name| report.wants(name)) {
        return Ok(());
    }
    let load = Load {
        clients: 4,
        mode: "simple",
        script: SELECT,
    };
    let turns = interleaved(stage, load, &[stage.door("async")?, stage.door("asks")?], false)?;
    let [without, asks] = turns.as_slice() else {
        return Ok(());
    };
    let how = format!(
        "pgbench -S -c 4, door (bounded lag) with {ASKED} rules that ask for a second person about other commands"
    );
    report.add(Line {
        name: names[0],
        unit: "ratio",
        runs: ratios(asks, without),
        what: &format!("{how}, statements a second over the same door without those rules in the same round"),
    })?;
    let added = asks
        .iter()
        .zip(without)
        .map(|(asks, without)| asks.processor_us - without.processor_us);
    report.add(Line {
        name: names[1],
        unit: "us",
        runs: added.collect(),
        what: &format!("{how}, processor time of the door a statement, less that without those rules"),
    })
}

/// Point updates, at 4 clients and 64.
pub(super) fn writes(stage: &Stage, report: &mut Report) -> Result<()> {
    for clients in [4, 64] {
        let name = format!("pg/update1-c{clients}-durable/vs-pgbouncer");
        if !report.wants(&name) {
            continue;
        }
        let load = Load {
            clients,
            mode: "simple",
            script: UPDATE,
        };
        let turns = interleaved(stage, load, &[stage.bouncer(), stage.door("durable")?], false)?;
        let [bouncer, durable] = turns.as_slice() else { continue };
        report.add(Line {
            name: &name,
            unit: "ratio",
            runs: ratios(durable, bouncer),
            what: "pgbench, one UPDATE of one row by its key, statements a second, door (durable) over PgBouncer",
        })?;
    }
    Ok(())
}
