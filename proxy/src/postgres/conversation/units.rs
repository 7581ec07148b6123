//! One unit from its first byte to the end of its answer.

mod ahead;
mod doubt;
mod hand_on;

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sallyport_audit::Time;
use sallyport_audit::record::EndCause;
use sallyport_policy::sql::Statement;

use super::desk::Held;
use super::learn::needs_catalog;
use super::pin::Last;
use super::token::Standing;
use super::{Conversation, MAX_SETTINGS, Over};
use crate::command::{self, Decided, Kind, Reach, Recorded, Refused, Settled};
use crate::postgres::call;
use crate::postgres::catalog::{CatalogError, is_own_setting};
use crate::postgres::errors::Said;
use crate::postgres::forward;
use crate::postgres::frame::{Body, Head};
use crate::postgres::judge::{self, Context, Plan, Sent};
use crate::postgres::message::{self, Named, Transaction};
use crate::postgres::precondition;
use crate::postgres::refuse;
use crate::postgres::script::{self, Text};
use crate::postgres::unit::{End, Found};
use crate::session::Session;

use ahead::Ahead;

/// A unit, read: its bytes, and what they say by themselves.
pub(super) enum Unit {
    /// A Query string.
    Query(BytesMut, Head, Text),
    /// A pipeline.
    Pipeline(BytesMut, Vec<Head>, End),
}

impl Unit {
    fn len(&self) -> usize {
        match self {
            Self::Query(bytes, ..) | Self::Pipeline(bytes, ..) => bytes.len(),
        }
    }

    /// Whether its answer ends with ReadyForQuery, whatever came before it.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Query(..) | Self::Pipeline(_, _, End::Sync))
    }
}

/// What has to be known for a unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Whether what it means depends on the catalog.
    catalog: bool,
    /// Whether nothing may stand in front of it at the target.
    first: bool,
}

impl Needs {
    fn add<'a>(&mut self, readings: impl Iterator<Item = &'a Statement>) {
        for statement in readings {
            self.catalog |= needs_catalog(statement);
            self.first |= !precondition::may_precede(statement);
        }
    }
}

impl Conversation {
    /// Takes one unit from the client and sees it to its end.
    pub(super) async fn unit(&mut self, session: &mut Session) -> Result<(), Over> {
        let found = self.next_unit(session).await?;
        self.take_up_rules(session)?;
        self.verify_again(session).await?;
        self.cancelled().await;
        // A cancel that came while nothing ran is for nothing.
        self.cancels = *self.cancellable.asked.borrow_and_update();
        let bytes = self.client.take(found.len());
        match found {
            Found::Terminate => return Err(Over::quietly(EndCause::ClientClosed)),
            Found::Stray(_) => {
                self.sends.empty();
                return Ok(());
            }
            Found::Function(_) => self.function(session, &bytes).await?,
            Found::Query(head) => self.query(session, bytes, head).await?,
            Found::Pipeline(heads, end) => self.pipeline(session, bytes, heads, end).await?,
        }
        // What was sent of it is the target's now.
        self.sends.empty();
        self.answers(session).await?;
        if let Some((unit, recorded)) = self.assuming.take() {
            self.assumed(session, unit, recorded).await?;
        }
        self.reads.empty();
        session.under_way(self.state.names.oldest_begun());
        if self.state.transaction == Transaction::Idle && !self.state.unsynced {
            session.settle_grants();
        }
        Ok(())
    }

    /// The fast path: what it calls is judged, sent and answered as the SELECT that does the same.
    async fn function(&mut self, session: &mut Session, bytes: &BytesMut) -> Result<(), Over> {
        // After an error in a pipeline, the target passes over this too.
        if self.state.skipping {
            return Ok(());
        }
        let called = message::function_call(Body::of(bytes)).map_err(Over::client_broke)?;
        let Some((bytes, heads)) = call::unit(&called) else {
            // It is followed by ReadyForQuery by itself, as a Query is.
            forward::refuse_query(&mut self.state, forward::no_fast_path(), &mut self.target.out);
            return Ok(());
        };
        self.state.calling = true;
        self.pipeline(session, bytes, heads, End::Sync).await
    }

    async fn query(&mut self, session: &mut Session, bytes: BytesMut, head: Head) -> Result<(), Over> {
        // After an error in a pipeline, the target passes over this too.
        if self.state.skipping {
            return Ok(());
        }
        let text = match message::query(Body::of(&bytes)) {
            Ok(text) => text,
            // PostgreSQL's own answer: whoever pastes text of another encoding goes on in their session.
            Err(_) if message::is_misencoded(Body::of(&bytes)) => {
                forward::refuse_query(&mut self.state, judge::misencoded(), &mut self.target.out);
                return Ok(());
            }
            Err(error) => return Err(Over::client_broke(error)),
        };
        if self.is_unsettled() && !text.is_ascii() {
            forward::refuse_query(&mut self.state, judge::misread(), &mut self.target.out);
            return Ok(());
        }
        let text = match script::read(text) {
            Ok(text) => text,
            // PostgreSQL's own answer to what does not parse: nobody is asked about it, and it is no command.
            Err(error) => {
                forward::refuse_query(&mut self.state, script::said(&error), &mut self.target.out);
                return Ok(());
            }
        };
        let mut needs = Needs::default();
        needs.add(text.script.readings().flatten());
        let unit = Unit::Query(bytes, head, text);
        self.judged(session, unit, needs).await
    }

    async fn pipeline(
        &mut self,
        session: &mut Session,
        bytes: BytesMut,
        heads: Vec<Head>,
        end: End,
    ) -> Result<(), Over> {
        if self.state.skipping {
            if end == End::Sync {
                self.sync();
            }
            return Ok(());
        }
        let mut needs = Needs::default();
        for (_, message) in judge::sent(&bytes, &heads).map_err(Over::client_broke)? {
            let name = match message {
                Sent::Parse(parse, Ok(Some(stated))) => {
                    needs.add(stated.readings());
                    needs.catalog |= judge::any_of_users(&parse.types);
                    continue;
                }
                Sent::Bind(bind) => bind.statement,
                // The target looks names up for that, too, and goes on with what it found.
                Sent::Describe(Named::Statement(name)) => name,
                // What was bound in another unit and reads what was written since has to be known as it is by now.
                Sent::Execute(execute) => {
                    let portal = self.state.names.portal(execute.portal);
                    if let Some(portal) = portal.filter(|one| one.view.reads_latest())
                        && let Some(stated) = &portal.stated
                    {
                        needs.add(stated.readings());
                    }
                    continue;
                }
                _ => continue,
            };
            let prepared = self.state.names.statement(name);
            if let Some(prepared) = prepared
                && let Some(stated) = &prepared.stated
            {
                needs.add(stated.readings());
                // Code that ran unseen may have prepared another by its name.
                let replaced = self.state.stale.names && stated.is_data();
                needs.catalog |= replaced || judge::any_of_users(&prepared.types);
            }
        }
        // Behind a unit that stays open the session's own backend cannot be asked, and a name of the next would mean anything.
        needs.catalog |= end != End::Sync && self.path.is_none() && !self.state.unsynced;
        let result = self.judged(session, Unit::Pipeline(bytes, heads, end), needs).await;
        self.partial = end == End::Bound;
        result
    }

    /// Whether something ran that may have changed how text is read since the target last said its settings, which it does at
    /// ReadyForQuery.
    fn is_unsettled(&self) -> bool {
        self.state.unsynced && self.state.stale.encoding
    }

    pub(super) fn sync(&mut self) {
        let plan = Plan::default();
        forward::pipeline(&mut self.state, plan, &mut None, &[], End::Sync, &mut self.target.out);
    }

    /// Learns, understands, decides, records, forwards.
    async fn judged(&mut self, session: &mut Session, unit: Unit, needs: Needs) -> Result<(), Over> {
        self.judged_again = false;
        if !needs.catalog {
            // What it goes on with has been looked up before, and nothing is now.
            self.state.fresh = Instant::now();
            return self.judged_by_known(session, unit).await;
        }
        match self.judged_ahead(session, &unit, needs).await {
            Ahead::Judged(plan, decided, position) => self.settle(session, unit, *plan, *decided, position).await,
            Ahead::Refused(refused) => {
                self.refuse_all(&unit, &refused);
                Ok(())
            }
            Ahead::Over(gone) => Err(gone.into()),
            Ahead::Not => self.judged_anew(session, unit).await,
        }
    }

    /// The same, by what a check of the catalog gives that begins now.
    async fn judged_anew(&mut self, session: &mut Session, unit: Unit) -> Result<(), Over> {
        if let Err(error) = self.learn(session).await? {
            self.refuse_all(&unit, &unreadable(&error));
            return Ok(());
        }
        self.judged_by_known(session, unit).await
    }

    async fn judged_by_known(&mut self, session: &mut Session, unit: Unit) -> Result<(), Over> {
        let (plan, decided) = self.judge(session, &unit);
        if decided.is_empty() {
            self.forward(unit, plan, None, None);
            return Ok(());
        }
        self.settle(session, unit, plan, decided, None).await
    }

    /// Judges a unit by what is known now.
    fn judge(&mut self, session: &mut Session, unit: &Unit) -> (Plan, Decided) {
        let mut plan = self.understand(session, unit);
        let asked = std::mem::take(&mut plan.asked);
        let reach = match unit {
            Unit::Query(..) => Reach::Whole,
            Unit::Pipeline(..) => Reach::Rest,
        };
        let decided = command::decide(session, asked, reach, self.partial);
        (plan, decided)
    }

    async fn settle(
        &mut self,
        session: &mut Session,
        unit: Unit,
        mut plan: Plan,
        decided: Decided,
        position: Option<Arc<str>>,
    ) -> Result<(), Over> {
        let drain = session.door().drain.begun.clone();
        let standing = Standing::of(session);
        let settled = {
            let mut desk = Held {
                conversation: self,
                unit: &unit,
                plan: &mut plan,
                drain,
                standing,
            };
            command::settle(session, decided, &mut desk).await
        };
        match settled {
            Settled::Run(recorded) => {
                let position = match self.look_last(session, &unit, &plan, &recorded).await? {
                    Last::Unpinned => position,
                    // Locks hold what it names, and nobody else's work has to rest.
                    Last::Holds => None,
                    Last::Moved => return self.moved(session, unit, recorded).await,
                    Last::Failed(failed) => {
                        let ran = failed.as_ref().map_or(usize::MAX, |(at, _)| *at);
                        recorded.failed(failed, self.state.number);
                        self.failed_pinned(&unit, &plan, ran);
                        return Ok(());
                    }
                };
                let refused = recorded.refused().map(|(from, _)| *from);
                if let Err(refused) = self.hand_on(session, &plan, refused).await {
                    recorded.refuse();
                    self.refuse_all(&unit, &refused);
                    return Ok(());
                }
                self.forward(unit, plan, Some(recorded), position);
            }
            Settled::Refuse(refused) => self.refuse_all(&unit, &refused),
            Settled::Over(gone) => return Err(self.ending.take().unwrap_or_else(|| gone.into())),
        }
        Ok(())
    }

    /// What a unit was judged by has changed before it was pinned: it is judged again, once.
    async fn moved(&mut self, session: &mut Session, unit: Unit, recorded: Recorded) -> Result<(), Over> {
        recorded.take_back();
        if std::mem::replace(&mut self.judged_again, true) {
            let words = "what this names was changed by others while it was looked at: send it again";
            self.refuse_all(&unit, &Refused::new(Kind::Unavailable, words));
            return Ok(());
        }
        Box::pin(self.judged_anew(session, unit)).await
    }

    /// Understands a unit by what is known now.
    pub(super) fn understand(&mut self, session: &Session, unit: &Unit) -> Plan {
        let mut names = std::mem::take(&mut self.state.names);
        let context = self.context(session);
        let plan = match unit {
            Unit::Query(_, head, text) => judge::query(&context, &mut names, *head, text),
            Unit::Pipeline(bytes, heads, _) => match judge::sent(bytes, heads) {
                Ok(messages) => judge::pipeline(&context, &mut names, messages),
                // Read once before, so this does not happen; an empty plan forwards nothing.
                Err(_) => Plan::default(),
            },
        };
        names.settle();
        self.state.names = names;
        let changed = plan.asked.iter().flat_map(|asked| &asked.command.settings);
        for name in changed.filter(|name| is_own_setting(name)) {
            if self.settings.len() <= MAX_SETTINGS {
                self.settings.insert(name.clone());
            }
        }
        plan
    }

    /// By what is known now.
    fn context<'a>(&'a self, session: &'a Session) -> Context<'a> {
        Context {
            policy: &session.open().policy,
            subject: session.subject(),
            masker: &self.state.masker,
            known: &self.state.known,
            path: self.path.as_ref(),
            database: &self.database,
            role: &self.dialled.credential.username,
            unsettled: self.is_unsettled(),
            in_transaction: self.state.transaction != Transaction::Idle || self.state.unsynced,
            opened: !matches!(self.state.transaction, Transaction::Idle | Transaction::Unsynced),
            at: Time::now().unix_micros().div_euclid(1_000_000),
            shared: self.own.is_nothing(),
            uncommitted: self.own.is_all(),
        }
    }

    /// `position`: where the target has to stand for the unit to run.
    fn forward(&mut self, unit: Unit, plan: Plan, mut recorded: Option<Recorded>, position: Option<Arc<str>>) {
        let out = &mut self.target.out;
        if position.is_some() {
            self.state.fresh = Instant::now();
        }
        forward::go_on(&mut self.state, out);
        match &unit {
            Unit::Query(bytes, ..) => {
                forward::query(&mut self.state, plan, &mut recorded, bytes, position.as_deref(), out);
            }
            Unit::Pipeline(bytes, _, end) => {
                if let Some(position) = &position {
                    precondition::put(&mut self.state, position, out);
                }
                forward::pipeline(&mut self.state, plan, &mut recorded, bytes, *end, out);
            }
        }
        self.assuming = recorded.filter(|_| position.is_some()).map(|recorded| (unit, recorded));
    }

    fn refuse_all(&mut self, unit: &Unit, refused: &Refused) {
        let out = &mut self.target.out;
        match unit {
            Unit::Query(..) => {
                let said: Said = refuse::said(refused);
                forward::refuse_query(&mut self.state, said, out);
            }
            Unit::Pipeline(_, _, end) => forward::refuse_pipeline(&mut self.state, refused, *end, out),
        }
    }
}

fn unreadable(error: &CatalogError) -> Refused {
    Refused::new(Kind::Unavailable, error.to_string())
}
