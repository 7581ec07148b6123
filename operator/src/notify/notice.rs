//! What is told of a request, and in which shape.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use sallyport_crds::approval_policy::GrantScope;
use sallyport_crds::subject::some_of;
use sallyport_crds::{AccessRequest, AccessRequestStatus, ConditionType, condition};
use sallyport_policy::subject::visible;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// As many characters as a text has at most.
const LONGEST: usize = 2_900;
/// What becomes of a request by its conditions.
const ANSWERS: [(ConditionType, What); 7] = [
    (ConditionType::Approved, What::Approved),
    (ConditionType::Denied, What::Denied),
    (ConditionType::Withdrawn, What::Withdrawn),
    (ConditionType::Expired, What::Expired),
    (ConditionType::Revoked, What::Revoked),
    (ConditionType::AdmissionChanged, What::Closed),
    (ConditionType::Reviewed, What::Reviewed),
];

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum What {
    /// Somebody asks.
    Requested,
    /// Somebody went ahead without waiting.
    BreakGlass,
    /// As many people as it takes said yes.
    Approved,
    /// Somebody said no.
    Denied,
    /// The asker takes it back.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// What was granted was taken back.
    Revoked,
    /// It was closed, since admission changed.
    Closed,
    /// A use of break-glass was reviewed.
    Reviewed,
}

/// The shape of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Format {
    /// The notice itself, as JSON.
    #[default]
    Generic,
    /// For an incoming webhook of Slack.
    Slack,
    /// For a workflow of Teams that posts to a channel when a webhook request is received.
    Teams,
}

/// What is told. Of a command only the line that `kubectl get` shows, masked as there: the text stays in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What happened.
    pub event: What,
    /// When the operator saw it.
    pub time: String,
    /// The request.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// The Connection.
    pub connection: String,
    /// Who asks.
    pub requester: String,
    /// Agents that act for them.
    pub agents: Vec<String>,
    /// What would be granted.
    pub scope: GrantScope,
    /// The command in one line.
    pub command: Option<String>,
    /// Its risk score.
    pub risk: Option<i32>,
    /// Relations that it touches.
    pub tables: Vec<String>,
    /// Why, in the asker's words.
    pub reason: Option<String>,
    /// What the operator says of it.
    pub message: Option<String>,
    /// Who can answer, and how many it takes.
    pub approvers: Vec<String>,
    /// When it can no longer be decided.
    pub expires_at: String,
}

/// What is new of a request. `before` are the conditions that stood there, none when it is seen for the first time.
pub fn notices(
    request: &AccessRequest,
    before: &[Condition],
    status: &AccessRequestStatus,
    now: Timestamp,
) -> Vec<Notice> {
    let mut all = Vec::new();
    if before.is_empty() {
        all.push(notice(request, status, asked(request), None, now));
    }
    for (kind, what) in ANSWERS {
        if condition::is_true(&status.conditions, kind) && !condition::is_true(before, kind) {
            all.push(notice(request, status, what, Some(kind), now));
        }
    }
    all
}

/// What stands on a request and came about within a time. A question that was answered is told no more, a use of break-glass
/// is.
pub fn recent(request: &AccessRequest, within: RangeInclusive<Timestamp>, now: Timestamp) -> Vec<Notice> {
    // Of a request that was never looked at all is new, and told as such.
    let Some(status) = request.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
        return Vec::new();
    };
    let made = request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let answered = ANSWERS
        .iter()
        .any(|(kind, _)| condition::is_true(&status.conditions, *kind));
    let mut all = Vec::new();
    if made.is_some_and(|made| within.contains(&made)) && (request.spec.break_glass || !answered) {
        all.push(notice(request, status, asked(request), None, now));
    }
    for (kind, what) in ANSWERS {
        let mut stated = status.conditions.iter();
        let holds = |one: &Condition| one.type_ == kind.as_str() && one.status == "True";
        if stated.any(|one| holds(one) && within.contains(&one.last_transition_time.0)) {
            all.push(notice(request, status, what, Some(kind), now));
        }
    }
    all
}

fn asked(request: &AccessRequest) -> What {
    match request.spec.break_glass {
        true => What::BreakGlass,
        false => What::Requested,
    }
}

fn notice(
    request: &AccessRequest,
    status: &AccessRequestStatus,
    event: What,
    kind: Option<ConditionType>,
    now: Timestamp,
) -> Notice {
    let spec = &request.spec;
    let command = spec.command.as_ref();
    let stated = kind.and_then(|kind| status.conditions.iter().find(|one| one.type_ == kind.as_str()));
    let requirements = status.requirements.as_deref().unwrap_or_default();
    let needs = requirements.iter().map(|one| some_of(one.required, &one.approvers));
    Notice {
        event,
        time: now.to_string(),
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        connection: spec.connection.name.clone(),
        requester: spec.requester.username.clone(),
        agents: spec.agents.iter().map(|agent| agent.username.clone()).collect(),
        scope: spec.scope,
        command: command.map(|command| command.summary.clone()),
        risk: command.map(|command| command.risk),
        tables: command.map(|command| command.tables.clone()).unwrap_or_default(),
        reason: spec.reason.clone(),
        message: stated.map(|one| one.message.clone()),
        approvers: needs.collect(),
        expires_at: spec.expires_at.0.to_string(),
    }
}

// === impl Notice ===

impl Notice {
    /// The same notice sent twice has the same one: receivers tell by it what they know already.
    pub fn id(&self) -> String {
        format!("{}-{:?}", self.uid, self.event)
    }

    /// The body of a request to a webhook.
    pub fn body(&self, format: Format) -> Value {
        match format {
            Format::Generic => json!(self),
            // A text that is plain is no markup: what somebody typed into a statement mentions nobody and links nowhere.
            Format::Slack => json!({
                "text": unmarked(&self.text()),
                "blocks": [{"type": "section", "text": {"type": "plain_text", "text": self.text(), "emoji": false}}],
            }),
            Format::Teams => json!({
                "type": "message",
                "attachments": [{
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "content": {
                        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                        "type": "AdaptiveCard",
                        "version": "1.4",
                        "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": self.text()}]}],
                    },
                }],
            }),
        }
    }

    /// For people, in a few lines. Slack takes 3,000 characters of it. What others wrote begins no line: it could tell people to
    /// answer another request.
    fn text(&self) -> String {
        let who = match self.agents.as_slice() {
            [] => visible(&self.requester),
            agents => visible(&format!("{} through {}", self.requester, agents.join(", "))),
        };
        let what = match (&self.command, self.risk) {
            (Some(command), Some(risk)) => format!("\n| {}\nrisk {risk}", visible(command)),
            _ => String::new(),
        };
        let mut text = format!(
            "{} {}/{}: {who} on connection {}{what}",
            self.event.words(),
            self.namespace,
            self.name,
            self.connection
        );
        for (before, words) in [("because: ", &self.reason), ("", &self.message)] {
            if let Some(words) = words {
                text.push_str(&format!("\n{before}{}", visible(words)));
            }
        }
        let verb = match self.event {
            What::Requested => "approve",
            What::BreakGlass => "review",
            _ => return text.chars().take(LONGEST).collect(),
        };
        let answer = format!("kubectl sallyport {verb} {} -n {}", self.name, self.namespace);
        // However much there is before it, and of those who can, how to answer is told.
        let approvers = visible(&self.approvers.join("; "));
        let approvers: String = approvers.chars().take(LONGEST / 2).collect();
        let answer = format!("\nIt takes {approvers}: {answer}");
        let room = LONGEST.saturating_sub(answer.chars().count());
        text.chars().take(room).chain(answer.chars()).collect()
    }
}

// === impl What ===

impl What {
    fn words(self) -> &'static str {
        match self {
            Self::Requested => "Approval is asked for",
            Self::BreakGlass => "Break-glass was used",
            Self::Approved => "Approved",
            Self::Denied => "Denied",
            Self::Withdrawn => "Withdrawn",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
            Self::Closed => "Closed",
            Self::Reviewed => "Reviewed",
        }
    }
}

/// Slack reads markup in what it shows of a message elsewhere.
fn unmarked(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
