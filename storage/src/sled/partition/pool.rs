//! Which databases of closed partitions are open: a few, because each takes some megabytes, a few more
//! for what is read of it, and some milliseconds to open.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::handle::{self, Handle};

/// In how many turns one must have been used to stay open.
const TURNS_UNUSED: usize = 30;

/// Closes those that were not used lately when others are opened.
pub(in crate::sled) struct Pool {
    n_max: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// No more than may be open. One that is not open any more does no harm.
    handles: Vec<Weak<Handle>>,
    /// What the count of uses was, turn by turn.
    turns: VecDeque<u64>,
}

impl Pool {
    /// A pool of so many open databases.
    pub(in crate::sled) fn new(n_max: usize) -> Self {
        Self {
            n_max: n_max.max(1),
            open: Mutex::default(),
        }
    }

    /// Notes one that was opened, and closes another.
    pub(super) fn opened(&self, handle: &Arc<Handle>) {
        let mut open = self.open.lock();
        let handles = &mut open.handles;
        // It counts as the newest, and those of removed partitions do not.
        handles.retain(|other| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(handle));
        let mut closed = None;
        if handles.len() >= self.n_max {
            let oldest = (0..handles.len())
                .min_by_key(|&at| handles[at].upgrade().map(|other| other.last_used()));
            closed = oldest.and_then(|at| handles.swap_remove(at).upgrade());
        }
        handles.push(Arc::downgrade(handle));
        drop(open);
        if let Some(other) = closed {
            other.release();
        }
    }

    /// Closes those that were not used in the last thirty turns, of which this is one.
    pub(in crate::sled) fn turn(&self) {
        let mut open = self.open.lock();
        open.turns.push_back(handle::n_uses());
        if open.turns.len() <= TURNS_UNUSED {
            return;
        }
        let used_before = open.turns.pop_front().unwrap_or_default();
        let (unused, used) = std::mem::take(&mut open.handles)
            .into_iter()
            .filter_map(|handle| handle.upgrade())
            .partition::<Vec<_>, _>(|handle| handle.last_used() < used_before);
        open.handles = used.iter().map(Arc::downgrade).collect();
        drop(open);
        for handle in unused {
            handle.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::db::Db;
    use super::*;

    fn handles(dir: &TempDir, pool: &Arc<Pool>) -> [Arc<Handle>; 4] {
        ["a", "b", "c", "d"].map(|name| {
            let path = dir.path().join(name);
            drop(Db::open(&path).expect("a database"));
            let handle = Arc::new(Handle::new(&path, None));
            handle.join(pool);
            handle
        })
    }

    fn open(handles: &[Arc<Handle>]) -> Vec<usize> {
        (0..handles.len())
            .filter(|&n| handles[n].is_open())
            .collect()
    }

    #[test]
    fn the_least_recently_used_is_closed() {
        let dir = TempDir::new().expect("a directory");
        let handles = handles(&dir, &Arc::new(Pool::new(2)));
        for (n, expected) in [
            (0, vec![0]),
            (1, vec![0, 1]),
            (0, vec![0, 1]),
            (2, vec![0, 2]),
            (2, vec![0, 2]),
            (3, vec![2, 3]),
            (0, vec![0, 3]),
        ] {
            handles[n].db().expect("a database");
            assert_eq!(open(&handles), expected);
        }
    }

    #[test]
    fn one_that_is_still_read_when_it_is_closed_counts_when_it_is_used_again() {
        let dir = TempDir::new().expect("a directory");
        let handles = handles(&dir, &Arc::new(Pool::new(1)));
        let read = handles[0].db().expect("a database");
        handles[1].db().expect("a database");
        assert_eq!(open(&handles), [1]);
        let again = handles[0].db().expect("a database");
        assert!(Arc::ptr_eq(&read, &again));
        assert_eq!(open(&handles), [0]);
        handles[2].db().expect("a database");
        assert_eq!(open(&handles), [2]);
    }

    #[test]
    fn what_nobody_uses_is_closed_some_turns_later() {
        let dir = TempDir::new().expect("a directory");
        let pool = Arc::new(Pool::new(3));
        let handles = handles(&dir, &pool);
        handles[0].db().expect("a database");
        handles[1].db().expect("a database");
        for _ in 0..TURNS_UNUSED {
            pool.turn();
            handles[1].db().expect("a database");
        }
        assert_eq!(open(&handles), [0, 1]);
        pool.turn();
        assert_eq!(open(&handles), [1]);
    }
}
