//! Ranges of addresses.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::IPBlock;

/// Whether an address is in the block and in none of its exceptions.
pub fn contains(block: &IPBlock, address: IpAddr) -> bool {
    let whole = Range::read(&block.cidr);
    let holes: Vec<Range> = block.except.iter().flatten().map(|hole| Range::read(hole)).collect();
    for hole in &holes {
        assert!(
            whole.contains(hole.base) && hole.length > whole.length,
            "an exception lies strictly within its block"
        );
    }
    whole.contains(address) && !holes.iter().any(|hole| hole.contains(address))
}

struct Range {
    base: IpAddr,
    length: u32,
}

// === impl Range ===

impl Range {
    fn read(text: &str) -> Self {
        let (base, length) = text.split_once('/').unwrap();
        let range = Self {
            base: base.parse().unwrap(),
            length: length.parse().unwrap(),
        };
        assert!(range.length <= bits(range.base).1, "{text}");
        range
    }

    /// Families never meet.
    fn contains(&self, address: IpAddr) -> bool {
        let ((base, width), (other, others)) = (bits(self.base), bits(address));
        // A shift by all bits is none.
        let shifted = |value: u128| value.checked_shr(width - self.length).unwrap_or(0);
        width == others && shifted(base) == shifted(other)
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}
