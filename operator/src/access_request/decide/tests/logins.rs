//! Approvals for which a policy asks that their authors had logged in recently.

use super::*;

/// A moment at which somebody looks; logins count from here.
const NOW: i64 = 100_000;

/// As many of the group as asked for, whose logins are at most ten minutes old.
fn strict(required: i32) -> Found {
    let mut found = found(required);
    let approval = found.policies[0].spec.rules[0].approval.as_mut().unwrap();
    approval.max_login_age = Some("10m".parse().unwrap());
    found
}

/// A request that the operator looked at before anybody answered.
fn asked(found: &Found) -> AccessRequest {
    let mut request = request(Value::Null);
    request.spec.expires_at = Time(at(10 * NOW));
    request.status = decide(&request, found, at(1));
    request
}

/// Somebody who logged in then approves.
fn approve(request: &mut AccessRequest, who: &str, logged_in: Option<i64>) {
    let mut entry = answer(who, "Approve");
    if let Some(logged_in) = logged_in {
        entry["authTime"] = logged_in.into();
    }
    let entry = serde_json::from_value(entry).unwrap();
    let status = request.status.as_mut().unwrap();
    status.approvals.as_mut().unwrap().push(entry);
}

fn look(request: &mut AccessRequest, found: &Found, now: i64) -> AccessRequestStatus {
    request.status = decide(request, found, at(now));
    request.status.clone().unwrap()
}

fn approved(status: &AccessRequestStatus) -> (&str, &str, &str) {
    let mut all = status.conditions.iter();
    let one = all.find(|one| one.type_ == "Approved").unwrap();
    (&one.status, &one.reason, &one.message)
}

#[test]
fn a_login_counts_by_its_age_when_the_approval_was_first_seen() {
    let found = strict(2);
    let mut request = asked(&found);
    assert_eq!(
        request.status.as_ref().unwrap().requirements.as_ref().unwrap()[0].max_login_age,
        Some("10m".parse().unwrap())
    );
    approve(&mut request, "bob", Some(NOW - 600));
    assert_eq!(look(&mut request, &found, NOW).progress.as_deref(), Some("1/2"));
    // The other one takes an hour, and bob stays counted.
    approve(&mut request, "carol", Some(NOW + 3_600));
    let status = look(&mut request, &found, NOW + 3_600);
    assert_eq!(
        approved(&status),
        ("True", "ApprovedByPeople", "approved by oidc:bob, oidc:carol")
    );
    assert_eq!(look(&mut request, &found, NOW + 7_200), status);
}

#[test]
fn who_logged_in_too_long_ago_is_told_and_approves_again() {
    for logged_in in [Some(NOW - 601), None] {
        let found = strict(1);
        let mut request = asked(&found);
        approve(&mut request, "bob", logged_in);
        let status = look(&mut request, &found, NOW);
        let (truth, reason, message) = approved(&status);
        assert_eq!((truth, reason), ("False", "LoginTooOld"), "{logged_in:?}");
        assert!(
            message.starts_with("0/1 approvals; not counted: oidc:bob, whose login was older than 10m"),
            "{message}"
        );
        assert_eq!(
            status.approvals,
            Some(vec![]),
            "admission lets nobody approve whose entry stands"
        );
        let told = super::super::told(&request, &status);
        assert!(
            told.iter()
                .any(|finding| finding.reason == sallyport_crds::Reason::LoginTooOld),
            "{told:?}"
        );
        assert_eq!(look(&mut request, &found, NOW + 60), status, "it stays said");
        approve(&mut request, "bob", logged_in);
        assert_eq!(
            approved(&look(&mut request, &found, NOW + 90)).1,
            "LoginTooOld",
            "the same login is as old"
        );
        approve(&mut request, "bob", Some(NOW + 100));
        assert_eq!(approved(&look(&mut request, &found, NOW + 120)).0, "True");
    }
}

#[test]
fn a_login_is_as_old_as_it_is_when_a_dropped_approval_comes_again() {
    let found = strict(2);
    let mut request = asked(&found);
    approve(&mut request, "bob", Some(NOW - 60));
    assert_eq!(look(&mut request, &found, NOW).progress.as_deref(), Some("1/2"));
    let mut changed = strict(2);
    changed.policies[0].spec.rules[0].approval.as_mut().unwrap().approvers[0].name = "oidc:board".into();
    assert!(look(&mut request, &changed, NOW + 60).logins.is_empty());
    look(&mut request, &found, NOW + 120);
    approve(&mut request, "bob", Some(NOW - 60));
    assert_eq!(look(&mut request, &found, NOW + 3_600).progress.as_deref(), Some("0/2"));
}

#[test]
fn a_policy_that_asks_by_now_takes_back_what_was_approved_without() {
    let mut request = asked(&found(1));
    approve(&mut request, "bob", None);
    let status = look(&mut request, &found(1), NOW);
    assert_eq!((approved(&status).0, status.logins.is_empty()), ("True", true));
    assert_eq!(approved(&look(&mut request, &strict(1), NOW + 1)).1, "LoginTooOld");
}
