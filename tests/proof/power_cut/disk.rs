//! A disk as POSIX promises it: what was written is durable once its file was synced, a name once
//! its directory was. `sync_file_range` promises nothing, nor does syncing a file promise its name.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use self::file::{Changes, FileChange, FileNode};
use super::strace::{At, Call, Event};

/// What a power cut does to what was not synced.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// All of it is gone.
    Gone,
    /// Of writes any pages may be there, of a directory's changes any that came first.
    Drawn(fastrand::Rng),
}

/// A number in [`Disk::nodes`]; the first is the directory that is watched.
type NodeNo = usize;

#[derive(Debug, Clone)]
enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Debug, Clone, Default)]
struct DirNode {
    durable: BTreeMap<OsString, NodeNo>,
    live: BTreeMap<OsString, NodeNo>,
    changes: Changes<DirChange>,
}

/// Names and what they stand for from then on; a rename changes two at once.
type DirChange = Vec<(OsString, Option<NodeNo>)>;

#[derive(Debug, Clone, Copy)]
struct OpenFile {
    node: NodeNo,
    appends: bool,
    position: u64,
}

/// A call that did not end yet.
#[derive(Debug, Clone)]
struct Begun {
    call: Arc<Call>,
    /// Of a sync: what it will make durable, up to which count of changes.
    settles: Option<(NodeNo, usize)>,
}

/// The disk below a directory, and what a process has open there.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    open: HashMap<i32, OpenFile>,
    /// By the call's number.
    begun: HashMap<usize, Begun>,
}

impl Disk {
    /// An empty directory.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            nodes: vec![Node::Dir(DirNode::default())],
            open: HashMap::new(),
            begun: HashMap::new(),
        }
    }

    /// Takes in that a call begins or ends.
    ///
    /// # Errors
    /// When it cannot have happened.
    pub(super) fn apply(&mut self, event: &Event) -> anyhow::Result<()> {
        let Some(result) = event.result else {
            let settles = match *event.call {
                // Another thread may get the number before the call ends.
                Call::Close { fd } => {
                    self.open.remove(&fd);
                    return Ok(());
                }
                Call::Sync { fd } => self.open.get(&fd).map(|open| {
                    let count = match &self.nodes[open.node] {
                        Node::File(file) => file.changes.count(),
                        Node::Dir(dir) => dir.changes.count(),
                    };
                    (open.node, count)
                }),
                _ => None,
            };
            let call = Arc::clone(&event.call);
            self.begun.insert(event.number, Begun { call, settles });
            return Ok(());
        };
        let settles = self
            .begun
            .remove(&event.number)
            .and_then(|begun| begun.settles);
        if result < 0 {
            return Ok(());
        }
        match settles {
            Some((node, end)) => self.settle(node, end),
            None => self.end(&event.call, result)?,
        }
        Ok(())
    }

    fn end(&mut self, call: &Call, result: i64) -> anyhow::Result<()> {
        match call {
            Call::Open {
                path,
                creates,
                truncates,
                appends,
            } => {
                let fd = i32::try_from(result)?;
                self.open.remove(&fd);
                let Some((dir, name)) = self.place(path) else {
                    return Ok(());
                };
                let node = match (self.child(dir, &name), creates) {
                    (Some(node), _) => node,
                    (None, true) => self.add(dir, name, Node::File(FileNode::default())),
                    (None, false) => anyhow::bail!("{path:?} is not there"),
                };
                if *truncates {
                    self.change(node, FileChange::Truncate(0));
                }
                let open = OpenFile {
                    node,
                    appends: *appends,
                    position: 0,
                };
                self.open.insert(fd, open);
            }
            Call::Duplicate { fd } => {
                if let Some(&open) = self.open.get(fd) {
                    self.open.insert(i32::try_from(result)?, open);
                }
            }
            Call::Seek { fd } => {
                if let Some(open) = self.open.get_mut(fd) {
                    open.position = u64::try_from(result)?;
                }
            }
            Call::Write { fd, bytes, place } => {
                let Some(&OpenFile {
                    node,
                    appends,
                    position,
                }) = self.open.get(fd)
                else {
                    return Ok(());
                };
                let n_bytes = usize::try_from(result)?;
                let at = match place {
                    Some(place) => *place,
                    None if appends => self.file(node)?.len(),
                    None => position,
                };
                if place.is_none() {
                    let open = self.open.get_mut(fd).context("it is open")?;
                    open.position = at + n_bytes as u64;
                }
                let bytes = bytes[..n_bytes].into();
                self.change(node, FileChange::Write { at, bytes });
            }
            Call::Truncate { fd, len } => {
                if let Some(open) = self.open.get(fd) {
                    self.change(open.node, FileChange::Truncate(*len));
                }
            }
            Call::Rename { from, to } => self.rename(from, to)?,
            Call::Remove { path } => {
                if let Some((dir, name)) = self.place(path) {
                    self.rename_in(dir, vec![(name, None)]);
                }
            }
            Call::MakeDir { path } => {
                if let Some((dir, name)) = self.place(path) {
                    self.add(dir, name, Node::Dir(DirNode::default()));
                }
            }
            Call::Close { .. } | Call::Sync { .. } | Call::Accept { .. } => {}
        }
        Ok(())
    }

    fn rename(&mut self, from: &At, to: &At) -> anyhow::Result<()> {
        match (self.place(from), self.place(to)) {
            (None, None) => {}
            (Some((from_dir, from)), Some((to_dir, to))) => {
                let node = self.child(from_dir, &from).context("it is not there")?;
                if from_dir == to_dir {
                    self.rename_in(from_dir, vec![(from, None), (to, Some(node))]);
                } else {
                    self.rename_in(to_dir, vec![(to, Some(node))]);
                    self.rename_in(from_dir, vec![(from, None)]);
                }
            }
            _ => anyhow::bail!("{from:?} leaves the directory for {to:?}"),
        }
        Ok(())
    }

    /// The directory and the name a path stands for; `None` outside of what is watched.
    fn place(&self, at: &At) -> Option<(NodeNo, OsString)> {
        let (mut node, path) = match at.dir {
            Some(fd) if at.path.is_relative() => (self.open.get(&fd)?.node, at.path.as_path()),
            _ => (0, at.path.strip_prefix(&self.root).ok()?),
        };
        let mut name = OsString::from(".");
        for component in path.components() {
            if let Component::Normal(next) = component {
                if name != "." {
                    node = self.child(node, &name)?;
                }
                next.clone_into(&mut name);
            }
        }
        Some((node, name))
    }

    fn child(&self, dir: NodeNo, name: &OsString) -> Option<NodeNo> {
        match &self.nodes[dir] {
            Node::Dir(_) if name == "." => Some(dir),
            Node::Dir(dir) => dir.live.get(name).copied(),
            Node::File(_) => None,
        }
    }

    fn file(&self, node: NodeNo) -> anyhow::Result<&FileNode> {
        match &self.nodes[node] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => anyhow::bail!("a directory is written like a file"),
        }
    }

    fn add(&mut self, dir: NodeNo, name: OsString, node: Node) -> NodeNo {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.rename_in(dir, vec![(name, Some(node))]);
        node
    }

    fn rename_in(&mut self, dir: NodeNo, change: DirChange) {
        if let Node::Dir(dir) = &mut self.nodes[dir] {
            apply_names(&mut dir.live, &change);
            dir.changes.pending.push(change);
        }
    }

    fn change(&mut self, node: NodeNo, change: FileChange) {
        if let Node::File(file) = &mut self.nodes[node] {
            file.change(change);
        }
    }

    fn settle(&mut self, node: NodeNo, end: usize) {
        match &mut self.nodes[node] {
            Node::File(file) => file.settle(end),
            Node::Dir(dir) => {
                for change in dir.changes.settle(end) {
                    apply_names(&mut dir.durable, &change);
                }
            }
        }
    }

    /// The process is gone, and was perhaps killed inside of calls: looks into the directory what
    /// became of those.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn process_ended(&mut self) -> anyhow::Result<()> {
        let begun: Vec<_> = self.begun.drain().collect();
        for (_, Begun { call, .. }) in begun {
            match &*call {
                Call::Write { fd, .. } | Call::Truncate { fd, .. } => {
                    let Some(node) = self.open.get(fd).map(|open| open.node) else {
                        continue;
                    };
                    let Some(path) = self.path_of(0, node) else {
                        continue;
                    };
                    let bytes = fs::read(self.root.join(path))?;
                    if bytes != self.file(node)?.live() {
                        self.change(node, FileChange::Truncate(bytes.len() as u64));
                        let bytes = bytes.into();
                        self.change(node, FileChange::Write { at: 0, bytes });
                    }
                }
                Call::Rename { from, to } if !self.is_there(from) && self.is_there(to) => {
                    self.rename(from, to)?;
                }
                Call::Remove { path } if !self.is_there(path) => self.end(&call, 0)?,
                Call::MakeDir { path } | Call::Open { path, .. } if self.is_there(path) => {
                    let known = self.place(path);
                    if known.is_some_and(|(dir, name)| self.child(dir, &name).is_none()) {
                        self.end(&call, i64::from(i32::MAX))?;
                    }
                }
                _ => {}
            }
        }
        self.open.clear();
        Ok(())
    }

    fn is_there(&self, at: &At) -> bool {
        at.dir.is_none() && at.path.starts_with(&self.root) && at.path.exists()
    }

    fn path_of(&self, dir: NodeNo, wanted: NodeNo) -> Option<PathBuf> {
        let Node::Dir(of) = &self.nodes[dir] else {
            return None;
        };
        of.live.iter().find_map(|(name, &node)| {
            if node == wanted {
                return Some(PathBuf::from(name));
            }
            let below = self.path_of(node, wanted)?;
            Some(Path::new(name).join(below))
        })
    }

    /// Checks that the model has what the directory has, byte for byte: then no change was missed.
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.check_dir(0, &self.root)
    }

    fn check_dir(&self, node: NodeNo, path: &Path) -> anyhow::Result<()> {
        let Node::Dir(dir) = &self.nodes[node] else {
            anyhow::bail!("{} is no directory in the model", path.display());
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
        names.sort();
        let known: Vec<_> = dir.live.keys().cloned().collect();
        let shown = path.display();
        ensure!(names == known, "{shown} has {names:?}, the model {known:?}");
        for (name, &node) in &dir.live {
            let path = path.join(name);
            if let Node::File(file) = &self.nodes[node] {
                let same = fs::read(&path)? == file.live();
                ensure!(same, "{} differs from the model", path.display());
            } else {
                self.check_dir(node, &path)?;
            }
        }
        Ok(())
    }

    /// Writes into a directory what a power cut now would leave.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn cut_power(&self, to: &Path, fate: &mut Fate) -> anyhow::Result<()> {
        self.write_dir(0, to, fate, &self.begun_writes())
    }

    /// Writes that began and did not end: parts of them may be on the disk.
    fn begun_writes(&self) -> HashMap<NodeNo, Vec<FileChange>> {
        let mut writes: HashMap<NodeNo, Vec<FileChange>> = HashMap::new();
        for Begun { call, .. } in self.begun.values() {
            if let Call::Write { fd, bytes, place } = &**call
                && let Some(open) = self.open.get(fd)
                && let Node::File(file) = &self.nodes[open.node]
            {
                let end = if open.appends {
                    file.len()
                } else {
                    open.position
                };
                let write = FileChange::Write {
                    at: place.unwrap_or(end),
                    bytes: Arc::clone(bytes),
                };
                writes.entry(open.node).or_default().push(write);
            }
        }
        writes
    }

    fn write_dir(
        &self,
        node: NodeNo,
        to: &Path,
        fate: &mut Fate,
        begun: &HashMap<NodeNo, Vec<FileChange>>,
    ) -> anyhow::Result<()> {
        fs::create_dir_all(to)?;
        let Node::Dir(dir) = &self.nodes[node] else {
            anyhow::bail!("{} is no directory", to.display());
        };
        let mut names = dir.durable.clone();
        if let Fate::Drawn(rng) = fate {
            let n = rng.usize(0..=dir.changes.pending.len());
            for change in &dir.changes.pending[..n] {
                apply_names(&mut names, change);
            }
        }
        for (name, node) in names {
            let to = to.join(name);
            match &self.nodes[node] {
                Node::File(file) => {
                    let begun = begun.get(&node).map_or(&[][..], Vec::as_slice);
                    fs::write(to, file.after_cut(fate, begun))?;
                }
                Node::Dir(_) => self.write_dir(node, &to, fate, begun)?,
            }
        }
        Ok(())
    }
}

fn apply_names(to: &mut BTreeMap<OsString, NodeNo>, change: &DirChange) {
    for (name, node) in change {
        match node {
            Some(node) => drop(to.insert(name.clone(), *node)),
            None => drop(to.remove(name)),
        }
    }
}
