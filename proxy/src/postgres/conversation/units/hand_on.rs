//! What a unit copies protected values to is protected before it runs.

use sallyport_policy::columns::Told;
use sallyport_policy::sql::Verb;

use crate::command::{Kind, Refused};
use crate::door::NotKept;
use crate::postgres::conversation::Conversation;
use crate::postgres::handed::{self, Entry, Place};
use crate::postgres::judge::{self, Act, Plan, Step};
use crate::postgres::names::Stated;
use crate::postgres::rows::View;
use crate::session::Session;

impl Conversation {
    /// Protects what the unit copies protected values to, before it runs: in this process at once, and at every other by the
    /// operator. `refused`: the first command that does not run.
    pub(in crate::postgres::conversation) async fn hand_on(
        &mut self,
        session: &Session,
        plan: &Plan,
        refused: Option<usize>,
    ) -> Result<(), Refused> {
        let mut entries = self.handed(plan, refused)?;
        entries.extend(self.own.learned());
        self.protect(session, entries).await
    }

    /// The same for a command that the target has done, where its names meant something else by the time that it was: values were
    /// copied that it was not known to copy. Whether that may be.
    pub(in crate::postgres::conversation) async fn hand_on_late(&mut self, session: &Session) -> Result<bool, Refused> {
        let Some((view, stated)) = self.state.copied() else {
            return Ok(false);
        };
        let unsure = self.state.astir && view.reads_unmade();
        if !unsure && view.holds(&self.state.known) {
            return Ok(false);
        }
        let now = judge::understand_alone(&self.context(session), &self.state.names, &stated);
        let mut entries = handed::entries(&now.view, self.path.as_ref());
        // What it was in between nobody knows.
        let between = || view.reads_alike(&self.state.known) && !view.is_untouched(&self.state.known);
        if unsure || now.view.nameless || between() {
            entries.extend(handed::entries_of_any(&view, self.path.as_ref()));
        }
        self.protect(session, entries).await?;
        Ok(true)
    }

    async fn protect(&mut self, session: &Session, entries: Vec<Entry>) -> Result<(), Refused> {
        if entries.is_empty() {
            return Ok(());
        }
        let shared: Vec<Entry> = entries.iter().filter(|entry| !entry.own).cloned().collect();
        let news = handed::unkept(&shared, session.open().policy.columns(&self.database));
        if !(self.own.hand_on(entries) && self.catalogs.hand_on(session, &self.database, shared)) {
            return Err(not_handed_on());
        }
        if news.is_empty() {
            return Ok(());
        }
        let told = Told {
            database: self.database.clone(),
            rules: news,
        };
        let kept = session.door().columns.keep(told).await;
        kept.map_err(|error| {
            let kind = match error {
                NotKept::Away => Kind::Unavailable,
                NotKept::Full => Kind::Denied,
            };
            Refused::new(kind, error.to_string())
        })
    }

    /// Whether a unit copies protected values, or may.
    pub(super) fn hands_on(&self, plan: &Plan) -> bool {
        !self.handed(plan, None).is_ok_and(|entries| entries.is_empty())
    }

    /// Everywhere that the unit copies protected values to.
    fn handed(&self, plan: &Plan, refused: Option<usize>) -> Result<Vec<Entry>, Refused> {
        let mut entries: Vec<Entry> = Vec::new();
        // Where names cannot be asked for, what was made before may be renamed as what is made here.
        let (mut made, mut whole) = (self.path.is_none() && self.own.names_any(), true);
        let mut look = |view: &View, stated: &Stated| {
            let protected = &view.known.protected;
            let alters = stated.readings().any(|statement| statement.verbs.contains(Verb::Alter));
            let touches = view.nameless || view.lineages.iter().any(|one| !one.touched_rules(protected).is_empty());
            // What is made under one name and renamed at once is never seen under the name that is noted.
            whole &= !(made && alters && touches);
            let more = handed::entries(view, self.path.as_ref());
            made |= more.iter().any(|entry| matches!(entry.place, Place::Named(_)));
            entries.extend(more);
        };
        let runs = |step: &&Step| !matches!((step.command, refused), (Some(command), Some(from)) if command >= from);
        for step in plan.steps.iter().take_while(runs) {
            match &step.act {
                Act::Query(parts) => parts.iter().for_each(|part| look(&part.view, &part.stated)),
                Act::Bind(_, portal) => {
                    if let Some(stated) = &portal.stated {
                        look(&portal.view, stated);
                    }
                }
                _ => {}
            }
        }
        if whole { Ok(entries) } else { Err(not_handed_on()) }
    }
}

fn not_handed_on() -> Refused {
    let words = "protection could not be handed on to all that this copies to: send the statements one by one";
    Refused::new(Kind::Denied, words)
}
