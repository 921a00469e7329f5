//! What goes in comes out, and what is too much is counted all the same.

use longpole_analysis::aggregate::{BUCKETS, Sketch};
use proptest::prelude::*;

use super::*;

/// Something counted: minute, kind, names, `n`, errors, a bucket.
type Count = (u32, usize, [u8; 4], u8, u8, u16);

fn any_count() -> impl Strategy<Value = Count> {
    let minute = prop_oneof![9 => 0..6_u32, 1 => any::<u32>().prop_filter("a minute", |of| *of != NO_MINUTE)];
    let names = prop::array::uniform4(0..6_u8);
    (minute, 0..KINDS.len(), names, 0..3_u8, 0..2_u8, 0..BUCKETS)
}

fn any_counts() -> impl Strategy<Value = Vec<Count>> {
    prop::collection::vec(any_count(), 0..60)
}

fn count(names: &mut Names, tally: &mut Tally, counts: &[Count]) {
    for &(minute, kind, named, n, n_errors, bucket) in counts {
        let kind = KINDS[kind];
        let mut key = Key::other(minute);
        for (slot, name) in key.names.iter_mut().zip(named).take(kind.n_names()) {
            *slot = names.number(&name.to_string()).expect("short names");
        }
        tally
            .table(kind)
            .add(key, n.into(), n_errors.into(), &[(bucket, 1)]);
    }
}

fn digest_of(limits: Limits, counts: &[Count], corrections: &[(u32, Vec<Count>)]) -> Digest {
    let mut digest = Digest::new(limits);
    count(&mut digest.names, &mut digest.counted, counts);
    for (partition, counts) in corrections {
        let mut correction = Tally::new(PARTITION);
        count(&mut digest.names, &mut correction, counts);
        digest.corrections.insert(*partition, correction);
    }
    digest
}

/// A cell in words.
type Told = (u32, Vec<String>, Cell);

fn told(digest: &Digest, tally: &Tally, kind: Kind) -> Vec<Told> {
    let mut cells: Vec<Told> = tally
        .cells(kind)
        .map(|(key, cell)| {
            let names = key.names.iter().filter(|_| !key.is_other());
            let names = names.take(kind.n_names());
            let names = names.map(|name| digest.name(*name).to_owned());
            (key.minute, names.collect(), cell.clone())
        })
        .collect();
    cells.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    cells
}

/// All that the cells of a kind count together.
fn total(tally: &Tally, kind: Kind) -> Cell {
    let mut total = Cell::default();
    for (_, cell) in tally.cells(kind) {
        total.n += cell.n;
        total.n_errors += cell.n_errors;
        total.durations.merge(cell.durations.counts());
    }
    total
}

proptest! {
    #[test]
    fn what_is_stored_is_read_back(
        counts in any_counts(),
        corrections in prop::collection::btree_map(any::<u32>(), any_counts(), 0..3),
    ) {
        let corrections: Vec<_> = corrections.into_iter().collect();
        let digest = digest_of(PARTITION, &counts, &corrections);
        let record = unpack(&digest.pack(&[1, 2, 3], &mut compressor())).expect("intact");
        let mut read = Digest::new(PARTITION);
        read.add_all(&Stored::read(&record).expect("intact"));
        for kind in KINDS {
            prop_assert_eq!(told(&read, &read.counted, kind), told(&digest, &digest.counted, kind));
            for (partition, correction) in &digest.corrections {
                let read_back = &read.corrections[partition];
                prop_assert_eq!(told(&read, read_back, kind), told(&digest, correction, kind));
            }
        }
        prop_assert_eq!(read.minutes(), digest.minutes());
    }

    #[test]
    fn damage_is_found(counts in any_counts(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut value = digest_of(PARTITION, &counts, &[]).pack(&[1, 2, 3], &mut compressor());
        let at = at.index(value.len());
        value[at] ^= 1_u8 << bit;
        prop_assert!(unpack(&value).is_err());
        prop_assert!(unpack(&value[..at]).is_err());
    }

    #[test]
    fn any_record_is_read_without_panic(record in prop::collection::vec(0..9_u8, 0..200)) {
        if let Ok(stored) = Stored::read(&record) {
            Digest::new(BLOCK).add_all(&stored);
        }
    }

    /// What is taken out was counted before; where, cannot be told when there was too much.
    #[test]
    fn taking_out_leaves_the_rest_however_little_room_there_was(
        taken in any_counts(),
        rest in any_counts(),
        (cells, minutes) in (0..6_usize, 0..4_usize),
        is_taken_first in any::<bool>(),
    ) {
        let limits = Limits { cells, minutes, ..PARTITION };
        let counts = if is_taken_first {
            [&taken[..], &rest].concat()
        } else {
            [&rest[..], &taken].concat()
        };
        let mut digest = digest_of(limits, &counts, &[(7, taken)]);
        digest.settle(7);
        let expected = digest_of(PARTITION, &rest, &[]);
        for kind in KINDS {
            prop_assert_eq!(total(&digest.counted, kind), total(&expected.counted, kind));
            let named = digest.cells(kind).filter(|(key, _)| !key.is_other()).count();
            prop_assert!(named <= cells);
        }
    }
}

#[test]
fn names_without_room_count_for_none() {
    let limits = Limits {
        name_bytes: 10,
        ..PARTITION
    };
    let mut other = Digest::new(PARTITION);
    let table = other.counted.table(Kind::Edge);
    for name in ["short", "long enough for no other"] {
        let name = other.names.number(name).expect("there is room");
        table.add(Key::of_two([name; 2], 3), 0, 1, &[(9, 2)]);
    }
    let record = unpack(&other.pack(&[1, 2, 3], &mut compressor())).expect("intact");
    let mut digest = Digest::new(limits);
    digest.add_all(&Stored::read(&record).expect("intact"));
    let mut twice = Sketch::default();
    twice.merge(&[(9, 2)]);
    let cell = Cell {
        n: 0,
        n_errors: 1,
        durations: twice,
    };
    let short = vec!["short".to_owned(); 2];
    let expected = [(3, vec![], cell.clone()), (3, short, cell)];
    assert_eq!(told(&digest, &digest.counted, Kind::Edge), expected);
}
