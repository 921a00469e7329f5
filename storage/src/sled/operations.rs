//! The tree `operations`: every operation that has spans, by service and name.
//!
//! A key is `service | 0 | name`, where a zero byte in the service is `0 255` (which no name begins
//! with: it is UTF-8). So keys sort as services and names do, and a service's are one run.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use sled::Tree;

use super::entry::{cut, may_be_cut};
use super::partition::guarded;
use crate::{Operation, StorageError};

/// How many operations of a partition are kept in memory; of more, none are.
pub(super) const IN_MEMORY_MAX: usize = 20_000;

/// How many operations are remembered as stored, so that most are not looked up again.
const KNOWN_MAX: usize = 200_000;

/// The operations that are known to be stored already, by hash.
#[derive(Debug, Default)]
pub(super) struct Known {
    hasher: RandomState,
    hashes: HashSet<u64, RandomState>,
}

impl Known {
    /// Remembers an operation, its names cut as they are kept, and says whether it may be new. One
    /// in 2^40 new ones is taken for known; nobody can choose which, the hash is this process's.
    pub(super) fn is_new(&mut self, service: &str, name: &str) -> bool {
        if self.hashes.len() >= KNOWN_MAX {
            self.hashes.clear();
        }
        self.hashes.insert(self.hasher.hash_one((service, name)))
    }
}

/// The operations of a partition in memory, unless they are too many.
#[derive(Debug)]
pub(super) struct OperationSet(Option<BTreeSet<Operation>>);

impl Default for OperationSet {
    fn default() -> Self {
        Self(Some(BTreeSet::new()))
    }
}

impl OperationSet {
    /// The set of all that there are; `None` when they are too many.
    pub(super) fn new(operations: Option<Vec<Operation>>) -> Self {
        let set = operations.filter(|operations| operations.len() <= IN_MEMORY_MAX);
        Self(set.map(|operations| operations.into_iter().collect()))
    }

    /// Adds some.
    pub(super) fn extend(&mut self, operations: &[Operation]) {
        if let Some(set) = &mut self.0 {
            set.extend(operations.iter().cloned());
            if set.len() > IN_MEMORY_MAX {
                self.0 = None;
            }
        }
    }

    /// Whether one of them may be meant; `true` when they are not in memory.
    pub(super) fn may_any(&self, mut is_meant: impl FnMut(&Operation) -> bool) -> bool {
        let Some(set) = &self.0 else {
            return true;
        };
        set.iter().any(|operation| {
            may_be_cut(&operation.service) || may_be_cut(&operation.name) || is_meant(operation)
        })
    }

    /// All of them.
    pub(super) fn complete(&self) -> Option<Vec<Operation>> {
        Some(self.0.as_ref()?.iter().cloned().collect())
    }

    /// As [`list`], from memory.
    pub(super) fn list(&self, service: Option<&str>, limit: usize) -> Option<Vec<Operation>> {
        let set = self.0.as_ref()?;
        let Some(service) = service.map(cut) else {
            return Some(set.iter().take(limit).cloned().collect());
        };
        let from = Operation {
            service: service.to_owned(),
            name: String::new(),
        };
        let found = set.range(from..).take_while(|of| of.service == service);
        Some(found.take(limit).cloned().collect())
    }

    /// As [`services`], from memory.
    pub(super) fn services(&self, limit: usize) -> Option<Vec<String>> {
        let mut services: Vec<String> = Vec::new();
        for operation in self.0.as_ref()? {
            if services.last() == Some(&operation.service) {
                continue;
            }
            if services.len() == limit {
                break;
            }
            services.push(operation.service.clone());
        }
        Some(services)
    }
}

/// Stores an operation.
///
/// # Errors
/// When sled fails.
pub(super) fn insert(tree: &Tree, operation: &Operation) -> Result<(), StorageError> {
    let mut key = service_prefix(&operation.service);
    key.extend_from_slice(operation.name.as_bytes());
    guarded(|| tree.insert(&key, &[])).map(drop)
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
    use crate::sled::partition::Db;

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
            for operation in all.iter().rev().chain(&all) {
                insert(&db.operations, operation).expect("sled works");
            }
            let set = OperationSet::new(Some(all.clone()));

            let first = |operations: &[Operation]| operations[..limit.min(operations.len())].to_vec();
            prop_assert_eq!(list(&db.operations, None, limit).expect("sled works"), first(&all));
            prop_assert_eq!(set.list(None, limit), Some(first(&all)));
            let services: BTreeSet<&String> = all.iter().map(|operation| &operation.service).collect();
            for service in &services {
                let of_service: Vec<Operation> =
                    all.iter().filter(|operation| operation.service == **service).cloned().collect();
                let found = list(&db.operations, Some(service), limit).expect("sled works");
                prop_assert_eq!(&found, &first(&of_service));
                prop_assert_eq!(set.list(Some(service), limit), Some(found));
            }
            let found = super::services(&db.operations, limit).expect("sled works");
            prop_assert_eq!(&found, &services.into_iter().take(limit).cloned().collect::<Vec<_>>());
            prop_assert_eq!(set.services(limit), Some(found));
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
