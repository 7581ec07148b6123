//! One field that an expression reads: as CEL has it, and written down.

use std::collections::{BTreeMap, HashMap};

use kube_cel::cel::Value;

use super::super::command::Parameter;

/// One field.
pub(super) enum Fact<'a> {
    Nothing,
    Text(&'a str),
    Texts(Vec<&'a str>),
    Parameters(&'a [Parameter]),
    Labels(&'a BTreeMap<String, String>),
    /// By zone.
    Zoned(Vec<(&'a str, String)>),
    Flag(bool),
    Number(i64),
}

// === impl Fact ===

impl Fact<'_> {
    /// Writes it down, so that no two look alike.
    pub(super) fn write_down(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Text(text) => write_text(text, out),
            Self::Texts(texts) => {
                out.extend((texts.len() as u64).to_be_bytes());
                texts.iter().for_each(|text| write_text(text, out));
            }
            Self::Parameters(values) => {
                out.extend((values.len() as u64).to_be_bytes());
                for value in *values {
                    match value {
                        Parameter::Null => out.push(0),
                        Parameter::Unreadable => out.push(1),
                        Parameter::Text(text) => {
                            out.push(2);
                            write_text(text, out);
                        }
                    }
                }
            }
            Self::Labels(labels) => {
                out.extend((labels.len() as u64).to_be_bytes());
                labels
                    .iter()
                    .flat_map(|(key, value)| [key, value])
                    .for_each(|text| write_text(text, out));
            }
            Self::Zoned(zones) => {
                out.extend((zones.len() as u64).to_be_bytes());
                for (zone, said) in zones {
                    write_text(zone, out);
                    write_text(said, out);
                }
            }
            Self::Flag(flag) => out.push(u8::from(*flag)),
            Self::Number(number) => out.extend(number.to_be_bytes()),
        }
    }
}

impl From<Fact<'_>> for Value {
    fn from(fact: Fact<'_>) -> Self {
        match fact {
            Fact::Nothing => Self::Null,
            Fact::Text(text) => text.into(),
            Fact::Texts(texts) => texts.into(),
            Fact::Parameters(values) => {
                let each = values.iter().map(|value| match value {
                    Parameter::Text(text) => Self::from(text.as_str()),
                    Parameter::Null | Parameter::Unreadable => Self::Null,
                });
                each.collect::<Vec<Self>>().into()
            }
            Fact::Labels(labels) => {
                let each = labels
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from(value.as_str())));
                each.collect::<HashMap<String, Self>>().into()
            }
            Fact::Zoned(zones) => {
                let each = zones
                    .into_iter()
                    .map(|(zone, said)| (zone.to_owned(), Self::from(said.as_str())));
                each.collect::<HashMap<String, Self>>().into()
            }
            Fact::Flag(flag) => Self::Bool(flag),
            Fact::Number(number) => Self::Int(number),
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_be_bytes());
    out.extend(text.as_bytes());
}
