//! Text that somebody else composed, as a terminal may be given it: what would be obeyed, or not be seen, becomes visible.

use sallyport_policy::subject::is_deceptive;

/// Line breaks, control characters, and those that turn the direction of text or are not seen, as escapes.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
