//! What second people are asked.

use sallyport_audit::Time;
use sallyport_crds::approval_policy::{GrantScope, OnHold};
use sallyport_crds::subject::some_of;
use sallyport_policy::decide::Hold;

use crate::command::Decided;
use crate::command::asked::{binding, view};
use crate::door::{Ask, GrantSought};
use crate::session::Session;

/// One question to second people.
pub(super) struct Question {
    pub(super) hold: Hold,
    pub(super) sought: GrantSought,
    pub(super) mode: OnHold,
    /// From which command on the unit is refused if they say no.
    pub(super) from: usize,
    /// What the asker is told beside the rules' own messages.
    pub(super) notes: Vec<String>,
}

/// Makes it of a unit that is held. `wanted`: what the client wants to happen meanwhile.
pub(super) fn question(
    session: &Session,
    unit: &mut Decided,
    hold: Hold,
    from: usize,
    wanted: Option<OnHold>,
) -> Question {
    let asked = unit.asked();
    let scope = match hold.scope() {
        // Without a normal form, only the exact bytes can be granted.
        GrantScope::Fingerprint if asked.iter().all(|one| one.fingerprint().is_none()) => GrantScope::Command,
        // What lies outside of the ranges is asked about on its own.
        GrantScope::Fingerprint if !unit.is_within_ranges() => GrantScope::Command,
        scope => scope,
    };
    if scope == GrantScope::Fingerprint {
        unit.show_ranges();
    }
    let circumstances = unit.circumstances.as_deref().unwrap_or_default();
    let digest = binding(session, scope, &asked, circumstances, Some(&hold));
    for judged in &mut unit.commands {
        if judged.binding.is_some() {
            judged.binding = Some(digest.clone());
        }
    }
    Question {
        sought: GrantSought {
            digest,
            scope,
            asked_by: hold.asked_by(),
            target: session.target().to_owned(),
        },
        mode: wanted.unwrap_or_else(|| hold.on_hold()),
        hold,
        from,
        notes: Vec::new(),
    }
}

/// What lasts is for what the rules ask about, whatever a command means.
pub(super) fn is_about_commands(scope: GrantScope) -> bool {
    matches!(scope, GrantScope::Command | GrantScope::Fingerprint)
}

/// The question as an object. `break_glass`: why, and for how long.
pub(super) fn request(
    session: &Session,
    unit: &Decided,
    question: &Question,
    break_glass: Option<(String, std::time::Duration)>,
) -> Ask {
    let after = match &break_glass {
        Some((_, duration)) => *duration,
        None => question.hold.expires_after(),
    };
    let after = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    let scope = match break_glass {
        Some(_) => GrantScope::Window,
        None => question.sought.scope,
    };
    Ask {
        identity: session.identity().clone(),
        session: session.id().clone(),
        scope,
        command: view(session, &unit.asked(), question.sought.digest.clone(), unit.risk()),
        asked_by: question.sought.asked_by.clone(),
        expires: Time::from_unix_micros(Time::now().unix_micros().saturating_add(after)),
        on_hold: question.mode,
        break_glass,
    }
}

// === impl Question ===

impl Question {
    pub(super) fn is_about_commands(&self) -> bool {
        is_about_commands(self.sought.scope)
    }

    /// Who can approve, in words.
    pub(super) fn needs(&self) -> Vec<String> {
        let each = self.hold.requirements.iter();
        each.map(|one| some_of(one.required, &one.approvers)).collect()
    }

    /// Why a second person is asked, in the rules' own words, and what else the asker should know.
    pub(super) fn reasons(&self) -> Vec<String> {
        let messages = self
            .hold
            .requirements
            .iter()
            .filter_map(|requirement| requirement.message.clone());
        messages.chain(self.notes.iter().cloned()).collect()
    }
}
