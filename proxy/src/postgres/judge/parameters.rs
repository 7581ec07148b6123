//! What was bound to a statement: for the record, for an approver, and for rules.

use sallyport_audit::record::{MAX_PARAM, Param};
use sallyport_policy::decide::{MAX_SHOWN, Number, Parameter};
use sallyport_policy::mask::REDACTED;
use sallyport_policy::sql::{secret_parameters, value_without_secrets};

use super::{types, values};
use crate::command::Asked;
use crate::postgres::message::Bind;

/// The parameters, for the record, for an approver, and for the binding.
pub(super) fn parameters(bind: &Bind<'_>, types: &[u32], asked: &mut Asked) {
    asked.types = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    let secret = secret_parameters(asked.text());
    for (index, value) in bind.values.iter().enumerate() {
        let binary = is_binary(bind, index);
        let param = match value {
            None => Param::null(),
            Some(_) if secret.contains(&(index + 1)) => Param::text(REDACTED, MAX_PARAM),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !binary => Param::text(&value_without_secrets(text), MAX_PARAM),
                _ => Param::binary(bytes, MAX_PARAM),
            },
        };
        let shown: &str = match value {
            None => "NULL",
            Some(_) if asked.cover.hides(index + 1) => REDACTED,
            Some(_) => &param.value,
        };
        // Nobody is asked about more.
        if index <= MAX_SHOWN {
            let shown = format!("${}{} = {shown}", index + 1, types::shown(types.get(index)));
            asked.shown.push(shown);
        }
        asked.params.push(param);
        asked
            .numbers
            .push(value.and_then(|bytes| number(bytes, binary, types.get(index))));
        asked.command.parameter_bytes += value.map_or(0, <[u8]>::len);
        asked.exact.push(u8::from(binary));
        let len = value.map_or(u64::MAX, |bytes| bytes.len() as u64);
        asked.exact.extend_from_slice(&len.to_be_bytes());
        asked.exact.extend_from_slice(value.unwrap_or_default());
    }
    asked.command.parameters = bind.values.len();
}

fn is_binary(bind: &Bind<'_>, index: usize) -> bool {
    match bind.formats.as_slice() {
        [] => false,
        [all] => *all == 1,
        each => each.get(index) == Some(&1),
    }
}

/// The parameters, for rules that ask for their values.
pub(super) fn read(bind: &Bind<'_>, types: &[u32], settled: bool) -> Vec<Parameter> {
    let each = bind.values.iter().enumerate();
    each.map(|(index, value)| values::value(*value, is_binary(bind, index), types.get(index).copied(), settled))
        .collect()
}

/// A parameter that is a number. Of which type a binary one is, the client has to state.
fn number(bytes: &[u8], binary: bool, type_oid: Option<&u32>) -> Option<Number> {
    if binary {
        Number::from_binary(*type_oid?, bytes)
    } else {
        Number::from_text(std::str::from_utf8(bytes).ok()?)
    }
}
