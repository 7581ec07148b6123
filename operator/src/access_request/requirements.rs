//! Who may answer a request: written from the policies in force, never from what the request says of itself.

use sallyport_crds::access_request::{AccessRequestSpec, Requirement, RuleIdentity};
use sallyport_crds::approval_policy::{Approval, GrantScope, PolicyRule, RuleAction};
use sallyport_crds::{ApprovalPolicySpec, Mode, Subject, SubjectKind};
use sallyport_policy::carrier::CarriedRule;
use sallyport_policy::issuer::ApproverMapping;

/// As many requirements as a request may have.
pub const MOST: usize = 16;
/// As many approvers as a requirement may have.
const MOST_APPROVERS: usize = 32;
/// As long as the name of a subject may be.
const LONGEST_NAME: usize = 253;

/// The requirements of a request. None: a rule that asks is no longer in force, so nobody can approve what it asked for.
pub fn requirements(
    spec: &AccessRequestSpec,
    policies: &[CarriedRule<ApprovalPolicySpec>],
    mappings: &[ApproverMapping],
) -> Option<Vec<Requirement>> {
    let mut all = stated(spec, policies)?;
    for requirement in &mut all {
        list(&mut requirement.approvers, mappings);
    }
    Some(all)
}

/// Admission knows a declared name as a name alone: one whose declared groups are approvers is listed beside them.
fn list(approvers: &mut Vec<Subject>, mappings: &[ApproverMapping]) {
    let means = |mapping: &ApproverMapping, subject: &Subject| {
        subject.kind == SubjectKind::Group && mapping.groups.contains(&subject.name)
    };
    for mapping in mappings.iter().filter(|mapping| is_a_name(&mapping.username)) {
        let user = Subject {
            kind: SubjectKind::User,
            name: mapping.username.clone(),
            namespace: None,
        };
        let meant = approvers.iter().any(|subject| means(mapping, subject));
        if meant && !approvers.contains(&user) && approvers.len() < MOST_APPROVERS {
            approvers.push(user);
        }
    }
}

/// Whether the API server takes it as the name of a subject: one that it refuses would hold up the whole status.
fn is_a_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name != "*"
        && !name.starts_with("system:")
        && name.trim() == name
        && !name.contains(char::is_control)
}

/// What the policies state.
fn stated(spec: &AccessRequestSpec, policies: &[CarriedRule<ApprovalPolicySpec>]) -> Option<Vec<Requirement>> {
    if spec.break_glass {
        return reviewers(spec, policies);
    }
    if spec.scope == GrantScope::Window && spec.session.is_none() {
        let all = windows(policies);
        return (!all.is_empty()).then_some(all);
    }
    if spec.asked_by.is_empty() {
        return None;
    }
    spec.asked_by.iter().map(|asked| named(asked, policies)).collect()
}

/// Who reviews a use of break-glass: every policy that asked says for itself.
fn reviewers(spec: &AccessRequestSpec, policies: &[CarriedRule<ApprovalPolicySpec>]) -> Option<Vec<Requirement>> {
    let each = spec.asked_by.iter().map(|asked| {
        let policy = policies.iter().find(|policy| policy.uid == asked.uid)?;
        let leave = policy.spec.break_glass.as_ref()?;
        Some(Requirement {
            asked_by: RuleIdentity {
                generation: policy.generation,
                ..asked.clone()
            },
            approvers: leave.reviewers.clone(),
            required: 1,
            reason_required: false,
            max_login_age: None,
            // A use lasts as long as its own window, from the moment that the glass was broken.
            valid_for: None,
        })
    });
    each.collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

/// A window is asked for beforehand, so it needs everybody whom any rule of this Connection wants for one.
fn windows(policies: &[CarriedRule<ApprovalPolicySpec>]) -> Vec<Requirement> {
    let each = policies
        .iter()
        .flat_map(|policy| granting(&policy.spec).map(move |(rule, approval)| requirement(policy, rule, approval)));
    each.collect()
}

/// Whether a policy grants windows to whoever asks for one beforehand.
pub fn grants_windows(spec: &ApprovalPolicySpec) -> bool {
    granting(spec).next().is_some()
}

/// The rules that grant windows.
fn granting(spec: &ApprovalPolicySpec) -> impl Iterator<Item = (&PolicyRule, &Approval)> {
    let acting = spec.rules.iter().filter(move |_| spec.mode == Mode::Enforce);
    acting.filter_map(|rule| {
        let approval = rule.approval.as_ref()?;
        (approval.grant.scope == GrantScope::Window).then_some((rule, approval))
    })
}

fn named(asked: &RuleIdentity, policies: &[CarriedRule<ApprovalPolicySpec>]) -> Option<Requirement> {
    let policy = policies
        .iter()
        .find(|policy| policy.uid == asked.uid && policy.name == asked.policy)?;
    let rule = policy
        .spec
        .rules
        .iter()
        .find(|rule| rule.name == asked.rule && rule.action == RuleAction::RequireApproval)?;
    Some(requirement(policy, rule, rule.approval.as_ref()?))
}

fn requirement(policy: &CarriedRule<ApprovalPolicySpec>, rule: &PolicyRule, approval: &Approval) -> Requirement {
    Requirement {
        asked_by: RuleIdentity {
            policy: policy.name.clone(),
            uid: policy.uid.clone(),
            generation: policy.generation,
            rule: rule.name.clone(),
        },
        approvers: approval.approvers.clone(),
        required: approval.required,
        reason_required: approval.reason_required,
        max_login_age: approval.max_login_age,
        valid_for: approval.grant.valid_for,
    }
}
