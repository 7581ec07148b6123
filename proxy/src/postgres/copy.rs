//! COPY through the door: rows to the client are masked in the stream; what reaches or leaves the client is counted and hashed.

use aws_lc_rs::digest::{Context, SHA256};
use sallyport_audit::digest::Digest;
use sallyport_audit::record::Copied;
use sallyport_policy::catalog::{Catalog as _, ColumnId, RelationKind};
use sallyport_policy::mask::copy::{CopyFormat, CopyMasker};
use sallyport_policy::mask::{ColumnInfo, Format, RowPlan, Source};
use sallyport_policy::sql::{self, CopyDirection, Effect};

use super::errors::Said;
use super::frame;
use super::names::Stated;
use super::rows::View;

/// Text: what a column of a COPY is taken for when nothing better is known.
const TEXT: u32 = 25;

/// The longest field that is looked at: as long as a row may be.
const MAX_FIELD: usize = frame::TARGET_CAP;

/// Bytes of a COPY, counted and hashed as the client gets or sends them.
pub struct Tally {
    bytes: u64,
    hash: Context,
}

/// A COPY to the client under way.
pub struct CopyOut {
    /// Masks the stream.
    pub masker: CopyMasker,
    /// What passed.
    pub tally: Tally,
    /// Said before its first row: a dump of masks restores masks.
    pub warning: Option<Said>,
}

/// A COPY from the client under way.
pub struct CopyIn {
    /// What passed.
    pub tally: Tally,
    /// Whether more may come: neither CopyDone nor CopyFail has.
    pub open: bool,
    /// Whether it was asked for by the extended protocol, where the target answers only when it is asked to.
    pub extended: bool,
}

// === impl CopyOut ===

impl CopyOut {
    /// What is said behind the last row where values did not come as everywhere else, since they were too long.
    #[must_use]
    pub fn too_long(&self) -> Option<Said> {
        let count = Some(self.masker.too_long()).filter(|count| *count > 0)?;
        let words = format!(
            "{count} fields of this COPY are longer than {} MiB, too long to be looked at, and hidden",
            MAX_FIELD >> 20
        );
        Some(Said::warning(words).hint("Where no rule looks at a column, its values pass whatever their length."))
    }
}

// === impl CopyIn ===

impl CopyIn {
    /// From CopyInResponse on.
    #[must_use]
    pub fn new(extended: bool) -> Self {
        Self {
            tally: Tally::new(),
            open: true,
            extended,
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: 0,
            hash: Context::new(&SHA256),
        }
    }

    /// The content of one CopyData.
    pub fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
    }

    /// What moved in all.
    #[must_use]
    pub fn copied(self) -> Copied {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        Copied {
            bytes: self.bytes,
            sha256: Digest::from_bytes(sha256),
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a statement is a COPY from the client: the answer to no other asks it for data.
#[must_use]
pub fn is_from_client(stated: &Stated) -> bool {
    let asks = |effect: &Effect| {
        matches!(
            effect,
            Effect::Copy {
                direction: CopyDirection::In,
                ..
            }
        )
    };
    stated.readings().any(|statement| asks(&statement.effect))
}

/// The masker for a COPY to the client whose response announced `formats`. `None`: its options are not understood, or the
/// response is to another, so nothing of it can be passed.
#[must_use]
pub fn out(view: &View, stated: Option<&Stated>, formats: &[i16]) -> Option<CopyOut> {
    let statement = stated.and_then(Stated::statement)?;
    let Effect::Copy {
        format,
        direction: CopyDirection::Out,
    } = &statement.effect
    else {
        return None;
    };
    let options = options(format)?;
    let written = i16::from(options == CopyFormat::Binary);
    if formats.iter().any(|format| *format != written) {
        return None;
    }
    // Under another encoding the delimiter may be a part of a character: what seems to be one column then is another, too.
    let lost = (view.recoded && options != CopyFormat::Binary).then(|| view.lost());
    let plan = plan(lost.as_ref().unwrap_or(view), formats, options.null_is_certain());
    let warning = (plan.hidden() > 0).then(|| {
        let words = format!(
            "{} of {} columns of this COPY are masked for you",
            plan.hidden(),
            plan.len()
        );
        Said::warning(words).hint("What is restored from it holds masks in place of values.")
    });
    Some(CopyOut {
        masker: CopyMasker::new(plan, options, MAX_FIELD),
        tally: Tally::new(),
        warning,
    })
}

/// The columns of a COPY: where each comes from by lineage, its type from the catalog where it is a stored one. Where NULL reads
/// as a value of the client's choosing, a column is an expression: its hash, its token or what stays of it would be that of a
/// guess, and a mask that only the guess escapes would tell where it is right.
fn plan(view: &View, formats: &[i16], null_is_certain: bool) -> RowPlan {
    let column = |(index, format): (usize, &i16)| {
        let (name, type_oid) = stored(view, index, formats.len()).unwrap_or((String::new(), TEXT));
        let source = match view.flows(index, formats.len()) {
            Source::Column(rules) if !null_is_certain => Source::Tainted(rules),
            source => source,
        };
        let format = if *format == 1 { Format::Binary } else { Format::Text };
        // A binary value of a guessed type cannot be decoded; unknown is what it is.
        let guessed = name.is_empty() && format == Format::Binary;
        ColumnInfo {
            name,
            type_oid: if guessed { 0 } else { type_oid },
            type_modifier: -1,
            format,
            source: if guessed && source == Source::Plain {
                Source::Unknown
            } else {
                source
            },
            class: view.known.class(type_oid),
        }
    };
    let columns: Vec<_> = formats.iter().enumerate().map(column).collect();
    view.masker.plan_with(&columns, &view.known.types)
}

/// Name and type of the stored column that a column of the stream is.
fn stored(view: &View, index: usize, count: usize) -> Option<(String, u32)> {
    let flow = view.lineages.first()?.flow(index, count);
    let [ColumnId { relation, column }] = flow.columns() else {
        return None;
    };
    let relation = view
        .known
        .snapshot
        .relation(*relation)
        .filter(|_| flow.bare && !flow.unknown)?;
    let column = relation.columns.iter().find(|known| known.attnum == *column)?;
    (relation.kind != RelationKind::Other).then(|| (column.name.clone(), column.type_oid))
}

/// The options with PostgreSQL's defaults filled in.
fn options(format: &sql::CopyFormat) -> Option<CopyFormat> {
    if format.unknown {
        return None;
    }
    let byte = |text: &Option<String>, default: u8| match text.as_deref().map(str::as_bytes) {
        None => Some(default),
        Some([byte]) => Some(*byte),
        Some(_) => None,
    };
    let null = |default: &str| format.null.clone().unwrap_or_else(|| default.to_owned()).into_bytes();
    match format.format.as_str() {
        "text" => Some(CopyFormat::Text {
            delimiter: byte(&format.delimiter, b'\t')?,
            null: null("\\N"),
            header: format.header,
        }),
        "csv" => {
            // A newline outside of quotes ends a row.
            let quote = byte(&format.quote, b'"').filter(|quote| *quote != b'\n')?;
            Some(CopyFormat::Csv {
                delimiter: byte(&format.delimiter, b',')?,
                quote,
                escape: byte(&format.escape, quote)?,
                null: null(""),
                header: format.header,
            })
        }
        "binary" => Some(CopyFormat::Binary),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_from_the_client_alone_asks_it_for_data() {
        for (sql, asks) in [
            ("copy t from stdin", true),
            ("copy t (a) from stdin (format binary)", true),
            ("copy t to stdout", false),
            ("copy (select 1) to stdout", false),
            ("select 1", false),
        ] {
            let text = crate::postgres::script::read(sql).unwrap();
            let stated = Stated {
                text: text.text,
                script: text.script,
                index: 0,
            };
            assert_eq!(is_from_client(&stated), asks, "{sql}");
        }
    }

    #[test]
    fn options_that_are_not_understood_pass_nothing() {
        let with = |text: &str| {
            let script = sql::parse(text).unwrap();
            let Effect::Copy { format, .. } = &script.statements[0].effect else {
                panic!("{text}")
            };
            options(format)
        };
        assert_eq!(with("copy t to stdout"), Some(CopyFormat::text()));
        assert_eq!(with("copy t to stdout (format csv)"), Some(CopyFormat::csv()));
        assert_eq!(with("copy t to stdout (format binary)"), Some(CopyFormat::Binary));
        assert_eq!(with("copy t to stdout (format csv, delimiter 'ab')"), None);
        assert_eq!(with("copy t to stdout (format arrow)"), None);
        assert_eq!(with(r"copy t to stdout (format csv, quote E'\n')"), None);
        let text = with("copy t to stdout (null 'x')").unwrap();
        assert!(matches!(text, CopyFormat::Text { null, .. } if null == b"x"));
        let csv = with("copy t to stdout (format csv, quote '6', header)").unwrap();
        assert!(matches!(
            csv,
            CopyFormat::Csv {
                quote: b'6',
                escape: b'6',
                header: true,
                ..
            }
        ));
    }
}
