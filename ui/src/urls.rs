//! Every URL longpole makes, under one base path.

/// Makes URLs under the base path the pages are mounted at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Urls {
    /// Empty, or a path that begins with a slash and does not end with one.
    base: String,
}
