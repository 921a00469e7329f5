//! Which spans have all the words that are looked for, in their service's or own name, in the values
//! of their attributes or their resource's, in any case of letters.

use longpole_analysis::query::{Matcher, Query};

use crate::error::BadParameter;
use crate::trace_cache::Loaded;

/// By span, whether it has them all; empty when nothing is looked for.
///
/// Looks at each span once for each word; there are few words in a [query](Matcher::new).
///
/// # Errors
/// When there are too many words.
pub(crate) fn matching(loaded: &Loaded, words: &str) -> Result<Vec<bool>, BadParameter> {
    let query = Query::all_of(
        words
            .split_whitespace()
            .map(|word| Query::Word(word.to_owned())),
    );
    if query == Query::default() {
        return Ok(Vec::new());
    }
    let matcher = Matcher::new(&query)
        .map_err(|error| BadParameter::new("q", words, format!("fewer words: {error}")))?;
    let mut is_matching = vec![false; loaded.trace.len()];
    for span_idx in matcher.matching_spans(&loaded.trace, loaded.analysis()) {
        is_matching[span_idx] = true;
    }
    Ok(is_matching)
}
