//! Markup: how anything gets onto the page.

use crate::audit::print::plain;

/// A page as it grows.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Markup of our own.
    pub fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of anybody's: the only way that anything but our own markup gets onto the page.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in plain(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Text in a cell.
    pub fn cell(&mut self, text: &str) -> &mut Self {
        self.raw("<td>").text(text).raw("</td>")
    }

    /// A number in a cell.
    pub fn number(&mut self, text: &str) -> &mut Self {
        self.raw("<td class=n>").text(text).raw("</td>")
    }

    /// Code in a cell.
    pub fn code(&mut self, text: &str) -> &mut Self {
        self.raw("<td><code>").text(text).raw("</code></td>")
    }

    /// A word of a closed set, coloured by what it is.
    pub fn tag(&mut self, word: &'static str) -> &mut Self {
        self.raw("<span class=\"tag ")
            .raw(word)
            .raw("\">")
            .raw(word)
            .raw("</span>")
    }

    /// The head of a table.
    pub fn heads(&mut self, names: &[&str]) -> &mut Self {
        self.raw("<div class=wide><table><thead><tr>");
        for name in names {
            self.raw("<th>").raw(name).raw("</th>");
        }
        self.raw("</tr></thead><tbody>")
    }

    /// The end of a table.
    pub fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table></div>")
    }

    /// The page as it is.
    pub fn done(self) -> String {
        self.0
    }
}
