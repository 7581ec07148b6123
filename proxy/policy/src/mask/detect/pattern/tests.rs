use super::*;

fn spans(pattern: &str, text: &str) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let pattern = Pattern::compile("p", pattern, 4096).unwrap();
    pattern
        .find(text.as_bytes(), |start, end| spans.push((start, end)))
        .unwrap();
    spans
}

#[test]
fn takes_what_both_take() {
    type Case = (&'static str, &'static str, &'static [(usize, usize)]);
    let cases: &[Case] = &[
        (r"EMP-\d{6}", "id EMP-123456.", &[(3, 13)]),
        (r"(?i)emp-[0-9]+", "EMP-1", &[(0, 5)]),
        (r"\bACC[A-Z]\w+", "xACCA1 ACCB2", &[(7, 12)]),
        (r"(?P<a>a|b)c{2,3}", "bccc", &[(0, 4)]),
        (r"[[:alpha:]][^\d\s-]x", "abx", &[(0, 3)]),
        (r"\x41\x{42}", "AB", &[(0, 2)]),
        (r"\p{Greek}\pL", "αβ", &[(0, 4)]),
        (r"é.", "éü", &[(0, 4)]),
        (r"[\w.]+@x", "a.b@x", &[(0, 5)]),
    ];
    for (pattern, text, want) in cases {
        assert_eq!(spans(pattern, text), *want, "{pattern} on {text}");
    }
}

#[test]
fn perl_classes_mean_ascii() {
    assert_eq!(spans(r"\d", "\u{0663}3"), [(2, 3)]);
    assert_eq!(spans(r"\w_", "é_x_"), [(3, 5)]);
    assert_eq!(spans(r"\Dx", "\u{0663}x"), [(0, 3)]);
    // RE2's word boundary is between ASCII letters: a digit after é begins a word.
    assert_eq!(spans(r"\b1", "é1"), [(2, 3)]);
    assert_eq!(spans(r"\s1", "\u{A0}1 1"), [(3, 5)]);
}

#[test]
fn refuses_what_one_does_not_take() {
    for pattern in [
        r"(?=a)a",
        r"a\1",
        r"[a&&b]",
        r"[a--b]",
        r"[^--\Sx]",
        r"[--a]",
        r"[a[bc]]",
        r"(?x)a b",
        r"(?<name>a)",
        r"\u0041",
        r"\U00000041",
        r"\x{41}\u{42}",
        r"a**",
        r"a{2}{3}",
        r"a{1001}",
        r"(?:a{100}){11}",
        r"\<a",
        r"a\b{end}",
        r"(?R)a$",
        r"\p{Script=Greek}",
        r"\p{Letter}",
        r"(?-u:a)",
        r"a{ 2 }",
        r"\Qa\E",
        "(",
        "[",
        r"\C",
    ] {
        assert!(Pattern::compile("p", pattern, 4096).is_err(), "{pattern}");
    }
}

#[test]
fn refuses_what_would_match_everywhere_or_nothing() {
    for pattern in ["", "a*", "a?", "(?:)", "^", "a|", r"\b"] {
        assert_eq!(
            Pattern::compile("p", pattern, 10).unwrap_err(),
            PatternError::Empty,
            "{pattern}"
        );
    }
    for pattern in [
        ".",
        r"\S+",
        r"\w{3,}",
        "[A-Za-z0-9]{4}",
        r"[a-z]+|[0-9]+|[A-Z]+",
        ".{5,}",
        ".{300,}",
        r"\S{5,}",
        r"\S{6,}",
        r"\w{6,}",
        "(?s).{9}",
        "[ -~]{40}",
        // Numbers and capitals alone are spared; words are what most values are made of.
        "[a-z]+",
        "[A-Za-z]{2,}",
        "[a-z0-9]+",
        "(?i)[a-z ]{2,}",
        "[aeiou]",
        "[^0-9]{6,}",
    ] {
        let got = Pattern::compile("p", pattern, 4096).unwrap_err();
        assert!(matches!(got, PatternError::Everything(_)), "{pattern}: {got}");
    }
    for pattern in [
        r"\d+",
        "[A-Z]{4}",
        "[A-Za-z0-9]{22}",
        r"\bC-\w+",
        "[A-Z]{2}[0-9]{6}",
        "(?:[a-z]+ ){5}",
        "[A-Z][a-z]+ [A-Z][a-z]+",
    ] {
        assert!(Pattern::compile("p", pattern, 64).is_ok(), "{pattern}");
    }
    assert!(matches!(
        Pattern::compile("p", "a{20}", 10).unwrap_err(),
        PatternError::TooShort { shortest: 20, .. }
    ));
}

#[test]
fn refuses_what_grows_too_large() {
    assert_eq!(
        Pattern::compile("p", r"(?:\pL{10}){100}x", 4096).unwrap_err(),
        PatternError::TooLarge
    );
}

#[test]
fn errors_say_what_to_do() {
    let error = Pattern::compile("p", "(a", 10).unwrap_err().to_string();
    assert!(error.contains("unclosed group"), "{error}");
    let error = Pattern::compile("p", r"\S{6,}", 10).unwrap_err().to_string();
    assert!(error.contains("RECEIVABLE"), "{error}");
    let error = Pattern::compile("p", "[a&&b]", 10).unwrap_err().to_string();
    assert!(error.contains("RE2"), "{error}");
}
