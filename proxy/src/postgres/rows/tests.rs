use sallyport_policy::mask::{Keys, MaskSet};

use super::*;

#[test]
fn a_plan_is_kept_for_one_catalog_description_and_format() {
    let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
    let known = Arc::new(Known::default());
    let view = View::unknown(masker, Arc::clone(&known));
    let plan = |known: &Arc<Known>, description: &[u8], formats: Option<&[i16]>| {
        view.planned(known, description, &[], formats).unwrap()
    };
    let first = plan(&known, b"a", None);
    assert!(Rc::ptr_eq(&first, &plan(&known, b"a", None)));
    let large = vec![0; MAX_KEPT + 1];
    for (known, description, formats) in [
        (&known, b"b".as_slice(), None),
        (&known, b"a".as_slice(), Some([1].as_slice())),
        (&known, large.as_slice(), None),
        (&Arc::new(Known::default()), b"a".as_slice(), None),
    ] {
        let first = plan(&view.known, b"a", None);
        assert!(!Rc::ptr_eq(&first, &plan(known, description, formats)));
    }
    let first = plan(&known, &large, None);
    assert!(!Rc::ptr_eq(&first, &plan(&known, &large, None)), "it is large");
}

#[test]
fn a_plan_that_is_kept_holds_no_catalog() {
    let masker = MaskSet::new(Vec::new(), Keys::default()).masker(&RuleSet::default());
    let view = View::unknown(masker, Arc::default());
    let known = Arc::new(Known::default());
    let _kept = view.planned(&known, b"a", &[], None).unwrap();
    assert!(Arc::into_inner(known).is_some());
}
