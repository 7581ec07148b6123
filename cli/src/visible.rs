//! Text that somebody else composed, as a terminal may be given it: what would be obeyed, or not be seen, becomes visible.

use sallyport_policy::subject::is_deceptive;
pub use sallyport_policy::subject::visible;

/// A line of JSON that reads the same to programs: what a terminal would obey, or not show, as JSON's own escapes.
pub fn visible_json(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut units = [0; 2];
    for c in line.chars() {
        if is_deceptive(c) {
            let escapes = c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            out.extend(escapes);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::visible_json;

    #[test]
    fn json_says_the_same_and_commands_no_terminal() {
        let text = "a\u{9b}2J\u{202e}b\u{e0041}\u{7f}\u{1b}ü\n";
        let line = serde_json::to_string(text).unwrap();
        let shown = visible_json(&line);
        assert_eq!(shown, r#""a\u009b2J\u202eb\udb40\udc41\u007f\u001bü\n""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
