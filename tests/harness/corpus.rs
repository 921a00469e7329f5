//! Recordings of real traces, kept beside the repository and never in it.
//!
//! A file is one zstd stream of `[varint length][ExportTraceServiceRequest]`, in the order an
//! exporter sent them.

use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

/// A recording: the export requests of a file, as they were on the wire.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The file's name.
    pub name: String,
    /// The requests, in order.
    pub requests: Vec<Bytes>,
}

/// All recordings of `shared/data/fixtures` beside the repository, by name; `None`, with a note
/// among the test's output, when that folder is not there.
///
/// # Panics
/// When a file there is not what it should be.
pub fn fixtures() -> Option<Vec<Recording>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let folder = root.parent()?.join("shared/data/fixtures");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("left out: no recordings in ../shared/data/fixtures");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder lists its files").path())
        .filter(|path| path.to_string_lossy().ends_with(".otlp.zst"))
        .collect();
    paths.sort();
    Some(paths.iter().map(|path| read(path)).collect())
}

fn read(path: &Path) -> Recording {
    let name = path
        .file_name()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned();
    let packed = std::fs::read(path).expect("a recording can be read");
    let unpacked = zstd::stream::decode_all(packed.as_slice()).expect("a recording is zstd");
    let mut rest = Bytes::from(unpacked);
    let mut requests = Vec::new();
    while rest.has_remaining() {
        let length = prost::decode_length_delimiter(&mut rest).expect("a request has a length");
        requests.push(rest.split_to(length));
    }
    Recording { name, requests }
}
