//! A store of one trace at a time, for the pages and query APIs in front of it.

use std::sync::Mutex;

use bytes::Bytes;
use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use longpole_storage::{
    Aggregates, AggregatesRequest, Completion, Health, MostFrequent, Operation, Overview,
    OverviewRequest, SearchRequest, SearchResult, Stats, StorageError, Store, StoreStatus,
    StoredTrace, TraceVersion,
};

use crate::traces::trace_id;

/// A trace, and how many there were before it.
#[derive(Default)]
pub(crate) struct OneTrace(Mutex<(Bytes, u64)>);

impl OneTrace {
    /// Puts this `TracesData` in the place of the trace.
    pub(crate) fn put(&self, otlp: Vec<u8>) {
        let mut place = self.0.lock().expect("no panic while it is held");
        *place = (otlp.into(), place.1 + 1);
    }
}

impl Store for OneTrace {
    fn append(&self, _: ExportRequest, _: UnixNanos, done: Completion) {
        done(Err(StorageError::Closed));
    }

    fn trace(&self, id: TraceId) -> Result<Option<StoredTrace>, StorageError> {
        let otlp = self.0.lock().expect("no panic while it is held").0.clone();
        Ok((id == trace_id()).then_some(StoredTrace {
            trace_id: id,
            otlp,
            first_received: UnixNanos(0),
            last_received: UnixNanos(0),
        }))
    }

    fn trace_version(&self, id: TraceId) -> Result<Option<TraceVersion>, StorageError> {
        let number = self.0.lock().expect("no panic while it is held").1;
        Ok((id == trace_id()).then(|| TraceVersion::new([number])))
    }

    fn delete(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn deleted(&self, _: TraceId) -> Result<Option<UnixNanos>, StorageError> {
        Ok(None)
    }

    fn pin(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn unpin(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn pinned(&self) -> Result<Vec<TraceId>, StorageError> {
        Ok(Vec::new())
    }

    fn search(&self, _: &SearchRequest) -> Result<SearchResult, StorageError> {
        Err(StorageError::Closed)
    }

    fn overview(&self, _: &OverviewRequest) -> Result<Overview, StorageError> {
        Err(StorageError::Closed)
    }

    fn services(&self, _: usize) -> Result<Vec<String>, StorageError> {
        Err(StorageError::Closed)
    }

    fn operations(&self, _: Option<&str>, _: usize) -> Result<Vec<Operation>, StorageError> {
        Err(StorageError::Closed)
    }

    fn attribute_names(&self, _: &str, _: usize) -> Result<MostFrequent, StorageError> {
        Err(StorageError::Closed)
    }

    fn attribute_values(&self, _: &str, _: &str, _: usize) -> Result<MostFrequent, StorageError> {
        Err(StorageError::Closed)
    }

    fn aggregates(&self, _: &AggregatesRequest) -> Result<Aggregates, StorageError> {
        Err(StorageError::Closed)
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        Err(StorageError::Closed)
    }

    fn health(&self) -> Result<Health, StorageError> {
        Err(StorageError::Closed)
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        Err(StorageError::Closed)
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
