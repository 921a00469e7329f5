//! Reads what a partition has, and checks all of it.

use std::sync::Arc;

use longpole_proto::TraceId;

use super::Places;
use super::db::{Db, guarded};
use super::pieces::read_all;
use super::summaries::Rows;
use super::zone::Zone;
use crate::StorageError;
use crate::sled::block::Block;
use crate::sled::bloom::Bloom;
use crate::sled::checked::{with_crc, without_crc};
use crate::sled::digest::{self, Stored};

/// Reads all blocks' places and zones; they must be numbered from 0 on.
///
/// # Errors
/// When sled fails or a zone is damaged.
pub(super) fn read_zones(db: &Db) -> Result<(Vec<Places>, Vec<Arc<Zone>>), StorageError> {
    let mut places = Vec::new();
    let mut zones = Vec::new();
    let mut entries = db.zones.iter();
    while let Some((key, value)) = guarded(|| entries.next().transpose())? {
        let (place, zone) = Some(&value)
            .filter(|_| key == number_of(zones.len()).to_be_bytes())
            .and_then(|value| read_zone(value))
            .ok_or_else(|| StorageError::Damaged {
                what: format!("the zone of block {}", zones.len()),
            })?;
        places.push(place);
        zones.push(Arc::new(zone));
    }
    Ok((places, zones))
}

/// What is stored of a block's places and zone.
pub(super) fn zone_value(places: &Places, zone: &Zone) -> Vec<u8> {
    let row = postcard::to_allocvec(&(places, zone)).expect("numbers can be written");
    with_crc(row)
}

fn read_zone(value: &[u8]) -> Option<(Places, Zone)> {
    postcard::from_bytes(without_crc(value)?).ok()
}

/// Reads a block, its summaries, its bloom and its digest and gives the traces it has.
///
/// # Errors
/// When sled fails or any of it is damaged.
pub(super) fn check_block(
    db: &Db,
    number: u32,
    places: &Places,
    zone: &Zone,
) -> Result<Vec<TraceId>, StorageError> {
    let damaged = |what: String| StorageError::Damaged {
        what: format!("block {number}: {what}"),
    };
    let bytes = db.blocks.get(places.block)?;
    let block = Block::open(&bytes).map_err(|error| damaged(error.to_string()))?;
    let trace_ids: Vec<TraceId> = block
        .fragments()
        .iter()
        .map(|fragment| fragment.trace_id)
        .collect();
    let rows = Rows::read(&db.summaries.get(places.rows)?)?;
    let is_same = rows
        .iter()
        .map(|row| row.trace_id)
        .eq(trace_ids.iter().copied());
    if !is_same || trace_ids.len() as u64 != zone.n_traces {
        return Err(damaged("its summaries are of other traces".to_owned()));
    }
    Bloom::read(&db.blooms.get(places.bloom)?)?;
    Stored::read(&digest::unpack(&db.digests.get(places.digest)?)?)?;
    Ok(trace_ids)
}

/// Reads the rest of the database: what was left of a block behind the last, or of an attempt to close
/// the partition. Nobody needs it, but where it is damaged sled would fail the next time it writes.
///
/// # Errors
/// When sled fails.
pub(super) fn check_rest(db: &Db, places: &[Places]) -> Result<(), StorageError> {
    let last = places.last().copied().unwrap_or_default();
    db.blocks.check_behind(last.block.end())?;
    db.summaries.check_behind(last.rows.end())?;
    db.blooms.check_behind(last.bloom.end())?;
    db.digests.check_behind(last.digest.end())?;
    read_all(db.runs.iter())?;
    read_all(db.lanes.iter())?;
    read_all(db.operations.iter())
}

/// The number of the block at a place.
fn number_of(at: usize) -> u32 {
    u32::try_from(at).expect("a partition has far fewer than 2^32 blocks")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Text that is nowhere in the file twice.
    fn value(n: u8) -> Vec<u8> {
        format!("value {n} ").into_bytes().repeat(2_000)
    }

    #[test]
    fn what_was_left_of_an_unfinished_block_is_checked_too() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let open = || Db::open(dir.path()).expect("a database");
        let db = open();
        let block = db.blocks.put(0, &value(1)).expect("sled works");
        db.blocks
            .put(block.end() + 30, &value(2))
            .expect("sled works");
        db.runs.insert([7; 20], value(3)).expect("sled works");
        // sled itself checks the end of its file.
        for n in 0..4 {
            let first = block.end() + 60 + n * 200;
            db.blocks.put(first, &vec![0; 1 << 20]).expect("sled works");
        }
        drop(db);
        let places = [Places {
            block,
            ..Places::default()
        }];
        check_rest(&open(), &places).expect("intact");
        let path = dir.path().join("db");
        let intact = fs::read(&path).expect("a database");
        for n in [2, 3] {
            let text = format!("value {n} value {n}").into_bytes();
            let mut bytes = intact.clone();
            let mut places_of = bytes.windows(text.len()).enumerate();
            let (at, _) = places_of
                .find(|(_, window)| *window == text)
                .expect("the value");
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("a damaged database");
            let db = open();
            assert_eq!(db.blocks.get(block).expect("sled works"), value(1));
            check_rest(&db, &places).expect_err("a damaged value");
        }
    }
}
