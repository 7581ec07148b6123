//! Address ranges that no target may be in.

use std::net::IpAddr;
use std::str::FromStr;

/// An address range, written `10.0.0.0/8` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
    v4: bool,
}

/// A text that is no address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address range as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

// === impl Network ===

impl Network {
    /// Whether an address is in it. An IPv4 address in IPv6 clothes is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, v4) = bits(address.to_canonical());
        v4 == self.v4 && bits & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').ok_or(NetworkError)?;
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let prefix: u32 = prefix.parse().map_err(|_| NetworkError)?;
        let (bits, v4) = bits(address);
        let width = if v4 { 32 } else { 128 };
        if prefix > width {
            return Err(NetworkError);
        }
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        Ok(Self {
            bits: bits & mask,
            mask,
            v4,
        })
    }
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let cases = [
            ("169.254.0.0/16", "169.254.169.254", true),
            ("169.254.0.0/16", "::ffff:169.254.169.254", true),
            ("169.254.0.0/16", "169.255.0.1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdab::1", true),
            ("::/0", "fe80::1", true),
        ];
        for (range, address, inside) in cases {
            assert_eq!(
                range.parse::<Network>().unwrap().contains(address.parse().unwrap()),
                inside,
                "{range} {address}"
            );
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8", "/8", ""] {
            assert_eq!(bad.parse::<Network>(), Err(NetworkError), "{bad}");
        }
    }
}
