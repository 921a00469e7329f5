//! Reads what `strace -f -xx` wrote: which system calls began and ended, in what order.
//!
//! strace prints a line before it lets a call begin and another after it saw it end, so a call whose end is
//! printed before another's beginning was over by then.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

/// The calls that can change a file or a directory, or say something to a client. Those the model
/// does not know are here too, so that their use is noticed.
pub(super) const TRACED: &str = "open,openat,creat,close,dup,dup2,dup3,fcntl,accept,accept4,lseek,\
    write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,sync_file_range,ftruncate,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,\
    sync,syncfs,msync,mmap,truncate,fallocate,link,linkat,symlink,symlinkat,copy_file_range,sendfile,\
    splice,io_uring_setup";

/// The most of a write that is recorded; none is as large.
pub(super) const BYTES_MAX: usize = 48 << 20;

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// Gives a new descriptor.
    Open {
        path: At,
        creates: bool,
        truncates: bool,
        appends: bool,
    },
    Close {
        fd: i32,
    },
    /// Gives a new descriptor.
    Duplicate {
        fd: i32,
    },
    /// Gives a new descriptor, of a connection with this port on the other side.
    Accept {
        port: u16,
    },
    /// Gives the new position.
    Seek {
        fd: i32,
    },
    /// At the descriptor's position or, given one, at that place. Gives how much was written.
    Write {
        fd: i32,
        bytes: Arc<[u8]>,
        place: Option<u64>,
    },
    Sync {
        fd: i32,
    },
    Truncate {
        fd: i32,
        len: u64,
    },
    Rename {
        from: At,
        to: At,
    },
    /// A file or an empty directory.
    Remove {
        path: At,
    },
    MakeDir {
        path: At,
    },
}

/// A path, and the descriptor of the directory it begins at when it is relative to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) dir: Option<i32>,
    pub(super) path: PathBuf,
}

/// A call begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The same for a call's beginning and its end.
    pub(super) number: usize,
    pub(super) call: Arc<Call>,
    /// What the call gave; `None` when it begins.
    pub(super) result: Option<i64>,
}

/// A call whose end is on a later line.
struct Unfinished {
    number: usize,
    call: Option<Arc<Call>>,
    text: Vec<u8>,
}

/// Reads a recording. Calls the process was killed in have no end.
///
/// # Errors
/// When it cannot be read, or has a call that is not known here.
pub(super) fn read(mut from: impl BufRead) -> anyhow::Result<Vec<Event>> {
    let mut recording = Recording::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        recording.read_line(&line).with_context(|| {
            let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
            format!("cannot understand {shown}")
        })?;
        line.clear();
    }
    Ok(recording.events)
}

#[derive(Default)]
struct Recording {
    n_calls: usize,
    /// By thread.
    unfinished: HashMap<Vec<u8>, Unfinished>,
    events: Vec<Event>,
}

impl Recording {
    fn read_line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let line = line.trim_ascii();
        let blank = find(line, b" ").context("no thread")?;
        let (thread, said) = (&line[..blank], line[blank..].trim_ascii_start());
        if said.starts_with(b"+++") || said.starts_with(b"---") {
            return Ok(());
        }
        if let Some(rest) = said.strip_prefix(b"<... ") {
            let Unfinished {
                number,
                call,
                mut text,
            } = self.unfinished.remove(thread).context("it never began")?;
            let resumed = find(rest, b" resumed>").context("no call")?;
            let rest = &rest[resumed + b" resumed>".len()..];
            let (_, result) = split_result(rest)?;
            let call = match call {
                // Only its end says who was accepted.
                None if text.starts_with(b"accept") => {
                    text.extend_from_slice(split_result(rest)?.0);
                    parse(&text)?.map(Arc::new)
                }
                call => call,
            };
            self.ended(number, call, result);
            return Ok(());
        }
        self.n_calls += 1;
        let number = self.n_calls;
        if let Some(text) = said.strip_suffix(b"<unfinished ...>") {
            let is_accept = text.starts_with(b"accept");
            let call = if is_accept { None } else { parse(text)? };
            let call = call.map(Arc::new);
            self.began(number, call.clone());
            let text = if is_accept { text.to_vec() } else { Vec::new() };
            let unfinished = Unfinished { number, call, text };
            self.unfinished.insert(thread.to_vec(), unfinished);
        } else {
            let (text, result) = split_result(said)?;
            let call = parse(text)?.map(Arc::new);
            self.began(number, call.clone());
            self.ended(number, call, result);
        }
        Ok(())
    }

    fn began(&mut self, number: usize, call: Option<Arc<Call>>) {
        self.events.extend(call.map(|call| Event {
            number,
            call,
            result: None,
        }));
    }

    fn ended(&mut self, number: usize, call: Option<Arc<Call>>, result: Option<i64>) {
        if let (Some(call), Some(_)) = (call, result) {
            self.events.push(Event {
                number,
                call,
                result,
            });
        }
    }
}

/// Splits `name(arguments) = result`; no result when the process was killed in the call.
fn split_result(text: &[u8]) -> anyhow::Result<(&[u8], Option<i64>)> {
    let at = text
        .windows(3)
        .rposition(|three| three == b" = ")
        .context("no result")?;
    let result = std::str::from_utf8(&text[at + 3..])?;
    let number = result.split(' ').next().unwrap_or_default();
    let result = match number.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    };
    Ok((text[..at].trim_ascii_end(), result))
}

/// Reads `name(arguments`, the end of which may be missing; `None` when it changes nothing.
fn parse(text: &[u8]) -> anyhow::Result<Option<Call>> {
    let open = find(text, b"(").context("no arguments")?;
    let name = std::str::from_utf8(&text[..open])?;
    let text = &text[open + 1..];
    let args = split(text.strip_suffix(b")").unwrap_or(text));
    let arg = |at: usize| args.get(at).copied().context("too few arguments");
    let word = |at: usize| Ok::<_, anyhow::Error>(std::str::from_utf8(arg(at)?)?);
    let fd = |at: usize| Ok::<i32, anyhow::Error>(word(at)?.parse()?);
    let number = |at: usize| Ok::<u64, anyhow::Error>(word(at)?.parse()?);
    let path = |dir: Option<usize>, at: usize| {
        let dir = match dir.map(word).transpose()? {
            None | Some("AT_FDCWD") => None,
            Some(fd) => Some(fd.parse()?),
        };
        let path = String::from_utf8(string(arg(at)?)?)?.into();
        Ok::<At, anyhow::Error>(At { dir, path })
    };
    let open = |path: At, flags: &str| Call::Open {
        path,
        creates: flags.contains("O_CREAT"),
        truncates: flags.contains("O_TRUNC"),
        appends: flags.contains("O_APPEND"),
    };
    Ok(Some(match name {
        "open" => open(path(None, 0)?, word(1)?),
        "openat" => open(path(Some(0), 1)?, word(2)?),
        "close" => Call::Close { fd: fd(0)? },
        "dup" => Call::Duplicate { fd: fd(0)? },
        "fcntl" if word(1)?.starts_with("F_DUPFD") => Call::Duplicate { fd: fd(0)? },
        "accept" | "accept4" => {
            let port = find(arg(1)?, b"htons(").map(|at| &arg(1).unwrap_or_default()[at + 6..]);
            let Some(port) = port else { return Ok(None) };
            let end = find(port, b")").context("no port")?;
            let port = std::str::from_utf8(&port[..end])?.parse()?;
            Call::Accept { port }
        }
        "lseek" => Call::Seek { fd: fd(0)? },
        "write" | "sendto" => Call::Write {
            fd: fd(0)?,
            bytes: string(arg(1)?)?.into(),
            place: None,
        },
        "writev" => Call::Write {
            fd: fd(0)?,
            bytes: strings(arg(1)?)?.into(),
            place: None,
        },
        "pwrite64" => Call::Write {
            fd: fd(0)?,
            bytes: string(arg(1)?)?.into(),
            place: Some(number(3)?),
        },
        "fsync" | "fdatasync" => Call::Sync { fd: fd(0)? },
        "ftruncate" => Call::Truncate {
            fd: fd(0)?,
            len: number(1)?,
        },
        "rename" => Call::Rename {
            from: path(None, 0)?,
            to: path(None, 1)?,
        },
        "renameat" | "renameat2" => Call::Rename {
            from: path(Some(0), 1)?,
            to: path(Some(2), 3)?,
        },
        "unlink" | "rmdir" => Call::Remove {
            path: path(None, 0)?,
        },
        "unlinkat" => Call::Remove {
            path: path(Some(0), 1)?,
        },
        "mkdir" => Call::MakeDir {
            path: path(None, 0)?,
        },
        "mkdirat" => Call::MakeDir {
            path: path(Some(0), 1)?,
        },
        // It begins to write and promises nothing. Other `fcntl` ask or set flags.
        "sync_file_range" | "fcntl" => return Ok(None),
        "mmap" if !(word(3)?.contains("MAP_SHARED") && word(2)?.contains("PROT_WRITE")) => {
            return Ok(None);
        }
        "mmap" if word(4)? == "-1" => return Ok(None),
        other => bail!("the model of the disk does not know {other}"),
    }))
}

/// Splits arguments at the commas that are not inside brackets. Strings have none: they are hex.
fn split(text: &[u8]) -> Vec<&[u8]> {
    let mut args = Vec::new();
    let (mut depth, mut from) = (0_u32, 0);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                args.push(text[from..at].trim_ascii());
                from = at + 1;
            }
            _ => {}
        }
    }
    args.push(text[from..].trim_ascii());
    args
}

/// Decodes `"\x61\x62"`.
fn string(text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let inner = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .context("no string, or one that was cut off")?;
    ensure!(inner.len().is_multiple_of(4), "a string that is not hex");
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16);
        value.and_then(|value| u8::try_from(value).ok())
    };
    inner
        .chunks_exact(4)
        .map(|four| match (digit(four[2]), digit(four[3])) {
            (Some(high), Some(low)) if four.starts_with(b"\\x") => Ok(high << 4 | low),
            _ => bail!("a string that is not hex"),
        })
        .collect()
}

/// Decodes all strings of `[{iov_base="\x61", iov_len=1}, …]`, joined.
fn strings(mut text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(at) = find(text, b"\"") {
        let end = find(&text[at + 1..], b"\"").context("a string without an end")?;
        bytes.extend(string(&text[at..at + end + 2])?);
        text = &text[at + end + 2..];
        ensure!(!text.starts_with(b"..."), "a string that was cut off");
    }
    Ok(bytes)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
