//! Blocks: some thousand spans of whole traces, column by column, compressed.
//!
//! ```text
//! magic "LPB1" | crc32c u32 of what follows | 5 parts: each raw length u32, packed length u32 | the parts, zstd
//!   index   per trace: ID, spans, fragment facts; groups; columns; shapes
//!   ids     span ids (8 bytes each), then parents that are not in the trace
//!   times   starts and durations, as differences
//!   rows    shapes, groups and parents of spans, then each column's rows
//!   values  each column's distinct values
//! ```
//!
//! The bytes of every span come back as they were sent.

mod attributes;
mod bytes;
mod column;
mod decode;
mod encode;
mod frequent;
mod shape;
mod template;
mod tokens;

pub(crate) use attributes::Value;
pub(crate) use bytes::{Cursor, put_varint};
pub(crate) use decode::{Block, Fragment};
pub(crate) use encode::{BlockBuilder, BlockSpan, FragmentFacts};

/// What is wrong with a block's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block is damaged: {0}")]
pub(crate) struct Damage(pub(crate) &'static str);

/// The first bytes of a block: its format's name and version.
const MAGIC: [u8; 4] = *b"LPB1";

/// How many parts a block has.
const N_PARTS: usize = 5;

/// How hard zstd tries: more costs CPU on the way in and saves little.
const ZSTD_LEVEL: i32 = 1;

/// The most a part may take decompressed; an honest one takes far less.
const PART_BYTES_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests;
