//! Reads what a partition has, and checks all of it.

use std::sync::Arc;

use longpole_proto::TraceId;

use super::db::{Db, guarded};
use super::summaries::Rows;
use super::zone::Zone;
use crate::StorageError;
use crate::sled::block::Block;
use crate::sled::bloom::Bloom;

/// Reads all zones; they must be numbered from 0 on.
///
/// # Errors
/// When sled fails or a zone is damaged.
pub(super) fn read_zones(db: &Db) -> Result<Vec<Arc<Zone>>, StorageError> {
    let mut zones: Vec<Arc<Zone>> = Vec::new();
    let mut entries = db.zones.iter();
    while let Some((key, value)) = guarded(|| entries.next().transpose())? {
        let zone = value
            .split_first_chunk()
            .filter(|(crc, zone)| u32::from_le_bytes(**crc) == crc32c::crc32c(zone))
            .and_then(|(_, zone)| postcard::from_bytes(zone).ok())
            .filter(|_| key == number_of(zones.len()).to_be_bytes());
        zones.push(Arc::new(zone.ok_or_else(|| StorageError::Damaged {
            what: format!("the zone of block {}", zones.len()),
        })?));
    }
    Ok(zones)
}

/// Reads a block, its summaries and its bloom and gives the traces it has.
///
/// # Errors
/// When sled fails or any of it is damaged.
pub(super) fn check_block(db: &Db, number: u32, zone: &Zone) -> Result<Vec<TraceId>, StorageError> {
    let damaged = |what: String| StorageError::Damaged {
        what: format!("block {number}: {what}"),
    };
    let bytes = Db::get(&db.blocks, number)?;
    let block = Block::open(&bytes).map_err(|error| damaged(error.to_string()))?;
    let trace_ids: Vec<TraceId> = block
        .fragments()
        .iter()
        .map(|fragment| fragment.trace_id)
        .collect();
    let rows = Rows::read(&Db::get(&db.summaries, number)?)?;
    let is_same = rows
        .iter()
        .map(|row| row.trace_id)
        .eq(trace_ids.iter().copied());
    if !is_same || trace_ids.len() as u64 != zone.n_traces {
        return Err(damaged("its summaries are of other traces".to_owned()));
    }
    Bloom::read(&Db::get(&db.blooms, number)?)?;
    Ok(trace_ids)
}

/// The number of the block at a place.
pub(super) fn number_of(at: usize) -> u32 {
    u32::try_from(at).expect("a partition has far fewer than 2^32 blocks")
}
