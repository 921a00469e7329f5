//! Numbers as bytes: varints as protobuf has them, zigzag for differences.

use super::Damage;

/// Appends a varint.
pub(crate) fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

/// A difference as a number that is small when the difference is.
pub(super) fn zigzag(from: u64, to: u64) -> u64 {
    let difference = to.wrapping_sub(from).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The number a difference leads to.
pub(super) fn unzigzag(from: u64, difference: u64) -> u64 {
    let difference = (difference >> 1) ^ (difference & 1).wrapping_neg();
    from.wrapping_add(difference)
}

/// Reads bytes front to back; damaged ones are an error, never a panic.
#[derive(Clone)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Damage("a part is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Damage("a part is cut off"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage("a number is too long"))
    }

    /// A count of things that take at least a byte each.
    pub(crate) fn count(&mut self) -> Result<usize, Damage> {
        let count = usize::try_from(self.varint()?).map_err(|_| Damage("a count"))?;
        if count > self.0.len() {
            return Err(Damage("a count is larger than what follows"));
        }
        Ok(count)
    }

    /// Steps over varints.
    pub(super) fn skip_varints(&mut self, n: usize) -> Result<(), Damage> {
        if n == 0 {
            return Ok(());
        }
        let mut ends = self.0.iter().enumerate().filter(|&(_, &byte)| byte < 0x80);
        let (last, _) = ends.nth(n - 1).ok_or(Damage("a part is cut off"))?;
        self.0 = &self.0[last + 1..];
        Ok(())
    }

    /// How many bytes are left.
    pub(crate) fn rest(&self) -> usize {
        self.0.len()
    }

    /// All that is left.
    pub(super) fn take_rest(self) -> &'a [u8] {
        self.0
    }
}
