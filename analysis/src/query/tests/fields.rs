//! What can be asked of spans and requests, and what cannot.

use std::time::Duration;

use longpole_proto::testing::{draw, span_id};
use longpole_proto::{Event, SpanKind};

use super::*;

#[test]
fn every_property_of_a_span_can_be_asked_for() {
    let trace = trace_of([
        SpanBuilder::new(1, "GET /").service("web").at(0, 10),
        SpanBuilder::new(2, "query")
            .service("db")
            .parent(1)
            .kind(SpanKind::Client)
            .at(2, 5)
            .error("Deadlock found")
            .with(|span| {
                span.events.push(Event {
                    name: "retry".to_owned(),
                    ..Event::default()
                });
            }),
    ]);
    let ms = |ms| Value::Duration(Duration::from_millis(ms));
    let id = |n| Value::String(span_id(n).to_string().to_uppercase());
    let cases: [(SpanField, Op, Value); 13] = [
        (SpanField::Name, Op::Eq, "query".into()),
        (SpanField::Service, Op::Eq, "db".into()),
        (SpanField::Kind, Op::Eq, "CLIENT".into()),
        (SpanField::Status, Op::Eq, "error".into()),
        (SpanField::Status, Op::Ne, "Unset".into()),
        (SpanField::StatusMessage, Op::Eq, "Deadlock found".into()),
        (SpanField::Duration, Op::Eq, ms(3)),
        (SpanField::Duration, Op::Lt, Value::Int(7_000_000)),
        (SpanField::SelfTime, Op::Le, ms(3)),
        (SpanField::SelfTime, Op::Ne, ms(7)),
        (SpanField::SpanId, Op::Eq, id(2)),
        (SpanField::ParentId, Op::Eq, id(1)),
        (SpanField::EventName, Op::Eq, "retry".into()),
    ];
    for (field, op, value) in cases {
        let query = Query::compare(field, op, value);
        assert_eq!(found(&trace, &query), ["query"], "{query:?}");
    }
    assert_eq!(
        found(&trace, &Query::compare(SpanField::SelfTime, Op::Eq, ms(7))),
        ["GET /"]
    );
    assert_eq!(
        found(&trace, &Query::pattern(SpanField::Name, "^[a-z]+$")),
        ["query"]
    );
}

#[test]
fn every_property_of_the_request_can_be_asked_for() {
    let trace = draw(SHOP);
    let ms = |ms| Value::Duration(Duration::from_millis(ms));
    let summary = Analysis::of(&trace).summary(&trace);
    let start = Value::Int(i64::try_from(summary.start.0).expect("before 2262"));
    let yes: [(RequestField, Op, Value); 15] = [
        (
            RequestField::Id,
            Op::Eq,
            "B7AD6B7169203331A1B2C3D4E5F60709".into(),
        ),
        (RequestField::Start, Op::Eq, start),
        (RequestField::Duration, Op::Eq, ms(42)),
        (RequestField::Duration, Op::Lt, ms(43)),
        (RequestField::RootService, Op::Eq, "gateway".into()),
        (RequestField::RootName, Op::Eq, "POST /checkout".into()),
        (RequestField::Spans, Op::Eq, 7.into()),
        (RequestField::Errors, Op::Eq, 1.into()),
        (RequestField::Service, Op::Eq, "pricing".into()),
        (RequestField::Service, Op::Ne, "bank".into()),
        (RequestField::SlowestHopService, Op::Eq, "inventory".into()),
        (RequestField::SlowestHopName, Op::Eq, "GET /stock".into()),
        (RequestField::SlowestHopDuration, Op::Ge, ms(21)),
        (RequestField::CulpritService, Op::Eq, "inventory".into()),
        (RequestField::CulpritName, Op::Eq, "lock wait".into()),
    ];
    for (field, op, value) in yes {
        let query = Query::compare(field, op, value);
        assert!(is_match(&trace, &query), "{query:?}");
    }
    let no: [(RequestField, Op, Value); 5] = [
        (RequestField::Service, Op::Ne, "pricing".into()),
        (RequestField::Spans, Op::Gt, 7.into()),
        (RequestField::Errors, Op::Eq, Value::Double(0.5)),
        (RequestField::RootService, Op::Eq, "inventory".into()),
        (RequestField::CulpritPeer, Op::Eq, "postgresql".into()),
    ];
    for (field, op, value) in no {
        let query = Query::compare(field, op, value);
        assert!(!is_match(&trace, &query), "{query:?}");
    }
    let waits_for_database = draw(
        "
app GET /   [---------]
  app query  [-------]   client db.system=mysql
",
    );
    assert!(is_match(
        &waits_for_database,
        &Query::compare(RequestField::CulpritPeer, Op::Eq, "mysql")
    ));
}

#[test]
fn numbers_of_the_request_compare_at_their_ends() {
    let trace = draw("app a [--]");
    let holds =
        |op, value: Value| is_match(&trace, &Query::compare(RequestField::Spans, op, value));
    // There is one span.
    for (value, compared) in [
        (Value::Int(1), "= <= >="),
        (Value::Double(1.0), "= <= >="),
        (Value::Double(0.5), "!= > >="),
        (Value::Double(1.5), "!= < <="),
        (Value::Int(-1), "!= > >="),
        (Value::Double(-0.5), "!= > >="),
        (Value::Int(i64::MAX), "!= < <="),
        (Value::Double(f64::INFINITY), "!= < <="),
        (Value::Double(f64::NEG_INFINITY), "!= > >="),
        (Value::Double(f64::NAN), "!="),
    ] {
        for op in [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge] {
            let expected = compared.split(' ').any(|symbol| symbol == op.symbol());
            assert_eq!(holds(op, value.clone()), expected, "1 {op:?} {value:?}");
        }
    }
}

#[test]
fn what_can_never_be_is_refused_with_a_reason() {
    let error = |query: &Query| {
        Matcher::new(query)
            .expect_err("the query is refused")
            .to_string()
    };
    let five_ms = Value::Duration(Duration::from_millis(5));
    for (query, text) in [
        (
            Query::compare(SpanField::Kind, Op::Eq, "serv"),
            "`kind` is compared with \"serv\", but takes unspecified, internal, server, client, producer or consumer",
        ),
        (
            Query::compare(SpanField::Status, Op::Eq, 2),
            "`status` is compared with 2, but takes unset, ok or error",
        ),
        (
            Query::compare(SpanField::Duration, Op::Gt, "slow"),
            "`duration` is compared with \"slow\", but takes a duration or a number of nanoseconds",
        ),
        (
            Query::compare(RequestField::Spans, Op::Gt, five_ms),
            "`trace.spans` is compared with 5ms, but takes a number",
        ),
        (
            Query::compare(SpanField::SpanId, Op::Eq, "7"),
            "`spanId` is compared with \"7\", but takes a text of 16 hex digits",
        ),
        (
            Query::compare(RequestField::Id, Op::Eq, 7),
            "`trace.id` is compared with 7, but takes a text of 32 hex digits",
        ),
        (
            attribute("http.route", Op::Lt, "a"),
            "`http.route` is compared with \"a\", but takes a number or a duration",
        ),
        (
            Query::compare(Field::attribute(Scope::Span, "n"), Op::Lt, true),
            "`span.n` is compared with true, but takes a number or a duration",
        ),
        (
            Query::compare(SpanField::Name, Op::Lt, "a"),
            "`name` does not take `<`",
        ),
        (
            Query::compare(RequestField::Service, Op::Ge, 5),
            "`trace.service` does not take `>=`",
        ),
        (
            Query::pattern(SpanField::Duration, "5"),
            "`duration` does not take `=~`",
        ),
    ] {
        assert_eq!(error(&query), text);
    }
}

#[test]
fn every_kind_and_status_can_be_named() {
    for number in 0..6 {
        let kind = SpanKind::from_number(number);
        let trace = trace_of([SpanBuilder::new(1, "a").kind(kind)]);
        let query = Query::compare(SpanField::Kind, Op::Eq, kind.name());
        assert!(is_match(&trace, &query), "{kind:?}");
    }
    for name in ["unset", "ok", "error"] {
        Matcher::new(&Query::compare(SpanField::Status, Op::Eq, name)).expect("a status");
    }
}

#[test]
fn fields_are_written_each_in_its_own_way() {
    let mut names: Vec<String> = SpanField::ALL
        .map(Field::Span)
        .into_iter()
        .chain(RequestField::ALL.map(Field::Request))
        .chain(Scope::ALL.map(|scope| Field::attribute(scope, "k")))
        .map(|field| field.to_string())
        .collect();
    let n_names = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), n_names);
}
