use proptest::prelude::*;

use super::*;

fn scanner(kinds: &[Kind]) -> Scanner {
    let numbered: Vec<(Kind, u16, bool)> = kinds
        .iter()
        .zip(0..)
        .map(|(kind, entry)| (*kind, entry, true))
        .collect();
    Scanner::new(&numbered, Vec::new())
}

const ALL: &[Kind] = &[
    Kind::UsSsn,
    Kind::UsItin,
    Kind::CreditCard,
    Kind::IbanCode,
    Kind::EmailAddress,
    Kind::PhoneNumber,
];

/// The hits as `KIND:text`.
fn hits(text: &str, label: &str) -> Vec<String> {
    let mut hits = Vec::new();
    scanner(ALL).scan(text.as_bytes(), Context::value(label.as_bytes()), &mut hits);
    let name = |entry: u16| ALL.get(usize::from(entry)).map_or("?", |kind| kind.name());
    hits.iter()
        .map(|hit| format!("{}:{}", name(hit.entry), text.get(hit.start..hit.end).unwrap_or("?")))
        .collect()
}

#[test]
fn recognises() {
    let cases: &[(&str, &[&str])] = &[
        // Social Security numbers.
        ("536-90-4399", &["US_SSN:536-90-4399"]),
        ("536 90 4399", &["US_SSN:536 90 4399"]),
        ("536.90.4399", &["US_SSN:536.90.4399"]),
        ("536904399", &["US_SSN:536904399"]),
        (" 536904399\n", &["US_SSN:536904399"]),
        ("her ssn is 536904399, he says", &["US_SSN:536904399"]),
        ("a536-90-4399", &["US_SSN:536-90-4399"]),
        ("536-90-4399,400-02-0002", &["US_SSN:536-90-4399", "US_SSN:400-02-0002"]),
        ("x 12 536-90-4399 34", &["US_SSN:536-90-4399"]),
        ("Key (ssn)=(536-90-4399) already exists.", &["US_SSN:536-90-4399"]),
        ("536\u{2011}90\u{2011}4399", &["US_SSN:536\u{2011}90\u{2011}4399"]),
        ("5\u{200B}36-90-4399", &["US_SSN:5\u{200B}36-90-4399"]),
        (
            "\u{FF15}\u{FF13}\u{FF16}-90-4399",
            &["US_SSN:\u{FF15}\u{FF13}\u{FF16}-90-4399"],
        ),
        ("raw \\x3533362d39302d34333939 end", &["US_SSN:3533362d39302d34333939"]),
        // Taxpayer numbers.
        ("912-70-1234", &["US_ITIN:912-70-1234"]),
        ("912-94-1234", &["US_ITIN:912-94-1234"]),
        ("ITIN 912701234.", &["US_ITIN:912701234"]),
        // Cards.
        ("4111 1111 1111 1111", &["CREDIT_CARD:4111 1111 1111 1111"]),
        ("4111-1111-1111-1111", &["CREDIT_CARD:4111-1111-1111-1111"]),
        ("4111111111111111", &["CREDIT_CARD:4111111111111111"]),
        ("4111 1111 1111 1111 123", &["CREDIT_CARD:4111 1111 1111 1111"]),
        ("card=5500005555555559;", &["CREDIT_CARD:5500005555555559"]),
        ("2221000000000009", &["CREDIT_CARD:2221000000000009"]),
        ("2720 9999 9999 9996", &["CREDIT_CARD:2720 9999 9999 9996"]),
        ("2223 0031 2200 3222", &["CREDIT_CARD:2223 0031 2200 3222"]),
        ("3782 822463 10005", &["CREDIT_CARD:3782 822463 10005"]),
        ("30569309025904", &["CREDIT_CARD:30569309025904"]),
        ("6011111111111117", &["CREDIT_CARD:6011111111111117"]),
        ("3530111333300000", &["CREDIT_CARD:3530111333300000"]),
        ("6759649826438453", &["CREDIT_CARD:6759649826438453"]),
        ("4222222222222", &["CREDIT_CARD:4222222222222"]),
        // IBANs.
        ("DE89370400440532013000", &["IBAN_CODE:DE89370400440532013000"]),
        (
            "DE89 3704 0044 0532 0130 00",
            &["IBAN_CODE:DE89 3704 0044 0532 0130 00"],
        ),
        (
            "pay to gb82west12345698765432 now",
            &["IBAN_CODE:gb82west12345698765432"],
        ),
        (
            "MT84MALT011000012345MTLCAST001S",
            &["IBAN_CODE:MT84MALT011000012345MTLCAST001S"],
        ),
        ("NO9386011117947", &["IBAN_CODE:NO9386011117947"]),
        (
            "FR1420041010050500013M02606",
            &["IBAN_CODE:FR1420041010050500013M02606"],
        ),
        // E-mail.
        ("ada@example.org", &["EMAIL_ADDRESS:ada@example.org"]),
        (
            "<Ada.L+x@mail.example.co.uk>, bob@b.de",
            &["EMAIL_ADDRESS:Ada.L+x@mail.example.co.uk", "EMAIL_ADDRESS:bob@b.de"],
        ),
        ("'o'brien@example.org'", &["EMAIL_ADDRESS:o'brien@example.org"]),
        ("ünal@bücher.de.", &["EMAIL_ADDRESS:ünal@bücher.de"]),
        // Telephone.
        ("(415) 555-0132", &["PHONE_NUMBER:(415) 555-0132"]),
        ("(415)555-0132", &["PHONE_NUMBER:(415)555-0132"]),
        ("415-555-0132", &["PHONE_NUMBER:415-555-0132"]),
        ("415.555.0132", &["PHONE_NUMBER:415.555.0132"]),
        ("1-415-555-0132", &["PHONE_NUMBER:1-415-555-0132"]),
        ("+1 (415) 555-0132", &["PHONE_NUMBER:+1 (415) 555-0132"]),
        ("+14155550132", &["PHONE_NUMBER:+14155550132"]),
        ("+49 30 901820", &["PHONE_NUMBER:+49 30 901820"]),
        ("tel:+442079460958", &["PHONE_NUMBER:+442079460958"]),
        ("call 4155550132 today", &["PHONE_NUMBER:4155550132"]),
        ("0049 30 901820", &["PHONE_NUMBER:0049 30 901820"]),
    ];
    for (text, want) in cases {
        assert_eq!(hits(text, ""), *want, "{text}");
    }
}

#[test]
fn leaves_look_alikes_readable() {
    let cases: &[&str] = &[
        "order 536904399 shipped",
        "000-12-3456",
        "666-12-3456",
        "536-00-4399",
        "536-90-0000",
        "900-12-3456",
        "912-49-1234",
        "123-45-67890",
        "1234-56-7890",
        "536-90 4399",
        "2026-11-22",
        "2026-11-22 10:15:30.123456",
        "4111 1111 1111 1112",
        "1234567890123456",
        "9999999999999995",
        "1700000000000",
        "41111111111111111111",
        "411111111111111111111111111111",
        "41111111-1111-1111-1111-111111111111",
        "3.14159265358979",
        "0.4111111111111111",
        "DE88370400440532013000",
        "XX89370400440532013000",
        "DE8937040044053201300",
        "ADE89370400440532013000",
        "DE89370400440532013000X",
        "ada@localhost",
        "@example.org",
        "a@b@c",
        "192.168.100.200",
        "4155550132",
        "115-555-0132",
        "911-555-0132",
        "415-155-0132",
        "415-555-01321",
        "12-415-555-0132-9",
        "1+12345678",
        "+0123456789",
        "a4111111111111111bcdef0123456789",
        "10.1.2.3",
        "",
    ];
    for text in cases {
        assert_eq!(hits(text, ""), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_name_makes_a_bare_number_mean_something() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("phone", "4155550132", &["PHONE_NUMBER:4155550132"]),
        ("work_phone", "call", &[]),
        ("mobile", "14155550132", &["PHONE_NUMBER:14155550132"]),
        ("order_no", "4155550132", &[]),
        ("ssn", "id 536904399 x", &["US_SSN:536904399"]),
        ("session", "id 536904399 x", &[]),
    ];
    for (label, text, want) in cases {
        assert_eq!(hits(text, label), *want, "{label}={text}");
    }
}

/// Google's infoTypes, as its reference lists them, and the detectors that they are.
const INFO_TYPES: &[(&str, Kind)] = &[
    ("AWS_CREDENTIALS", Kind::AwsCredentials),
    ("AZURE_AUTH_TOKEN", Kind::AzureAuthToken),
    ("CREDIT_CARD_NUMBER", Kind::CreditCard),
    ("DATE_OF_BIRTH", Kind::DateOfBirth),
    ("EMAIL_ADDRESS", Kind::EmailAddress),
    ("ENCRYPTION_KEY", Kind::PemPrivateKey),
    ("GCP_API_KEY", Kind::GcpApiKey),
    ("IBAN_CODE", Kind::IbanCode),
    ("IP_ADDRESS", Kind::IpAddress),
    ("JSON_WEB_TOKEN", Kind::JsonWebToken),
    ("MAC_ADDRESS", Kind::MacAddress),
    ("MEDICAL_RECORD_NUMBER", Kind::MedicalRecordNumber),
    ("PASSWORD", Kind::Password),
    ("PHONE_NUMBER", Kind::PhoneNumber),
    ("SWIFT_CODE", Kind::SwiftCode),
    ("US_BANK_ROUTING_MICR", Kind::AbaRoutingNumber),
    ("US_DRIVERS_LICENSE_NUMBER", Kind::UsDriverLicense),
    ("US_EMPLOYER_IDENTIFICATION_NUMBER", Kind::UsEin),
    ("US_HEALTHCARE_NPI", Kind::UsNpi),
    ("US_INDIVIDUAL_TAXPAYER_IDENTIFICATION_NUMBER", Kind::UsItin),
    ("US_PASSPORT", Kind::UsPassport),
    ("US_SOCIAL_SECURITY_NUMBER", Kind::UsSsn),
];

/// Names that others give what is found.
const OTHER_NAMES: &[(&str, Kind)] = &[
    ("AWS_ACCESS_KEY", Kind::AwsCredentials),
    ("AZURE_STORAGE_KEY", Kind::AzureAuthToken),
    ("BASIC_AUTH_URL", Kind::UrlWithCredentials),
    ("BIC", Kind::SwiftCode),
    ("JWT", Kind::JsonWebToken),
];

#[test]
fn names_and_aliases_are_found() {
    let told = || INFO_TYPES.iter().chain(OTHER_NAMES);
    for (name, kind) in told() {
        assert_eq!(Kind::from_name(name), Some(*kind), "{name}");
    }
    assert_eq!(Kind::from_name("SHOE_SIZE"), None);
    assert_eq!(Kind::from_name(""), None);
    for detector in DETECTORS {
        assert_eq!(Kind::from_name(detector.name), Some(detector.kind));
        assert!((1..=100).contains(&detector.score) && !detector.validates.is_empty());
        for alias in detector.aliases {
            let listed = told().any(|(name, kind)| name == alias && *kind == detector.kind);
            assert!(listed, "{alias} stands in neither list");
        }
    }
}

#[test]
fn whoever_writes_a_rule_is_told_of_every_detector() {
    let definition = include_str!("../../../../../config/crd/maskingrules.yaml");
    let told = definition.split("Built-in detectors by").nth(1).unwrap();
    let told = told.split(" taken as").next().unwrap();
    for detector in DETECTORS {
        assert!(told.contains(detector.name), "{}", detector.name);
    }
}

#[test]
fn the_page_says_what_each_detector_is() {
    let page = include_str!("../../../../../docs/detectors.md");
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for detector in DETECTORS {
        let (mut taken, mut words) = (String::new(), String::new());
        if !detector.aliases.is_empty() {
            taken = format!(" Also taken: {}.", quoted(detector.aliases));
        }
        if !detector.words.is_empty() {
            words = format!("\nWords: {}.\n", quoted(detector.words));
        }
        let (name, score, validates) = (detector.name, detector.score, detector.validates);
        let told = format!("## {name}\n\nScore {score}.{taken}\n\n{validates}\n{words}");
        assert!(page.contains(&told), "docs/detectors.md lacks\n{told}");
    }
}

#[test]
fn an_observed_hit_does_not_hide_what_lies_inside() {
    let text = b"+1 536-90-4399 12";
    let scanner = Scanner::new(&[(Kind::PhoneNumber, 0, false), (Kind::UsSsn, 1, true)], Vec::new());
    let mut hits = Vec::new();
    scanner.scan(text, Context::default(), &mut hits);
    assert!(
        hits.iter().any(|hit| hit.entry == 1 && (hit.start, hit.end) == (3, 14)),
        "{hits:?}"
    );
}

#[test]
fn a_hit_that_is_cut_after_so_many_bytes_is_not_cut_within_a_character() {
    let (before, found) = ("漢".repeat(30), "漢".repeat(21));
    let want = format!("EMAIL_ADDRESS:{found}ada@example.org");
    assert_eq!(hits(&format!("{before}ada@example.org"), ""), [want]);
}

#[test]
fn only_a_name_keeps_json_without_signs_from_being_passed_over() {
    let scanner = scanner(&[Kind::MacAddress, Kind::SwiftCode]);
    let cases: &[(&str, &str, bool)] = &[
        ("notes", r#"["abcdefabcdef","b"]"#, true),
        ("mac", r#"["abcdefabcdef","b"]"#, false),
        ("bic", r#"["DEUTDEFF"]"#, false),
        ("notes", r#"{"mac":"abcdefabcdef"}"#, false),
    ];
    for (label, text, quiet) in cases {
        let context = Context::value(label.as_bytes());
        assert_eq!(scanner.is_quiet(text.as_bytes(), context), *quiet, "{label}={text}");
    }
    // What a key may name is looked at behind its colon.
    let mut named = DETECTORS.iter().filter(|one| matches!(one.find, Find::Named(..)));
    assert!(named.all(|one| one.find.signs().contains(&b':')));
}

/// As PostgreSQL keeps constants of defaults, checks and policies.
#[test]
fn constants_of_node_trees_are_read() {
    let list = |kind: &str, list: &str| format!("{kind}:{list}");
    let ssn = "60 0 0 0 53 51 54 45 57 48 45 52 51 57 57";
    // Bytes of others than ASCII, as a server on x86 writes them, and one on ARM.
    let mail = "76 0 0 0 97 110 110 97 64 98 -61 -68 99 104 101 114 46 100 101";
    let (card, on_arm) = ("-57 -15 104 -91 8 -101 14 0", "199 241 104 165 8 155 14 0");
    for (kind, bytes) in [
        ("US_SSN", ssn),
        ("EMAIL_ADDRESS", mail),
        ("CREDIT_CARD", card),
        ("CREDIT_CARD", on_arm),
    ] {
        let tree = format!("{{CONST :consttype 25 :constisnull false :location -1 :constvalue 15 [ {bytes} ]}}");
        assert!(hits(&tree, "adbin").contains(&list(kind, bytes)), "{tree}");
    }
    // No constant, another number of bytes for a number, and no bytes.
    for text in [
        format!("[ {ssn} ]"),
        format!(":constvalue 9 [ {card} 0 ]"),
        format!(":constvalue 15 [ 300 {ssn} ]"),
        format!(":constvalue 15 [{ssn} ]"),
    ] {
        let found = hits(&text, "adbin");
        let read = [ssn, card].map(|bytes| found.iter().any(|hit| hit.ends_with(bytes)));
        assert_eq!(read, [false, false], "{text}: {found:?}");
    }
}

/// Text made of what the scanners look for, so that their edges are reached often.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("4111 1111 1111 1111".as_bytes().to_vec()),
        Just("536-90-4399".as_bytes().to_vec()),
        Just("DE89 3704 0044 0532 0130 00".as_bytes().to_vec()),
        Just("a@b.cd".as_bytes().to_vec()),
        Just("+49".as_bytes().to_vec()),
        Just("\\x3533".as_bytes().to_vec()),
        Just(":constvalue 15 [ 60 0 0 0 53 -51 ".as_bytes().to_vec()),
        Just("AKIAIOSFODNN7EXAMPLE".as_bytes().to_vec()),
        Just("eyJhbGciOiJIUzI1NiJ9.e30.".as_bytes().to_vec()),
        Just("-----BEGIN PRIVATE KEY-----".as_bytes().to_vec()),
        Just("ghp_0123456789abcdefghij0123456789ABCDEF".as_bytes().to_vec()),
        Just("host=a password=".as_bytes().to_vec()),
        Just("://a:b@c".as_bytes().to_vec()),
        Just("00:1A:2B:3C:4D:5E".as_bytes().to_vec()),
        Just("10.0.0.1".as_bytes().to_vec()),
        Just("BIC DEUTDEFF".as_bytes().to_vec()),
        Just("born 1980-01-31".as_bytes().to_vec()),
        Just("born 31. März 1980".as_bytes().to_vec()),
        Just("a%3Db%40c.de".as_bytes().to_vec()),
        Just("0049 30 901820".as_bytes().to_vec()),
        Just("xoxe.xoxp-1-".as_bytes().to_vec()),
        Just("xapp-1-A0EXAMPLE-12345678-".as_bytes().to_vec()),
        Just("hooks.slack.com/services/T0EXAMPLE/".as_bytes().to_vec()),
        Just("sv=1&sig=".as_bytes().to_vec()),
        Just("whsec_".as_bytes().to_vec()),
        Just("GOCSPX-".as_bytes().to_vec()),
        Just("4111%201111%2D1111".as_bytes().to_vec()),
        Just("%2525".as_bytes().to_vec()),
        Just("born 31-JAN-80".as_bytes().to_vec()),
        Just("phone 030 901820".as_bytes().to_vec()),
        Just("swift: DEUTDEFF".as_bytes().to_vec()),
        Just("abc8Q~".as_bytes().to_vec()),
        Just("-a-a-Private-Lines: 1".as_bytes().to_vec()),
        Just("xoxd-".as_bytes().to_vec()),
        Just("\u{200B}".as_bytes().to_vec()),
        Just("\u{FF11}".as_bytes().to_vec()),
        "[0-9]{1,22}".prop_map(String::into_bytes),
        "[-+. ()@:=_/A-Z]{1,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_give_hits_within_bounds_and_in_order(text in tricky(), whole: bool) {
        let mut hits = Vec::new();
        let every: Vec<Kind> = DETECTORS.iter().map(|detector| detector.kind).collect();
        scanner(&every).scan(&text, Context::new(b"ssn phone mrn dl bic npi ein", whole), &mut hits);
        for hit in &hits {
            prop_assert!(hit.start < hit.end && hit.end <= text.len());
            if let Ok(text) = std::str::from_utf8(&text) {
                prop_assert!(text.is_char_boundary(hit.start) && text.is_char_boundary(hit.end));
            }
        }
        prop_assert!(hits.is_sorted_by_key(|hit| hit.start));
    }

    #[test]
    fn a_number_is_found_wherever_it_stands(before in "[a-z ,;:]{0,40}", after in "[ ,;:][a-z ,;:]{0,40}") {
        for number in ["536-90-4399", "4111 1111 1111 1111", "ada@example.org", "+1 415 555 0132"] {
            let text = format!("{before} {number}{after}");
            let mut hits = Vec::new();
            scanner(ALL).scan(text.as_bytes(), Context::prose(), &mut hits);
            let (start, end) = (before.len() + 1, before.len() + 1 + number.len());
            prop_assert!(hits.iter().any(|hit| (hit.start, hit.end) == (start, end)), "{text}: {hits:?}");
        }
    }

    #[test]
    fn the_luhn_digit_decides(body in "4[0-9]{14}") {
        let found: Vec<String> = (0..10).filter(|d| !hits(&format!("{body}{d}"), "").is_empty()).map(|d| d.to_string()).collect();
        prop_assert_eq!(found.len(), 1);
    }
}
