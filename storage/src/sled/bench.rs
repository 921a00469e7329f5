//! The block codec and the log by themselves, for benches: what the engine has of them is private.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};

use super::block::{Block, BlockBuilder, BlockSpan, FragmentFacts};
use super::budget::Budget;
use super::core::{Core, Paths};
use super::engine::Plan;
use super::files::OsFiles;
use super::history::History;
use super::live::Take;
use super::log::{Log, LogConfig, SEGMENT_BYTES_MAX};
use super::marks::Marks;
use super::partition::Pool;
use super::received::{Chunk, Received};
use super::recover::recover;
use super::settings::Settings;
use crate::{Durability, StorageError, StoreConfig};

/// The spans of some requests by trace, as the sealer has them.
#[derive(Debug)]
pub struct Traces {
    chunks: BTreeMap<TraceId, Vec<Chunk>>,
    n_spans: usize,
}

impl Traces {
    /// Cuts requests by trace.
    pub fn new(requests: Vec<ExportRequest>) -> Self {
        let memory = Budget::new(u64::MAX);
        let mut chunks: BTreeMap<TraceId, Vec<Chunk>> = BTreeMap::new();
        let mut n_spans = 0;
        for request in requests {
            n_spans += request.spans().len();
            for chunk in Received::new(1, UnixNanos(0), request, &memory).chunks() {
                let trace_id = chunk.spans().trace_id();
                chunks.entry(trace_id).or_default().push(chunk);
            }
        }
        Self { chunks, n_spans }
    }

    /// How many spans there are.
    pub fn n_spans(&self) -> usize {
        self.n_spans
    }

    /// Makes a block of all of them.
    pub fn encode(&self) -> BlockBytes {
        let mut builder = BlockBuilder::new();
        let mut groups: HashMap<(usize, u32), u32> = HashMap::new();
        let mut operations: HashMap<(u32, &[u8]), u32> = HashMap::new();
        for (&trace_id, chunks) in &self.chunks {
            let mut spans = Vec::new();
            for chunk in chunks {
                let request = chunk.from().by_trace.request();
                for span in chunk.spans().spans() {
                    let place = (Arc::as_ptr(chunk.from()).addr(), span.scope_idx());
                    let group = *groups.entry(place).or_insert_with(|| {
                        let (mut resource, mut scope) = (Vec::new(), Vec::new());
                        request.write_resource(span, &mut resource);
                        request.write_scope(span, &mut scope);
                        builder.group(&resource, &scope)
                    });
                    let next = u32::try_from(operations.len()).expect("few operations");
                    let name = &request.bytes()[span.name()];
                    spans.push(BlockSpan {
                        group,
                        operation: *operations.entry((group, name)).or_insert(next),
                        message: &request.bytes()[span.message()],
                    });
                }
            }
            builder.add_trace(trace_id, FragmentFacts::default(), spans.into_iter());
        }
        BlockBytes(builder.finish())
    }
}

/// Spans in memory that are to be sealed, without a log.
pub struct Sealing(Core);

impl Sealing {
    /// Takes requests in, for a partition in a directory that is empty.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn new(dir: &Path, requests: &[Bytes]) -> Result<Self, StorageError> {
        let config = StoreConfig::new(dir);
        let plan = Plan {
            settings: Settings::new(&config),
            config,
            files: Arc::new(OsFiles),
            history: Arc::new(History::new(dir, UnixNanos(0))),
            alarm: Arc::default(),
        };
        let paths = Paths {
            data: dir.to_owned(),
            log: dir.join("log"),
            partitions: dir.join("partitions"),
            quarantine: dir.join("quarantine"),
            checkpoint: dir.join("CHECKPOINT"),
            marks: dir.join("MARKS"),
        };
        let pool = Arc::new(Pool::new(plan.settings.open_max));
        let recovered = recover(&paths, &pool, None, UnixNanos(0), &OsFiles)?;
        let (marks, _) = Marks::open(paths.marks.clone(), &OsFiles)?;
        let core = Core::new(&plan, paths, pool, recovered.view, marks, 0);
        for (seq, bytes) in (1..).zip(requests) {
            let request = ExportRequest::parse(bytes.clone()).expect("an export request");
            core.insert(seq, UnixNanos(seq), request);
        }
        Ok(Self(core))
    }

    /// Seals all of them.
    ///
    /// # Errors
    /// When sled fails.
    pub fn seal(&self) -> Result<(), StorageError> {
        while self.0.seal_or_fail(Take::All)? {}
        Ok(())
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
