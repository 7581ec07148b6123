//! A pipeline: Parse is screened, Bind is the command.

use std::rc::Rc;
use std::sync::Arc;

use sallyport_policy::decide::{Command, DeniedBy, Verdict};
use sallyport_policy::sql::{Statement, Transaction, Verb};

use super::hazard::Hazard;
use super::kept::looks_up;
use super::parameters::{parameters, read};
use super::sent::{NAME_BYTES, Sent};
use super::types;
use super::understand::{FULL, refuse};
use super::unfold::Unfolding;
use super::{Act, Context, Names, Plan, Portal, Step, Understood, understand};
use crate::command::Asked;
use crate::postgres::after::After;
use crate::postgres::errors::{Said, sqlstate};
use crate::postgres::frame::Head;
use crate::postgres::handed::entries;
use crate::postgres::meant::Meant;
use crate::postgres::message::{Bind, Execute, Named, Parse};
use crate::postgres::names::{Change, Prepared, Stated};
use crate::postgres::readonly::runs_code;
use crate::postgres::refuse::RESERVED;
use crate::postgres::rows::View;

/// Understands a pipeline. Names that it changes are known to its later messages, until [`Names::settle`].
pub fn pipeline(context: &Context<'_>, names: &mut Names, messages: Vec<(Head, Sent<'_>)>) -> Plan {
    let mut reader = Reader {
        context,
        names,
        plan: Plan::default(),
        unfolding: Unfolding::default(),
        opened: context.opened,
        waiting: Vec::new(),
        ran: Vec::new(),
        overtaken: Vec::new(),
        bound: Vec::new(),
        changes: 0,
        parsed: None,
    };
    for (head, message) in messages {
        let (command, act) = reader.read(message);
        let fails = matches!(act, Act::Fail(_));
        reader.plan.steps.push(Step { head, command, act });
        if fails {
            // The target passes over everything up to Sync from here on, and so does the door.
            break;
        }
    }
    reader.plan
}

struct Reader<'a> {
    context: &'a Context<'a>,
    names: &'a mut Names,
    plan: Plan,
    unfolding: Unfolding,
    /// Whether a transaction is open that somebody opened in so many words.
    opened: bool,
    /// Portals of this unit that may change what names mean, once they are executed.
    waiting: Vec<Rc<Portal>>,
    /// Portals that this unit executes.
    ran: Vec<Rc<Portal>>,
    /// Portals of this unit that waited when another ran that may change what names mean.
    overtaken: Vec<Rc<Portal>>,
    /// Portals of this unit, with how much had changed when they were bound.
    bound: Vec<(Rc<Portal>, usize)>,
    /// How many portals this unit executes before that may change what names mean, or copy values.
    changes: usize,
    /// What ran code as it was parsed, by name, until it is seen whether its own Bind comes next.
    parsed: Option<(String, Understood)>,
}

impl Reader<'_> {
    fn read(&mut self, message: Sent<'_>) -> (Option<usize>, Act) {
        // Its meaning would be kept here under another name than there.
        if message.has_cut_name() {
            let words = format!("names of statements and portals have at most {NAME_BYTES} bytes: use a shorter one");
            return (None, fail(sqlstate::UNSUPPORTED, words));
        }
        if let Some((name, understood)) = self.parsed.take()
            && !matches!(&message, Sent::Bind(bind) if bind.statement == name)
        {
            self.unfolding.add(self.context, &understood);
        }
        match message {
            Sent::Parse(parse, stated) => self.parse(&parse, stated),
            Sent::Bind(bind) => self.bind(&bind),
            Sent::Describe(Named::Statement(name)) => (None, self.describe_statement(name)),
            Sent::Describe(Named::Portal(name)) => (None, self.describe_portal(name)),
            Sent::Execute(execute) => (None, self.execute(&execute)),
            Sent::Close(named) => {
                let change = match named {
                    Named::Statement(name) => Change::Deallocate(Some(name.to_owned())),
                    Named::Portal(name) => Change::ClosePortal(name.to_owned()),
                };
                self.names.expect(change.clone());
                (None, Act::Close(change))
            }
            Sent::Sync => (None, Act::Sync),
            Sent::Flush => (None, Act::Flush),
        }
    }

    /// Whether bytes are text here as they are at the target.
    fn is_settled(&self) -> bool {
        !(self.context.unsettled || self.unfolding.has(Hazard::Encoding))
    }

    /// Parse takes locks and runs the input functions of literals, no more: it is refused where a Bind of it would be, and
    /// leaves a record only then. Where those may be code of users it is a command as its Bind is: asked about, recorded, and
    /// read-only where a rule says so.
    fn parse(&mut self, parse: &Parse<'_>, stated: Result<Option<Stated>, Box<Said>>) -> (Option<usize>, Act) {
        if !self.is_settled() && !parse.text.is_ascii() {
            return (None, Act::Fail(Box::new(misread())));
        }
        let stated = match stated {
            Ok(stated) => stated,
            Err(said) => return (None, Act::Fail(said)),
        };
        if parse.statement.starts_with(RESERVED) {
            return (None, fail(sqlstate::LIMIT, "this name is the door's own"));
        }
        if !self.names.has_room() {
            return (None, fail(sqlstate::LIMIT, FULL));
        }
        let prepared = Rc::new(Prepared {
            stated: stated.clone(),
            by_sql: false,
            types: types::stated(&parse.types).to_vec(),
            meant: Meant::default(),
        });
        let unfolded = self.unfolding.context(self.context);
        looks_up(&unfolded, &prepared, &self.unfolding);
        let change = Change::Prepare(parse.statement.to_owned(), prepared);
        self.names.expect(change.clone());
        let Some(stated) = stated else {
            let act = Act::Parse {
                change,
                guarded: false,
                view: None,
                runs: None,
            };
            return (None, act);
        };
        let mut understood = understand(
            &self.unfolding.context(self.context),
            self.names,
            &stated,
            types::stated(&parse.types),
            &self.unfolding,
        );
        understood.asked.command.parameters = stated.statement().map_or(0, |statement| {
            usize::try_from(statement.highest_param).unwrap_or(usize::MAX)
        });
        let command = &understood.asked.command;
        let hidden = !command.opaque.is_empty();
        let runs = understood.view.runs_parsed;
        let view = hidden.then(|| Rc::clone(&understood.view));
        let verdict = self.context.policy.decide(self.context.subject, command).verdict;
        let guarded = hidden && verdict.read_only() && runs_code(&stated);
        let denied = understood.asked.refused.is_some() || self.denies(command, &verdict, runs);
        if denied || !runs {
            let command = denied.then(|| self.ask(understood.asked));
            let act = Act::Parse {
                change,
                guarded,
                view,
                runs: None,
            };
            return (command, act);
        }
        understood.asked.types = types::stated(&parse.types)
            .iter()
            .flat_map(|oid| oid.to_be_bytes())
            .collect();
        self.parsed = Some((parse.statement.to_owned(), understood.clone()));
        let runs = Some((understood.view, understood.after));
        let command = self.ask(understood.asked);
        let act = Act::Parse {
            change,
            guarded,
            view,
            runs,
        };
        (Some(command), act)
    }

    /// Whether it is denied whatever will be bound. Where a rule asks for values, rules are asked at Bind; but Parse runs the code
    /// of a type that a literal is cast to, and so what is denied by now is not sent.
    fn denies(&self, command: &Command, verdict: &Verdict, runs: bool) -> bool {
        let Verdict::Deny(denial) = verdict else {
            return false;
        };
        let later = command.parameters > 0 && self.context.policy.reads_parameters() && !runs;
        !later || !matches!(denial.by, DeniedBy::Rule(_) | DeniedBy::NoRule)
    }

    fn ask(&mut self, asked: Asked) -> usize {
        self.plan.asked.push(asked);
        self.plan.asked.len() - 1
    }

    fn bind(&mut self, bind: &Bind<'_>) -> (Option<usize>, Act) {
        let Some(prepared) = self.names.statement(bind.statement) else {
            return (None, no_statement(bind.statement));
        };
        if bind.portal.starts_with(RESERVED) || !self.names.has_room() {
            return (None, fail(sqlstate::LIMIT, "this portal cannot be opened"));
        }
        let formats = bind.result_formats.clone();
        let portal = |view: Rc<View>, stated, after| {
            Rc::new(Portal {
                formats,
                stated,
                after,
                ..Portal::new(view, self.context.now())
            })
        };
        let Some(stated) = &prepared.stated else {
            let view = View::of(
                Arc::clone(self.context.masker),
                Arc::clone(self.context.known),
                Vec::new(),
            );
            let portal = portal(Rc::new(view), None, After::default());
            self.names
                .expect(Change::Bind(bind.portal.to_owned(), Rc::clone(&portal)));
            return (None, Act::Bind(bind.portal.to_owned(), portal));
        };
        // Names are looked up at Bind, and what was bound before has not run by then, or never does.
        if !self.waiting.is_empty() {
            self.unfolding.raise(Hazard::Meaning);
        }
        let unfolded = self.unfolding.context(self.context);
        let keeps = looks_up(&unfolded, &prepared, &self.unfolding);
        let kept = keeps.then(|| self.unfolding.with(Hazard::Kept));
        let before = kept.as_ref().unwrap_or(&self.unfolding);
        let mut understood = understand(&unfolded, self.names, stated, &prepared.types, before);
        parameters(bind, &prepared.types, &mut understood.asked);
        let readings: Vec<&Statement> = stated.readings().collect();
        let asked = &mut understood.asked;
        let back = self.context.guard().bound_back(&readings, &bind.values, &asked.command);
        refuse(asked, back);
        // PostgreSQL 15 has it commit a pipeline's own transaction, and what it does then is no longer read-only.
        if !self.opened && asked.command.verbs.any(&[Verb::Call, Verb::Do]) {
            asked.unguarded = Some(
                "a rule runs this read-only, and a procedure or a DO block could end the transaction for that: send BEGIN first",
            );
        }
        if self.context.policy.reads_parameters() {
            understood.asked.command.values = read(bind, &prepared.types, self.is_settled());
        }
        self.unfolding.add(self.context, &understood);
        // To bind is to plan, which computes what is said to be constant: that may be code.
        if understood.view.hidden && stated.is_data() {
            self.overtaken.extend(self.waiting.iter().cloned());
        }
        let portal = portal(
            Rc::clone(&understood.view),
            Some(stated.clone()),
            understood.after.clone(),
        );
        if may_define(&portal) {
            self.waiting.push(Rc::clone(&portal));
        }
        self.bound.push((Rc::clone(&portal), self.changes));
        self.names
            .expect(Change::Bind(bind.portal.to_owned(), Rc::clone(&portal)));
        let command = self.ask(understood.asked);
        (Some(command), Act::Bind(bind.portal.to_owned(), portal))
    }

    /// Why a portal of an earlier unit may not begin now. Execute is judged by nobody, Bind was; so rules that came between, and
    /// those about the time, would be asked nothing, and what was looked at before an approval was used could be replaced at leisure.
    fn late(&self, portal: &Portal) -> Option<Act> {
        if portal.begun.get() || portal.stated.is_none() {
            return None;
        }
        if portal.over.get() {
            let words =
                "an earlier command failed before this portal was executed, so it counts as not run: bind it again";
            return Some(fail(sqlstate::DENIED, words));
        }
        if portal.moved.get() {
            let words = "what its names mean changed while this portal was bound: bind it again";
            return Some(fail(sqlstate::DENIED, words));
        }
        if portal.held.get() {
            let words = "what needed an approval runs at once or not at all: send Bind and Execute without Sync or Flush between them";
            return Some(fail(sqlstate::DENIED, words));
        }
        let words = "the rules changed since this portal was bound, or that was more than a minute ago: bind it again";
        (!portal.judged.is_as_good_as(self.context.now())).then(|| fail(sqlstate::DENIED, words))
    }

    /// Why a portal may not begin behind what may have changed its names: those of a utility are looked up when it runs, a FETCH's
    /// cursor as well, and it was understood, and what it copies to protected, where it was bound. Nor may one that reads rows as they are
    /// when it runs, where protected values may have been copied there since.
    fn out_of_turn(&self, portal: &Rc<Portal>) -> Option<Act> {
        let is_in = |list: &[Rc<Portal>]| list.iter().any(|one| Rc::ptr_eq(one, portal));
        let begun = portal.begun.get() || is_in(&self.ran);
        let in_turn = is_in(&self.waiting) && !is_in(&self.overtaken);
        let words = if !begun && !in_turn && looks_up_late(portal) {
            "its names are looked up when it runs, and other commands may have changed them since it was bound: bind it again, and execute it at once"
        } else if portal.view.reads_latest() && !self.reads_as_bound(portal) {
            "it reads rows as they are when it runs, and protected values may have been copied there since it was bound: bind it again, and execute it at once"
        } else {
            return None;
        };
        Some(fail(sqlstate::DENIED, words))
    }

    /// Whether no more is protected of what a portal reads than when it was bound, and nothing before it in this unit copies values.
    fn reads_as_bound(&self, portal: &Rc<Portal>) -> bool {
        let bound = self.bound.iter().rev().find(|(bound, _)| Rc::ptr_eq(bound, portal));
        match bound {
            Some((_, changes)) => *changes == self.changes,
            None => self.changes == 0 && portal.view.is_as_protected(self.context.known),
        }
    }

    /// Takes note of a portal that is executed.
    fn run(&mut self, portal: &Rc<Portal>) {
        if !self.is_bound_here(portal) {
            self.unfolding.runs_another();
        }
        self.waiting.retain(|one| !Rc::ptr_eq(one, portal));
        let after = &portal.after;
        let redefines = may_define(portal) || after.moves || after.stale.any();
        if redefines || !entries(&portal.view, self.context.path).is_empty() {
            self.changes += 1;
        }
        if redefines {
            // What was bound in another unit was understood there, and whatever it changes is not in this one's catalog: the path,
            // and code that it makes, too.
            if !self.is_bound_here(portal) {
                self.unfolding.raise_all();
            }
            self.overtaken.extend(self.waiting.iter().cloned());
        }
        match &after.transaction {
            Some(Transaction::Begin) => self.opened = true,
            Some(Transaction::Commit { chain } | Transaction::Rollback { chain }) => self.opened = *chain,
            Some(Transaction::Prepare) => self.opened = false,
            _ => {}
        }
        self.ran.push(Rc::clone(portal));
    }

    /// Whether a portal was bound in this unit: then what it changes was taken note of.
    fn is_bound_here(&self, portal: &Rc<Portal>) -> bool {
        self.bound.iter().any(|(bound, _)| Rc::ptr_eq(bound, portal))
    }

    /// A cursor that SQL declared is a portal, too; its rows come by FETCH, which is judged by itself.
    fn describe_portal(&self, name: &str) -> Act {
        if let Some(portal) = self.names.portal(name) {
            return Act::DescribePortal(portal);
        }
        if self.names.cursor(name).is_none() {
            return no_portal(name);
        }
        let view = View::unknown(Arc::clone(self.context.masker), Arc::clone(self.context.known));
        Act::DescribePortal(Rc::new(Portal::new(Rc::new(view), self.context.now())))
    }

    fn describe_statement(&self, name: &str) -> Act {
        match self.names.statement(name) {
            Some(prepared) => {
                // The target looks names up to describe what they give.
                looks_up(&self.unfolding.context(self.context), &prepared, &self.unfolding);
                let view = View::unknown(Arc::clone(self.context.masker), Arc::clone(self.context.known));
                Act::DescribeStatement(Rc::new(view))
            }
            None => no_statement(name),
        }
    }

    fn execute(&mut self, execute: &Execute<'_>) -> Act {
        let Some(portal) = self.names.portal(execute.portal) else {
            if self.names.cursor(execute.portal).is_some() {
                let words = "rows of a cursor that DECLARE opened come by FETCH at this door";
                return fail(sqlstate::DENIED, words);
            }
            return no_portal(execute.portal);
        };
        if let Some(late) = self.late(&portal).or_else(|| self.out_of_turn(&portal)) {
            return late;
        }
        self.run(&portal);
        let described = portal.plan.borrow().is_some()
            || self.plan.steps.iter().any(|step| match &step.act {
                Act::DescribePortal(known) => Rc::ptr_eq(known, &portal),
                Act::Execute {
                    portal: known,
                    describe,
                    ..
                } => describe.is_some() && Rc::ptr_eq(known, &portal),
                _ => false,
            });
        let after = portal.after.clone();
        let stated = portal.stated.as_ref();
        let change = stated.and_then(|stated| crate::postgres::after::change(stated, &portal.view));
        if let Some(change) = &change {
            self.names.expect(change.clone());
        }
        let describe = (!described).then(|| execute.portal.to_owned());
        Act::Execute {
            portal,
            describe,
            after,
            change,
        }
    }
}

/// Whether a portal may change what names mean.
fn may_define(portal: &Portal) -> bool {
    let stated = portal.stated.as_ref();
    stated.is_some_and(|stated| !stated.is_data())
}

/// Whether a portal is a utility about relations, prepared statements or cursors.
fn looks_up_late(portal: &Portal) -> bool {
    let names = |one: &Statement| !(one.relations.is_empty() && one.executes.is_empty() && one.cursors.is_empty());
    let late = |one: &Statement| !one.is_data() && names(one);
    portal.stated.as_ref().is_some_and(|stated| stated.readings().any(late))
}

/// Under another encoding than the door reads by, the byte behind another may close a literal or not.
pub fn misread() -> Said {
    let words = "text beyond ASCII behind code that may have changed the encoding is refused at this door";
    Said::error(sqlstate::LIMIT, words).hint("Send Sync first: then the server says its settings.")
}

/// A text whose bytes are no UTF-8: it is refused as PostgreSQL refuses it, but for the bytes, which are not said.
pub fn misencoded() -> Said {
    Said::error(sqlstate::MISENCODED, "invalid byte sequence for encoding \"UTF8\"")
}

fn fail(code: &'static str, words: impl Into<String>) -> Act {
    Act::Fail(Box::new(Said::error(code, words)))
}

fn no_statement(name: &str) -> Act {
    let words = match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    fail(sqlstate::NO_STATEMENT, words)
}

fn no_portal(name: &str) -> Act {
    fail(sqlstate::NO_PORTAL, format!("portal \"{name}\" does not exist"))
}
