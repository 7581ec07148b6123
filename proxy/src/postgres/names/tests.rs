use sallyport_policy::mask::{Keys, MaskSet, RuleSet};

use super::*;

fn prepared(text: &str) -> Rc<Prepared> {
    let script = Arc::new(sallyport_policy::sql::parse(text).unwrap());
    Rc::new(Prepared {
        stated: Some(Stated {
            text: text.into(),
            script,
            index: 0,
        }),
        by_sql: true,
        types: Vec::new(),
        meant: Meant::default(),
    })
}

fn text(names: &Names, name: &str) -> Option<String> {
    names
        .statement(name)
        .and_then(|prepared| prepared.stated.as_ref().map(|stated| stated.text.to_string()))
}

#[test]
fn what_was_judged_a_minute_ago_is_judged_otherwise_by_now() {
    let then = Moment { revision: 7, at: 1_000 };
    for (revision, at, good) in [
        (7, 1_000, true),
        (7, 1_060, true),
        (7, 1_061, false),
        (7, 999, true),
        (8, 1_000, false),
        (6, 1_000, false),
    ] {
        assert_eq!(then.is_as_good_as(Moment { revision, at }), good, "{revision} at {at}");
    }
}

#[test]
fn a_unit_sees_its_own_changes_and_the_session_those_that_happened() {
    let mut names = Names::default();
    names.apply(Change::Prepare("p".into(), prepared("select 1")));
    names.expect(Change::Deallocate(None));
    assert_eq!(text(&names, "p"), None);
    names.expect(Change::Prepare("p".into(), prepared("select 2")));
    assert_eq!(text(&names, "p").as_deref(), Some("select 2"));
    names.settle();
    assert_eq!(text(&names, "p").as_deref(), Some("select 1"));
    names.reread(vec![("q".into(), prepared("select 3"))]);
    assert_eq!(text(&names, "p"), None);
    assert_eq!(text(&names, "q").as_deref(), Some("select 3"));
}

#[test]
fn portals_and_cursors_share_their_names() {
    let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
    let view = Rc::new(View::unknown(masker, Arc::default()));
    let portal = |text: &str| {
        Rc::new(Portal {
            stated: prepared(text).stated.clone(),
            ..Portal::new(Rc::clone(&view), Moment { revision: 1, at: 0 })
        })
    };
    let declared = |text: &str| Change::Declare("c".into(), prepared(text).stated.clone().unwrap(), Rc::clone(&view));
    let bound = |text: &str| Change::Bind("c".into(), portal(text));
    let cursor = |names: &Names| names.cursor("c").map(|(stated, _)| stated.text.to_string());
    let (one, other) = ("declare c cursor for select 1", "select 2");
    for applied in [true, false] {
        let mut names = Names::default();
        let take = |names: &mut Names, change: Change| match applied {
            true => drop(names.apply(change)),
            false => names.expect(change),
        };
        take(&mut names, declared(one));
        assert!(names.portal("c").is_none());
        take(&mut names, bound(other));
        assert_eq!(
            cursor(&names).as_deref(),
            Some(other),
            "the cursor is gone, or Bind had failed"
        );
        assert!(names.portal("c").is_some());
        take(&mut names, declared(one));
        assert_eq!(cursor(&names).as_deref(), Some(one));
        assert!(names.portal("c").is_none(), "the portal is gone, or DECLARE had failed");
    }
}

#[test]
fn of_cursors_only_those_that_are_held_outlive_their_transaction() {
    let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
    let view = Rc::new(View::unknown(masker, Arc::default()));
    let mut names = Names::default();
    for (name, sql) in [
        ("gone", "declare gone cursor for select 1"),
        ("held", "declare held cursor with hold for select 1"),
    ] {
        let stated = prepared(sql).stated.clone().unwrap();
        names.apply(Change::Declare(name.into(), stated, Rc::clone(&view)));
    }
    names.transaction_ended();
    assert!(names.cursor("gone").is_none() && names.cursor("held").is_some());
}
