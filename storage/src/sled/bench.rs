//! The block codec and the log by themselves, for benches: what the engine has of them is private.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};

use super::block::{Block, BlockBuilder, FragmentFacts};
use super::files::OsFiles;
use super::log::{Log, LogConfig, SEGMENT_BYTES_MAX};
use super::traces;
use crate::{Durability, StorageError};

/// The spans of some requests by trace, as the sealer has them.
#[derive(Debug)]
pub struct Traces {
    /// Each a list of `TracesData` messages.
    chunks: BTreeMap<TraceId, Vec<Vec<u8>>>,
    n_spans: usize,
}

impl Traces {
    /// Cuts requests by trace.
    pub fn new(requests: &[ExportRequest]) -> Self {
        let mut chunks: BTreeMap<TraceId, Vec<Vec<u8>>> = BTreeMap::new();
        for (trace_id, data) in requests.iter().flat_map(ExportRequest::by_trace) {
            chunks.entry(trace_id).or_default().push(data);
        }
        let n_spans = requests.iter().map(|request| request.spans().len()).sum();
        Self { chunks, n_spans }
    }

    /// How many spans there are.
    pub fn n_spans(&self) -> usize {
        self.n_spans
    }

    /// Makes a block of all of them.
    pub fn encode(&self) -> BlockBytes {
        let mut builder = BlockBuilder::new();
        for (&trace_id, chunks) in &self.chunks {
            let mut spans = Vec::new();
            for chunk in chunks {
                traces::spans_of(chunk, &mut spans).expect("what was cut can be read");
            }
            let spans = spans
                .iter()
                .map(|(resource, scope, message)| (&**resource, &**scope, *message));
            builder.add_trace(trace_id, FragmentFacts::default(), spans);
        }
        BlockBytes(builder.finish())
    }
}

/// A block's bytes.
#[derive(Debug)]
pub struct BlockBytes(Vec<u8>);

impl BlockBytes {
    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many traces it has.
    pub fn n_traces(&self) -> usize {
        self.open().fragments().len()
    }

    /// All its traces, each as `TracesData`.
    pub fn traces(&self) -> Vec<Vec<u8>> {
        let block = self.open();
        let all = block.traces(block.fragments());
        all.expect("what was encoded can be decoded")
    }

    /// The trace at a place, in order of trace IDs.
    pub fn trace(&self, at: usize) -> Vec<u8> {
        let block = self.open();
        let mut one = block
            .traces(&block.fragments()[at..=at])
            .expect("what was encoded can be decoded");
        one.remove(0)
    }

    fn open(&self) -> Block<'_> {
        Block::open(&self.0).expect("what was encoded can be opened")
    }
}

/// A log that nothing reads.
pub struct AppendLog(Log);

impl AppendLog {
    /// Begins one in a directory.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(dir: &Path, durability: Durability) -> Result<Self, StorageError> {
        let config = LogConfig {
            dir: dir.to_owned(),
            durability,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            last_seq: 0,
            replay_from: 0,
            salt: 0,
        };
        let (log, _) = Log::open(Arc::new(OsFiles), config, |_| Ok(()))?;
        Ok(Self(log))
    }

    /// Appends bodies at once and waits until all are as durable as promised.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn append(&self, bodies: &[Bytes]) -> Result<(), StorageError> {
        let (sender, written) = mpsc::sync_channel(bodies.len());
        for body in bodies {
            let sender = sender.clone();
            let done = move |result: Result<_, _>| drop(sender.send(result.map(drop)));
            self.0.append(body.clone(), UnixNanos(0), Box::new(done));
        }
        drop(sender);
        written.iter().collect()
    }

    /// Removes what was appended.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn forget(&self) -> Result<(), StorageError> {
        self.0.roll();
        let (sender, reached) = mpsc::sync_channel::<()>(1);
        self.0.barrier(Box::new(move || drop(sender)));
        reached.recv().err();
        self.0.forget_through(u64::MAX)
    }
}
