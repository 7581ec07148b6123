//! The corpus: one input in each file of `corpus/TARGET`, with the escapes of a Rust byte string.
//!
//! Ends of lines are left out, so that each message can have a line of its own. What a run finds is printed the same way: it
//! becomes a file here once it is mended.

use std::path::Path;

/// The inputs of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    files(target).into_iter().map(|(_, bytes)| bytes).collect()
}

/// The same with the names of their files, in the order of these.
pub fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let bytes = unescaped(&text).unwrap_or_else(|| panic!("{target}/{name} has an escape that nobody knows"));
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().filter(|byte| *byte != b'\n');
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other @ (b'\\' | b'\'' | b'"') => other,
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

#[test]
fn what_a_run_prints_can_be_put_into_the_corpus() {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    assert_eq!(unescaped(&every.escape_ascii().to_string()), Some(every));
    assert_eq!(unescaped("a\nb\\n"), Some(b"ab\n".to_vec()));
    assert_eq!(unescaped("\\q"), None);
}
