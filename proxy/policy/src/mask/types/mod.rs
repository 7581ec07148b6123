//! PostgreSQL's types as a mask sees them: what form a value has, and what may lawfully stand in its place.

pub(crate) mod array;
pub(crate) mod bytea;
pub(crate) mod coarse;
pub(crate) mod constant;
pub(crate) mod json;
pub(crate) mod numeric;
pub(crate) mod range;
pub(crate) mod record;
pub(crate) mod token;

use std::collections::HashMap;

/// What kind of value a type holds, as far as masking cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Text in both formats: text, varchar, bpchar, name, xml apart, and by hint citext or a domain over one of them.
    Text,
    /// `"char"`: one byte.
    Char,
    /// json: JSON text in both formats.
    Json,
    /// jsonb: JSON text; a version byte 1 before it in binary.
    Jsonb,
    /// xml: XML text in both formats.
    Xml,
    /// int2.
    Int2,
    /// int4.
    Int4,
    /// int8.
    Int8,
    /// float4.
    Float4,
    /// float8.
    Float8,
    /// numeric.
    Numeric,
    /// bool.
    Bool,
    /// date.
    Date,
    /// timestamp without time zone.
    Timestamp,
    /// timestamp with time zone.
    TimestampTz,
    /// uuid.
    Uuid,
    /// inet.
    Inet,
    /// bytea.
    Bytea,
    /// An enumeration: its value is one of its labels, and no other text.
    Label,
    /// An array whose elements are of this type OID.
    Array(u32),
    /// anyarray, as statistics have it: an array of whatever its elements say in binary, and nobody says in text.
    AnyArray,
    /// A row: `record`, and by hint a composite type.
    Record,
    /// A range over this type OID.
    Range(u32),
    /// A multirange over this type OID.
    Multirange(u32),
    /// A known type whose values are looked at as text in text form and hold no text in binary: OID aliases.
    Name,
    /// A known type that holds no text and no long number: left alone by detectors (oid, time, interval, geometry …).
    Fixed,
    /// Anything else: text in text form; cannot be decoded in binary.
    Unknown,
}

/// Array type OID and its element's.
#[rustfmt::skip]
const ARRAYS: &[(u32, u32)] = &[
    (143, 142), (199, 114), (271, 5069), (629, 628), (651, 650), (719, 718), (775, 774), (791, 790), (1000, 16),
    (1001, 17), (1002, 18), (1003, 19), (1005, 21), (1007, 23), (1008, 24), (1009, 25), (1010, 27), (1011, 28),
    (1012, 29), (1014, 1042), (1015, 1043), (1016, 20), (1017, 600), (1018, 601), (1020, 603), (1021, 700),
    (1022, 701), (1028, 26), (1040, 829), (1041, 869), (1115, 1114), (1182, 1082), (1183, 1083), (1185, 1184),
    (1187, 1186), (1231, 1700), (1263, 2275), (1270, 1266), (1561, 1560), (1563, 1562), (2201, 1790), (2207, 2202),
    (2208, 2203), (2209, 2204), (2210, 2205), (2211, 2206), (2287, 2249), (2949, 2970), (2951, 2950), (3221, 3220),
    (3643, 3614), (3645, 3615), (3735, 3734), (3770, 3769), (3807, 3802), (3905, 3904), (3907, 3906), (3909, 3908),
    (3911, 3910), (3913, 3912), (3927, 3926), (4073, 4072), (4090, 4089), (4097, 4096), (4192, 4191), (6150, 4451),
    (6151, 4532), (6152, 4533), (6153, 4534), (6155, 4535), (6157, 4536),
];

/// Range type OIDs and what they range over.
const RANGES: &[(u32, u32)] = &[
    (3904, 23),
    (3906, 1700),
    (3908, 1114),
    (3910, 1184),
    (3912, 1082),
    (3926, 20),
];

/// Multirange type OIDs and what they range over.
const MULTIRANGES: &[(u32, u32)] = &[
    (4451, 23),
    (4532, 1700),
    (4533, 1114),
    (4534, 1184),
    (4535, 1082),
    (4536, 20),
];

/// What the catalog says about types that are not built in: citext and domains over text are [`Class::Text`], composite
/// types [`Class::Record`], arrays of either [`Class::Array`].
pub type Types = HashMap<u32, Class>;

// === impl Class ===

impl Class {
    /// The class of a type: what the catalog says, or what PostgreSQL has built in.
    pub(crate) fn look_up(types: &Types, type_oid: u32) -> Self {
        types.get(&type_oid).copied().unwrap_or_else(|| Self::of(type_oid))
    }

    /// The class of a type that is built into PostgreSQL; [`Class::Unknown`] for every other OID.
    pub fn of(type_oid: u32) -> Self {
        let find = |table: &[(u32, u32)]| table.iter().find(|(oid, _)| *oid == type_oid).map(|(_, of)| *of);
        match type_oid {
            25 | 1043 | 1042 | 19 | 705 | 2275 | 1790 => Self::Text,
            18 => Self::Char,
            114 => Self::Json,
            3802 => Self::Jsonb,
            142 => Self::Xml,
            21 => Self::Int2,
            23 => Self::Int4,
            20 => Self::Int8,
            700 => Self::Float4,
            701 => Self::Float8,
            1700 => Self::Numeric,
            16 => Self::Bool,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            2950 => Self::Uuid,
            869 => Self::Inet,
            17 => Self::Bytea,
            2249 => Self::Record,
            2277 => Self::AnyArray,
            22 => Self::Array(21),
            30 => Self::Array(26),
            24 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191 => Self::Name,
            // oid, tid, xid, cid, xid8, cidr, geometry, money, time, timetz, interval, MAC addresses, bit strings,
            // LSN, snapshots, void.
            650
            | 26..=29
            | 5069
            | 600..=604
            | 628
            | 718
            | 790
            | 1083
            | 1266
            | 1186
            | 829
            | 774
            | 1560
            | 1562
            | 3220
            | 2970
            | 5038
            | 2278 => Self::Fixed,
            _ => find(ARRAYS)
                .map(Self::Array)
                .or_else(|| find(RANGES).map(Self::Range))
                .or_else(|| find(MULTIRANGES).map(Self::Multirange))
                .unwrap_or(Self::Unknown),
        }
    }
}

#[cfg(test)]
mod tests;
