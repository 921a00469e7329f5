//! Spans by resource and scope, as OTLP's messages hold them.

use std::collections::HashMap;

use crate::Span;

/// The spans of one resource.
pub(crate) struct OfResource {
    /// The resource's index in its trace.
    pub(crate) resource_idx: u32,
    /// Its spans by scope, in order of first appearance.
    pub(crate) scopes: Vec<OfScope>,
}

/// The spans of one resource and scope.
pub(crate) struct OfScope {
    /// The scope's index in its trace.
    pub(crate) scope_idx: u32,
    /// The spans' indices, in the order given.
    pub(crate) spans: Vec<usize>,
}

/// Groups spans by resource, in order of first appearance, then by scope.
pub(crate) fn by_resource(spans: &[Span]) -> Vec<OfResource> {
    let mut groups: Vec<OfResource> = Vec::new();
    let mut resources: HashMap<u32, usize> = HashMap::new();
    let mut scopes: HashMap<(u32, u32), usize> = HashMap::new();
    for (
        at,
        &Span {
            resource_idx,
            scope_idx,
            ..
        },
    ) in spans.iter().enumerate()
    {
        let group = *resources.entry(resource_idx).or_insert_with(|| {
            groups.push(OfResource {
                resource_idx,
                scopes: Vec::new(),
            });
            groups.len() - 1
        });
        let by_scope = &mut groups[group].scopes;
        let group = *scopes.entry((resource_idx, scope_idx)).or_insert_with(|| {
            by_scope.push(OfScope {
                scope_idx,
                spans: Vec::new(),
            });
            by_scope.len() - 1
        });
        by_scope[group].spans.push(at);
    }
    groups
}
