//! Old and new names of the same attribute.

/// Names that mean the same with the same values: the current one of OpenTelemetry's semantic
/// conventions 1.45, then what it was called before ([HTTP], [database], [RPC]). What changed its
/// values as well (`rpc.grpc.status_code`, `net.transport`) is not here.
///
/// [HTTP]: https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
/// [database]: https://opentelemetry.io/docs/specs/semconv/non-normative/db-migration/
/// [RPC]: https://opentelemetry.io/docs/specs/semconv/non-normative/rpc-migration/
const ALIASES: &[&[&str]] = &[
    &["http.request.method", "http.method"],
    &["http.response.status_code", "http.status_code"],
    &["http.request.resend_count", "http.resend_count"],
    &["http.request.body.size", "http.request_content_length"],
    &["http.response.body.size", "http.response_content_length"],
    &["url.full", "http.url"],
    &["url.scheme", "http.scheme"],
    &["user_agent.original", "http.user_agent"],
    &["client.address", "http.client_ip"],
    &["server.address", "net.peer.name", "peer.service"],
    &["server.port", "net.peer.port"],
    &["network.peer.address", "net.sock.peer.addr"],
    &["network.peer.port", "net.sock.peer.port"],
    &["network.protocol.name", "net.protocol.name"],
    &["network.protocol.version", "net.protocol.version"],
    &["db.system.name", "db.system"],
    &["db.query.text", "db.statement"],
    &["db.namespace", "db.name"],
    &["db.operation.name", "db.operation"],
    &[
        "db.collection.name",
        "db.sql.table",
        "db.mongodb.collection",
    ],
    &["rpc.system.name", "rpc.system"],
    &["messaging.destination.name", "messaging.destination"],
    &["messaging.message.id", "messaging.message_id"],
    &["deployment.environment.name", "deployment.environment"],
    &["code.function.name", "code.function"],
    &["code.file.path", "code.filepath"],
    &["code.line.number", "code.lineno"],
];

/// All names of what `key` names, itself included.
pub(super) fn names_of(key: &str) -> Vec<String> {
    match ALIASES.iter().find(|names| names.contains(&key)) {
        Some(names) => names.iter().map(|&name| name.to_owned()).collect(),
        None => vec![key.to_owned()],
    }
}

/// The one name that stands for all names of what `key` names.
pub(crate) fn canonical_name(key: &str) -> &str {
    let names = ALIASES.iter().find(|names| names.contains(&key));
    names.map_or(key, |names| names[0])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_of_one_thing_lead_to_each_other() {
        assert_eq!(
            names_of("http.status_code"),
            names_of("http.response.status_code")
        );
        assert_eq!(
            names_of("peer.service"),
            ["server.address", "net.peer.name", "peer.service"]
        );
        assert_eq!(names_of("order.id"), ["order.id"]);
    }

    #[test]
    fn no_name_means_two_things() {
        let mut seen = HashSet::new();
        for name in ALIASES.iter().copied().flatten() {
            assert!(seen.insert(name), "{name} is there twice");
        }
    }
}
