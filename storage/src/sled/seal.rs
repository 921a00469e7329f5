//! Sealing: live traces become a block of the active partition.

mod groups;
mod late;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use longpole_analysis::{Analysis, PEER_KEYS};
use longpole_proto::trace::TraceParts;
use longpole_proto::wire::SpanSlice;
use longpole_proto::{Scope, Span, Trace, TraceId, UnixNanos};
use parking_lot::Mutex;

use self::groups::Groups;
use super::block::{Block, BlockBuilder, BlockSpan, FragmentFacts};
use super::bloom::{self, Bloom};
use super::core::{Batch, Core};
use super::digest::{DigestBuilder, of_block};
use super::entry::{self, Made, cut};
use super::io_error;
use super::live::{LiveTrace, Take};
use super::operations::Known;
use super::partition::{RowsBuilder, Sealed, Zone};
use super::received::Chunk;
use super::traces::TraceBuilder;
use super::view::{self, FragmentRef, View};
use crate::{Operation, StorageError};

/// What the sealer keeps from one block to the next.
#[derive(Default)]
pub(super) struct Turn {
    /// Of the active partition.
    known: Known,
    partition: u32,
    tools: Tools,
}

/// What blocks are built with, one after the other.
struct Tools {
    builder: BlockBuilder,
    rows: RowsBuilder,
    groups: Groups,
    digest: DigestBuilder,
    /// The group and operation of each span of the trace at hand.
    of_span: Vec<(u32, u32)>,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            builder: BlockBuilder::new(),
            rows: RowsBuilder::default(),
            groups: Groups::default(),
            digest: DigestBuilder::default(),
            of_span: Vec::new(),
        }
    }
}

impl Tools {
    fn clear(&mut self) {
        self.builder.clear();
        self.rows.clear();
        self.groups.clear();
        self.digest.clear();
    }
}

/// The sealer's thread, which works while the store is open.
pub(super) struct Sealer {
    core: Arc<Core>,
    is_stopping: Mutex<bool>,
}

impl Sealer {
    /// A sealer without its thread.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            is_stopping: Mutex::new(false),
        }
    }

    /// Starts the thread; it ends with [`Self::stop`], or when sealing fails.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        let sealer = Arc::clone(self);
        self.core.is_sealing.store(true, Ordering::Relaxed);
        std::thread::Builder::new()
            .name("longpole-seal".to_owned())
            .spawn(move || {
                sealer.run();
                sealer.core.is_sealing.store(false, Ordering::Relaxed);
                sealer.core.changed.notify_all();
            })
            .map_err(io_error("start a thread for", &self.core.paths.partitions))
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        *self.is_stopping.lock() = true;
        self.core.changed.notify_all();
    }

    fn run(&self) {
        let core = &self.core;
        let pause =
            (core.settings.quiet / 40).clamp(Duration::from_millis(1), Duration::from_millis(250));
        while !*self.is_stopping.lock() {
            let is_pressed = core.state.lock().live.n_bytes() > core.settings.live_bytes_soft;
            let take = if is_pressed { Take::Pressed } else { Take::Due };
            match core.seal_or_fail(take) {
                Ok(true) => {}
                Ok(false) => {
                    core.changed.wait_for(&mut core.state.lock(), pause);
                }
                Err(_) => return,
            }
        }
    }
}

impl Core {
    /// Seals some traces and says whether there were any. An error gives the store up.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn seal_or_fail(&self, take: Take) -> Result<bool, StorageError> {
        let sealed = catch_unwind(AssertUnwindSafe(|| self.seal(take)));
        let sealed =
            sealed.unwrap_or_else(|_| Err(StorageError::Engine("sealing panicked".into())));
        if let Err(error) = &sealed {
            self.fail(&error_text(error));
        }
        sealed
    }

    fn seal(&self, take: Take) -> Result<bool, StorageError> {
        let mut turn = self.turn.lock();
        self.check()?;
        let (batch, view) = {
            let now = self.settings.clock.elapsed();
            let mut state = self.state.lock();
            let traces = state.live.take(take, now, &self.settings);
            if traces.is_empty() {
                return Ok(false);
            }
            let batch = Arc::new(Batch {
                seq: state.applied,
                traces,
            });
            state.sealing = Some(Arc::clone(&batch));
            (batch, state.view.clone())
        };
        let active = view.active().expect("there always is an active partition");
        let Turn {
            known,
            partition,
            tools,
        } = &mut *turn;
        if *partition != active.partition.number() {
            *known = Known::default();
            *partition = active.partition.number();
        }
        tools.clear();
        let sealed = self.build(&batch, &view, known, tools)?;
        let block = u32::try_from(active.zones.len()).expect("far fewer than 2^32 blocks");
        active.partition.write(block, &sealed)?;
        let mut state = self.state.lock();
        state.view.push_block(Arc::new(sealed.zone));
        state.sealing = None;
        // The requests' memory is given back before those who wait for it look.
        drop(batch);
        drop(state);
        self.changed.notify_all();
        Ok(true)
    }

    fn build(
        &self,
        batch: &Batch,
        view: &View,
        known: &mut Known,
        tools: &mut Tools,
    ) -> Result<Sealed, StorageError> {
        let mut zone = Zone::new(batch.seq);
        let fragments = batch
            .traces
            .iter()
            .map(|trace| view.fragments(trace.trace_id))
            .collect::<Result<Vec<_>, _>>()?;
        let mut old = self.read_old(batch, &fragments)?;
        for (live, fragments) in batch.traces.iter().zip(&fragments) {
            add_spans(tools, live, &mut zone)?;
            let seq_min = live.chunks[0].seq();
            let trace_id = live.trace_id;
            let late = view::late_row(view, trace_id, fragments, seq_min);
            zone.late.extend(late);
            let entry = match old.remove(&trace_id) {
                None if fragments.is_empty() => Ok(entry_of(tools, live)),
                Some(before) => before.and_then(|before| {
                    let (entry, is_counted) =
                        late::entry_of(&mut tools.digest, live, before, fragments)?;
                    zone.set_counted(is_counted);
                    Ok(entry)
                }),
                None => Err(StorageError::Damaged {
                    what: format!("trace {trace_id} has too many fragments"),
                }),
            };
            if !fragments.is_empty() && !zone.is_counted() {
                let starts = spans(live).map(|(_, span)| span.start);
                tools.digest.leave_out(starts);
            }
            if let Ok(made) = entry {
                zone.add(&made);
                tools.rows.push(trace_id, &made.entry);
            } else {
                // Searches make it when they need it, or find out why it cannot be made.
                zone.is_open = true;
                tools.rows.push(trace_id, &[]);
            }
        }
        let operations = tools
            .groups
            .operations()
            .map(|(service, name)| (cut(service), cut(name)))
            .filter(|&(service, name)| known.is_new(service, name))
            .map(|(service, name)| Operation {
                service: service.to_owned(),
                name: name.to_owned(),
            })
            .collect();
        let digest = tools.digest.finish(&tools.builder);
        zone.minutes = digest.minutes;
        Ok(Sealed {
            digest: digest.value,
            block: tools.builder.finish(),
            rows: tools.rows.finish(),
            bloom: bloom_of(&tools.builder),
            zone,
            trace_ids: batch.traces.iter().map(|trace| trace.trace_id).collect(),
            operations,
        })
    }

    /// What is sealed of the traces that have fragments, but not too many: each block is read once.
    fn read_old(
        &self,
        batch: &Batch,
        fragments: &[Vec<FragmentRef>],
    ) -> Result<BTreeMap<TraceId, Result<TraceBuilder, StorageError>>, StorageError> {
        let mut by_block: BTreeMap<(u64, u32, u32), (&FragmentRef, Vec<TraceId>)> = BTreeMap::new();
        let mut old = BTreeMap::new();
        for (live, fragments) in batch.traces.iter().zip(fragments) {
            if fragments.is_empty() || fragments.len() > self.settings.summary_fragments_max {
                continue;
            }
            old.insert(live.trace_id, Ok(TraceBuilder::new(live.trace_id)));
            for fragment in fragments {
                // In order of sequence, so that each trace's spans come in order.
                let key = (fragment.seq, fragment.partition.number(), fragment.block);
                let (_, trace_ids) = by_block.entry(key).or_insert((fragment, Vec::new()));
                trace_ids.push(live.trace_id);
            }
        }
        for (fragment, trace_ids) in by_block.values() {
            let bytes = match fragment.partition.block(fragment.block) {
                // It was removed or set aside meanwhile: the summary is made when it is needed.
                Err(_) if fragment.partition.is_broken() => Vec::new(),
                bytes => bytes?,
            };
            let spans = Block::open(&bytes)
                .and_then(|block| block.traces_of(|trace_id| trace_ids.contains(&trace_id)));
            let spans = spans.unwrap_or_else(|error| {
                tracing::warn!(%error, block = fragment.block, "a block cannot be read");
                Vec::new()
            });
            for &trace_id in trace_ids {
                let damaged = || StorageError::Damaged {
                    what: format!("trace {trace_id}"),
                };
                let found = spans.iter().find(|(id, _)| *id == trace_id);
                let Some(Ok(trace)) = old.get_mut(&trace_id) else {
                    continue;
                };
                let pushed = found
                    .ok_or_else(damaged)
                    .and_then(|(_, spans)| trace.push(spans));
                if let Err(error) = pushed {
                    old.insert(trace_id, Err(error));
                }
            }
        }
        Ok(old)
    }
}

/// The attributes of traces in memory, as those of a block are stored.
///
/// # Errors
/// When a resource is no message.
pub(super) fn attributes_of(traces: &[LiveTrace]) -> Result<Vec<u8>, StorageError> {
    let mut tools = Tools::default();
    let mut zone = Zone::new(0);
    for live in traces {
        add_spans(&mut tools, live, &mut zone)?;
    }
    Ok(of_block(&tools.builder))
}

/// Adds a trace's spans to the block, and leaves each one's group and operation.
fn add_spans(tools: &mut Tools, live: &LiveTrace, zone: &mut Zone) -> Result<(), StorageError> {
    let Tools {
        builder,
        groups,
        of_span,
        ..
    } = tools;
    groups.begin_trace();
    of_span.clear();
    for chunk in &live.chunks {
        let bytes = chunk.from().by_trace.request().bytes();
        // Spans of one scope stand together.
        let mut last: Option<(u32, u32)> = None;
        for span in chunk.spans().spans() {
            let group = match last {
                Some((scope_idx, group)) if scope_idx == span.scope_idx() => group,
                _ => groups.of(chunk.from(), span, builder)?,
            };
            last = Some((span.scope_idx(), group));
            of_span.push((group, groups.operation(group, &bytes[span.name()])));
        }
    }
    let received = || live.chunks.iter().map(Chunk::received);
    let first = received().min().unwrap_or_default();
    let last = received().max().unwrap_or_default();
    let facts = FragmentFacts {
        first_received: first.0,
        last_received: last.0,
    };
    let spans = spans(live)
        .zip(&*of_span)
        .map(|((bytes, span), &(group, operation))| BlockSpan {
            group,
            operation,
            message: &bytes[span.message()],
        });
    builder.add_trace(live.trace_id, facts, spans);
    zone.seq_min = zone.seq_min.min(live.chunks[0].seq());
    zone.n_spans += live.n_spans as u64;
    zone.n_traces += 1;
    zone.received_max = UnixNanos(zone.received_max.0.max(last.0));
    Ok(())
}

/// A trace's spans with the bytes of the request each came in.
fn spans(live: &LiveTrace) -> impl Iterator<Item = (&[u8], &SpanSlice)> {
    live.chunks.iter().flat_map(|chunk| {
        let bytes: &[u8] = chunk.from().by_trace.request().bytes();
        chunk.spans().spans().map(move |span| (bytes, span))
    })
}

/// Makes the entry of the trace that was added last.
fn entry_of(tools: &mut Tools, live: &LiveTrace) -> Made {
    let sources: Vec<(&[u8], &SpanSlice)> = spans(live).collect();
    let mut parts = TraceParts {
        spans: Vec::with_capacity(sources.len()),
        resources: Vec::new(),
        scopes: vec![Scope::default()],
    };
    for (&(bytes, span), &(group, operation)) in sources.iter().zip(&tools.of_span) {
        let resource_idx = tools.groups.resource_idx(group, &mut parts.resources);
        parts.spans.push(Span {
            links: span.links(bytes),
            ..span.outline(tools.groups.name(operation), resource_idx)
        });
    }
    let (trace, order) =
        Trace::with_order(live.trace_id, parts).expect("a trace in memory has a span");
    let analysis = Analysis::without_words(&trace, &|span_idx| {
        let (bytes, span) = sources[order[span_idx] as usize];
        let attributes = span.attributes(bytes, &PEER_KEYS);
        attributes.text_of_any(&PEER_KEYS).map(str::to_owned)
    });
    let Tools {
        digest,
        groups,
        of_span,
        ..
    } = tools;
    digest.add_operations(groups.operations_from(digest.n_operations()));
    digest.count(&trace, &analysis, |span_idx| {
        let at = order[span_idx] as usize;
        let (bytes, span) = sources[at];
        (bytes, span, of_span[at].1)
    });
    entry::encode(&trace, analysis.summary(&trace))
}

/// The bloom of a block's attributes.
fn bloom_of(builder: &BlockBuilder) -> Vec<u8> {
    let mut bloom = Bloom::builder();
    builder.attributes(&mut |key, values| {
        bloom::items_of(key, values, &mut |item| bloom.insert(item));
    });
    bloom.finish()
}

fn error_text(error: &StorageError) -> String {
    match error {
        StorageError::Engine(source) => source.to_string(),
        other => other.to_string(),
    }
}
