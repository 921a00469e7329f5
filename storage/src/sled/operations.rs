//! The tree `operations`: every operation that has spans, by service and name.
//!
//! A key is `service | 0 | name`, where a zero byte in the service is `0 255` (which no name begins
//! with: it is UTF-8). So keys sort as services and names do, and a service's are one run.

use std::collections::HashSet;

use sled::Tree;

use super::db::guarded;
use super::entry::cut;
use crate::{Operation, StorageError};

/// How many bytes of keys are remembered as stored, so that most are not looked up again.
const KNOWN_BYTES_MAX: usize = 1 << 20;

/// The operations that are known to be stored already.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: HashSet<Vec<u8>>,
    n_bytes: usize,
}

/// Stores operations.
///
/// # Errors
/// When sled fails.
pub(super) fn insert(
    tree: &Tree,
    known: &mut Known,
    operations: impl IntoIterator<Item = Operation>,
) -> Result<(), StorageError> {
    for operation in operations {
        let mut key = service_prefix(&operation.service);
        key.extend_from_slice(operation.name.as_bytes());
        if known.keys.contains(&key) {
            continue;
        }
        guarded(|| tree.insert(&key, &[]))?;
        if known.n_bytes > KNOWN_BYTES_MAX {
            *known = Known::default();
        }
        known.n_bytes += key.len();
        known.keys.insert(key);
    }
    Ok(())
}

/// The operations of a service, or of all, in order; at most `limit`.
///
/// # Errors
/// When sled fails or a key is damaged.
pub(super) fn list(
    tree: &Tree,
    service: Option<&str>,
    limit: usize,
) -> Result<Vec<Operation>, StorageError> {
    let mut found = match service.map(cut) {
        None => tree.iter(),
        Some(service) => tree.range(service_prefix(service)..behind_service(service)),
    };
    let mut operations = Vec::new();
    while operations.len() < limit
        && let Some((key, _)) = guarded(|| found.next().transpose())?
    {
        operations.push(read(&key)?);
    }
    Ok(operations)
}

/// The services that have operations, in order; at most `limit`. Takes a look-up a service.
///
/// # Errors
/// As [`list`].
pub(super) fn services(tree: &Tree, limit: usize) -> Result<Vec<String>, StorageError> {
    let mut services = Vec::new();
    let mut from = Vec::new();
    while services.len() < limit
        && let Some((key, _)) = guarded(|| tree.range(from.as_slice()..).next().transpose())?
    {
        let service = read(&key)?.service;
        from = behind_service(&service);
        services.push(service);
    }
    Ok(services)
}

fn service_prefix(service: &str) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(service.len() + 1);
    for &byte in service.as_bytes() {
        prefix.push(byte);
        if byte == 0 {
            prefix.push(0xff);
        }
    }
    prefix.push(0);
    prefix
}

/// What is greater than the keys of a service and of no later one: no name begins with this byte,
/// and a service that goes on with a zero byte does, with more behind it.
fn behind_service(service: &str) -> Vec<u8> {
    let mut key = service_prefix(service);
    key.push(0xff);
    key
}

fn read(key: &[u8]) -> Result<Operation, StorageError> {
    let damaged = || StorageError::Damaged {
        what: "the name of an operation".to_owned(),
    };
    let end = (0..key.len())
        .find(|&at| key[at] == 0 && key.get(at + 1) != Some(&0xff))
        .ok_or_else(damaged)?;
    let service = key[..end]
        .iter()
        .copied()
        .filter(|&byte| byte != 0xff)
        .collect();
    let text = |bytes| String::from_utf8(bytes).map_err(|_| damaged());
    Ok(Operation {
        service: text(service)?,
        name: text(key[end + 1..].to_vec())?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::sled::db::Db;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn operations_are_listed_in_order(
            pairs in prop::collection::btree_set(("[a\\x00\\x01ÿ]{1,3}", "[a\\x00ÿ]{0,2}"), 0..20),
            limit in 0..25_usize,
        ) {
            let dir = TempDir::new().expect("a directory");
            let db = Db::open(dir.path()).expect("a database");
            let all: Vec<Operation> =
                pairs.into_iter().map(|(service, name)| Operation { service, name }).collect();
            let mut known = Known::default();
            insert(&db.operations, &mut known, all.iter().rev().cloned()).expect("sled works");
            insert(&db.operations, &mut known, all.clone()).expect("sled works");

            let first = |operations: &[Operation]| operations[..limit.min(operations.len())].to_vec();
            prop_assert_eq!(list(&db.operations, None, limit).expect("sled works"), first(&all));
            let services: BTreeSet<&String> = all.iter().map(|operation| &operation.service).collect();
            for service in &services {
                let of_service: Vec<Operation> =
                    all.iter().filter(|operation| operation.service == **service).cloned().collect();
                let found = list(&db.operations, Some(service), limit).expect("sled works");
                prop_assert_eq!(found, first(&of_service));
            }
            let found = super::services(&db.operations, limit).expect("sled works");
            prop_assert_eq!(found, services.into_iter().take(limit).cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_key_that_is_none_is_damage() {
        for key in [&b"no separator"[..], b"\xfe\0name", b"service\0\xfe"] {
            assert!(
                matches!(read(key), Err(StorageError::Damaged { .. })),
                "{key:?}"
            );
        }
    }
}
