//! Damaged pieces that were set aside, with a note beside each of what was wrong with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files::{self, Files};
use super::keeper::bytes_below;
use crate::SetAside;

/// What the note beside a piece ends in.
const NOTE: &str = ".reason";

/// What segments of the log that were set aside end in.
const SEGMENT: &str = ".damaged";

/// How many are told one by one.
const PIECES_MAX: usize = 100;

/// How much of a note is told.
const NOTE_BYTES_MAX: u64 = 1_000;

/// Writes down why a piece lies aside. When that fails the reason is in the log of that time only.
pub(super) fn explain(piece: &Path, reason: &str, files: &dyn Files) {
    let path = note_of(piece);
    // One whose piece was removed may be there.
    drop(files.remove(&path));
    let written = files
        .create(&path)
        .and_then(|mut file| files::write_all(&mut *file, format!("{reason}\n").as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, path = %path.display(), "the reason could not be written down");
    }
}

/// How many pieces lie aside.
pub(super) fn count(quarantine: &Path, log: &Path) -> u64 {
    pieces(quarantine, log).len() as u64
}

/// The pieces that lie aside, by path; the first hundred.
pub(super) fn list(quarantine: &Path, log: &Path, files: &dyn Files) -> Vec<SetAside> {
    let mut paths = pieces(quarantine, log);
    paths.sort_unstable();
    paths.truncate(PIECES_MAX);
    let piece = |path: PathBuf| SetAside {
        reason: reason(&path, files),
        // What was removed meanwhile has none.
        bytes: bytes_of(&path).unwrap_or(0),
        path,
    };
    paths.into_iter().map(piece).collect()
}

/// The pieces that lie in quarantine, in no order.
pub(super) fn in_quarantine(quarantine: &Path) -> impl Iterator<Item = PathBuf> {
    names(quarantine).filter(|path| !ends_in(path, NOTE))
}

/// Removes a piece that lies in quarantine, with its note.
pub(super) fn remove(piece: &Path) -> io::Result<()> {
    if piece.is_dir() {
        fs::remove_dir_all(piece)?;
    } else {
        fs::remove_file(piece)?;
    }
    match fs::remove_file(note_of(piece)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn pieces(quarantine: &Path, log: &Path) -> Vec<PathBuf> {
    let in_quarantine = in_quarantine(quarantine);
    let in_log = names(log).filter(|path| ends_in(path, SEGMENT));
    in_quarantine.chain(in_log).collect()
}

/// What lies in a directory; nothing when it is not there.
fn names(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn ends_in(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().ends_with(ending)
}

fn note_of(piece: &Path) -> PathBuf {
    let mut name = piece.as_os_str().to_owned();
    name.push(NOTE);
    name.into()
}

fn reason(piece: &Path, files: &dyn Files) -> Option<String> {
    if ends_in(piece, SEGMENT) {
        return Some("a part of it is damaged; what could be read was taken in".to_owned());
    }
    let note = files.read_start(&note_of(piece), NOTE_BYTES_MAX).ok()?;
    Some(String::from_utf8_lossy(&note).trim().to_owned())
}

fn bytes_of(piece: &Path) -> io::Result<u64> {
    if piece.is_dir() {
        return Ok(bytes_below(piece).unwrap_or(0));
    }
    Ok(fs::metadata(piece)?.len())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::sled::files::OsFiles;

    #[test]
    fn what_lies_aside_is_told_with_its_reason() {
        let dir = TempDir::new().expect("a directory");
        let (quarantine, log) = (dir.path().join("quarantine"), dir.path().join("log"));
        assert_eq!(count(&quarantine, &log), 0, "neither is there");
        let piece = quarantine.join("2026-11-22T04-0012");
        fs::create_dir_all(&piece).expect("a directory");
        fs::create_dir(&log).expect("a directory");
        fs::write(piece.join("db"), "12345").expect("a file");
        fs::create_dir(quarantine.join("older")).expect("a directory");
        fs::write(log.join("00000001.log"), "in use").expect("a file");
        fs::write(log.join("00000002.damaged"), "123").expect("a file");
        explain(&piece, "page 7 is gone", &OsFiles);
        assert_eq!(count(&quarantine, &log), 3);
        let listed = list(&quarantine, &log, &OsFiles);
        let told: Vec<_> = listed
            .iter()
            .map(|piece| (piece.bytes, piece.reason.as_deref()))
            .collect();
        let segment = Some("a part of it is damaged; what could be read was taken in");
        assert_eq!(told, [(3, segment), (5, Some("page 7 is gone")), (0, None)]);
        assert_eq!(listed[1].path, piece);
        remove(&piece).expect("it is there");
        let left: Vec<_> = names(&quarantine).collect();
        assert_eq!(left, [quarantine.join("older")], "the note went too");
    }
}
