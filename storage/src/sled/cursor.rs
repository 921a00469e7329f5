//! Where a page of a search ended, as text.

use std::cmp::Reverse;

use longpole_proto::TraceId;

use crate::Order;

/// The version of the text; bytes behind it: order 1, key 8, trace ID 16, in hex.
const VERSION: u8 = 1;

const N_BYTES: usize = 1 + 1 + 8 + TraceId::LEN;

/// A request's place in the order of a search: largest key first, then smallest trace ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    key: Reverse<u64>,
    trace_id: TraceId,
}

impl Position {
    /// The place of a request with this key.
    pub(super) fn new(key: u64, trace_id: TraceId) -> Self {
        Self {
            key: Reverse(key),
            trace_id,
        }
    }

    /// The key.
    pub(super) fn key(&self) -> u64 {
        self.key.0
    }

    /// The request.
    pub(super) fn trace_id(&self) -> TraceId {
        self.trace_id
    }
}

/// Writes a place in a search of that order.
pub(super) fn encode(position: Position, order: Order) -> String {
    let mut bytes = [0; N_BYTES];
    bytes[0] = VERSION;
    bytes[1] = number(order);
    bytes[2..10].copy_from_slice(&position.key.0.to_be_bytes());
    bytes[10..].copy_from_slice(position.trace_id.as_bytes());
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Reads what [`encode`] wrote for a search of the same order; `None` for anything else.
pub(super) fn decode(text: &str, order: Order) -> Option<Position> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N_BYTES {
        return None;
    }
    let mut bytes = [0; N_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit)
                .to_digit(16)
                .filter(|_| !digit.is_ascii_uppercase())?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    if bytes[0] != VERSION || bytes[1] != number(order) {
        return None;
    }
    let key = u64::from_be_bytes(bytes[2..10].try_into().ok()?);
    Some(Position::new(key, TraceId::from_slice(&bytes[10..]).ok()?))
}

const fn number(order: Order) -> u8 {
    match order {
        Order::Slowest => 0,
        Order::Newest => 1,
        Order::Spans => 2,
        Order::Errors => 3,
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::trace_id;

    use super::*;

    const ORDERS: [Order; 4] = [Order::Slowest, Order::Newest, Order::Spans, Order::Errors];

    #[test]
    fn a_cursor_is_good_for_its_own_order_only() {
        for key in [0, 1, u64::MAX] {
            let position = Position::new(key, trace_id());
            for written in ORDERS {
                let text = encode(position, written);
                for read in ORDERS {
                    let expected = (read == written).then_some(position);
                    assert_eq!(decode(&text, read), expected, "{text} for {read:?}");
                }
            }
        }
    }

    #[test]
    fn garbage_is_no_cursor() {
        let good = encode(Position::new(7, trace_id()), Order::Slowest);
        let cases = [
            String::new(),
            "x".repeat(2 * N_BYTES),
            "é".repeat(N_BYTES),
            good[1..].to_owned(),
            format!("{good}0"),
            good.to_uppercase(),
            format!("02{}", &good[2..]),
            "0".repeat(2 * N_BYTES),
            format!("{}{}", &good[..20], "0".repeat(32)),
        ];
        for text in cases {
            assert_eq!(decode(&text, Order::Slowest), None, "{text:?}");
        }
    }
}
