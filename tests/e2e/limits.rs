//! Bad input gets the protocol's own error, and nothing else is lost.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use longpole_tests::{Client, Reply, Server, grpc, spans};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::Method;
use serde_json::json;
use tonic::Code;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const LARGE_BYTES: usize = 70 << 20;

/// Something OTLP/HTTP does not take.
struct HttpCase {
    what: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Bytes,
    /// Part of the reason: it names the limit or what was wrong.
    says: &'static str,
}

fn case(
    what: &'static str,
    headers: &[(&'static str, &'static str)],
    body: Bytes,
    says: &'static str,
) -> HttpCase {
    HttpCase {
        what,
        headers: headers.to_vec(),
        body,
        says,
    }
}

fn undecodable() -> Vec<HttpCase> {
    let json = Bytes::from_static;
    vec![
        case("truncated protobuf", &[PROTOBUF], truncated(), ""),
        case(
            "protobuf that is none",
            &[PROTOBUF],
            Bytes::from_static(b"\xff\xff\xff"),
            "",
        ),
        case(
            "truncated JSON",
            &[JSON],
            json(br#"{"resourceSpans":[{"#),
            "",
        ),
        case(
            "JSON of another shape",
            &[JSON],
            json(br#"{"resourceSpans":7}"#),
            "",
        ),
        case("JSON that is a list", &[JSON], json(b"[]"), ""),
        case("gzip that is none", &[PROTOBUF, GZIP], good(9), "gzip"),
        case(
            "truncated gzip",
            &[PROTOBUF, GZIP],
            gzip(&good(9)).slice(..20),
            "gzip",
        ),
    ]
}

fn too_large() -> Vec<HttpCase> {
    let limit = "67108864";
    vec![
        case("70 MiB of protobuf", &[PROTOBUF], large_message(), limit),
        case("70 MiB of JSON", &[JSON], large_json(), limit),
        case(
            "a gzip bomb",
            &[PROTOBUF, GZIP],
            gzip(&large_message()),
            limit,
        ),
    ]
}

fn of_another_type() -> Vec<HttpCase> {
    vec![
        case(
            "text",
            &[("content-type", "text/plain")],
            good(9),
            "text/plain",
        ),
        case("no content type", &[], good(9), "application/x-protobuf"),
    ]
}

fn compressed_otherwise() -> Vec<HttpCase> {
    vec![case(
        "brotli",
        &[PROTOBUF, ("content-encoding", "br")],
        good(9),
        "br",
    )]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_http_requests_are_refused_in_the_protocols_words_and_nothing_else_is_lost() {
    let server = Server::start().await;
    let client = server.client();
    client
        .export(&spans::single(1, "shop", "GET /before", 10))
        .await;
    let kinds = [
        (undecodable(), 400, Code::InvalidArgument),
        (too_large(), 413, Code::ResourceExhausted),
        (of_another_type(), 415, Code::InvalidArgument),
        (compressed_otherwise(), 415, Code::Unimplemented),
    ];
    for (cases, http_status, code) in kinds {
        for HttpCase {
            what,
            headers,
            body,
            says,
        } in cases
        {
            let reply = client.post(&headers, body).await;
            assert_eq!(reply.status, http_status, "{what}: {}", reply.text());
            let status = rpc_status(&reply, headers.contains(&PROTOBUF));
            assert_eq!(
                Code::from_i32(status.code),
                code,
                "{what}: {}",
                status.message
            );
            assert!(
                !status.message.is_empty(),
                "{what} is refused without a reason"
            );
            assert!(status.message.contains(says), "{what}: {}", status.message);
            assert_eq!(
                reply.header("retry-after"),
                "",
                "{what}: trying again cannot help"
            );
        }
    }
    assert_nothing_is_lost(client).await;
}

/// The `google.rpc.Status` in a refusal, which is written as the request was.
fn rpc_status(reply: &Reply, protobuf: bool) -> RpcStatus {
    if protobuf {
        assert_eq!(reply.header("content-type"), "application/x-protobuf");
        return reply.message();
    }
    assert_eq!(reply.header("content-type"), "application/json");
    let json = reply.json();
    RpcStatus {
        code: json["code"]
            .as_i64()
            .and_then(|code| code.try_into().ok())
            .unwrap_or(-1),
        message: json["message"].as_str().unwrap_or_default().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_and_methods_are_named() {
    let server = Server::start().await;
    let client = server.client();
    let cases = [
        (Method::GET, "/v1/traces", 405),
        (Method::PUT, "/v1/traces", 405),
        (Method::POST, "/", 404),
        (Method::POST, "/v1/trace", 404),
        (Method::POST, "/v1/metrics", 404),
        (Method::POST, "/v1/logs", 404),
    ];
    for (method, path, status) in cases {
        let reply = client
            .try_receiver(method.clone(), path, &[JSON], good(9))
            .await;
        let reply = reply.expect("the receiver answers");
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        assert_eq!(
            reply.header("allow"),
            if status == 405 { "POST" } else { "" },
            "{method} {path}"
        );
        let message = reply.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            message.contains("trace"),
            "{method} {path} says what is taken instead: {message}"
        );
    }
    client
        .export(&spans::single(1, "shop", "GET /before", 10))
        .await;
    assert_nothing_is_lost(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_grpc_requests_are_refused_in_the_protocols_words_and_nothing_else_is_lost() {
    let server = Server::start().await;
    server
        .client()
        .export(&spans::single(1, "shop", "GET /before", 10))
        .await;
    let bad = Code::InvalidArgument;
    let large = Code::ResourceExhausted;
    let cases = [
        (
            "truncated protobuf",
            grpc::EXPORT,
            grpc::frame(&truncated(), false),
            bad,
        ),
        (
            "protobuf that is none",
            grpc::EXPORT,
            grpc::frame(b"\xff\xff\xff", false),
            bad,
        ),
        (
            "70 MiB",
            grpc::EXPORT,
            grpc::frame(&large_message(), false),
            large,
        ),
        (
            "a gzip bomb",
            grpc::EXPORT,
            grpc::frame(&gzip(&large_message()), true),
            large,
        ),
        (
            "gzip that is none",
            grpc::EXPORT,
            grpc::frame(b"no gzip at all", true),
            bad,
        ),
        (
            "truncated gzip",
            grpc::EXPORT,
            grpc::frame(&gzip(&good(9)).slice(..20), true),
            bad,
        ),
        (
            "an unknown service",
            "/no.such.Service/Export",
            grpc::frame(&good(9), false),
            Code::Unimplemented,
        ),
        (
            "another signal",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            grpc::frame(&good(9), false),
            Code::Unimplemented,
        ),
    ];
    for (what, path, body, code) in cases {
        let compressed = body[0] == 1;
        let answer = grpc::call(&server.grpc_endpoint(), path, body, compressed).await;
        let status = answer.expect_err(what);
        assert_eq!(status.code(), code, "{what}: {}", status.message());
        assert!(
            !status.message().is_empty(),
            "{what} is refused without a reason"
        );
        // With RetryInfo a client would send the same again, for ever.
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(
            !details.contains("RetryInfo"),
            "{what}: trying again cannot help"
        );
    }
    assert_nothing_is_lost(server.client()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_with_invalid_ids_are_refused_one_by_one_over_protobuf() {
    let server = Server::start().await;
    let reply = server
        .client()
        .try_export(&mixed())
        .await
        .expect("the receiver answers")
        .expect(200);
    check_partial_success(&reply.message());
    let body = grpc::frame(&mixed().encode_to_vec(), false);
    let answer = grpc::call(&server.grpc_endpoint(), grpc::EXPORT, body, false).await;
    let answer = answer.expect("the rest is accepted");
    check_partial_success(&ExportTraceServiceResponse::decode(answer).expect("a response"));
    check_the_rest_is_kept(server.client()).await;
    assert_eq!(n_refused(server.client()).await, 8, "four in each request");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_with_invalid_ids_are_refused_one_by_one_over_json() {
    let span = |trace: &str, id: &str, name: &str| {
        json!({
            "traceId": trace, "spanId": id, "name": name,
            "startTimeUnixNano": "1795312074755000000", "endTimeUnixNano": "1795312074765000000",
        })
    };
    let good = format!("{:032x}", 5);
    let zero = "0".repeat(32);
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeSpans": [{ "spans": [
            span(&good, "0000000000000001", "kept"),
            span(&zero, "0000000000000002", "a trace ID of zeros"),
            span(&good, "0000000000000000", "a span ID of zeros"),
            span(&good[..30], "0000000000000003", "a short trace ID"),
            span(&good, "xyz", "a span ID that is no hex"),
            span(&good, "0000000000000004", "kept as well"),
        ] }],
    }] });
    let server = Server::start().await;
    let answer = server
        .client()
        .post(&[JSON], body.to_string())
        .await
        .expect(200)
        .json();
    // A 64-bit number is a string in OTLP's JSON.
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "4", "{answer}");
    assert_ne!(
        answer["partialSuccess"]["errorMessage"]
            .as_str()
            .unwrap_or_default(),
        ""
    );
    check_the_rest_is_kept(server.client()).await;
    assert_eq!(n_refused(server.client()).await, 4);
}

/// Two good spans of trace 5, and four whose ids are none.
fn mixed() -> ExportTraceServiceRequest {
    let draft = |id, name| spans::Draft::new(5, id, name).service("shop").at(0, 10);
    spans::request([
        draft(1, "kept"),
        draft(2, "a trace ID of zeros").with(|span| span.trace_id.fill(0)),
        draft(3, "a span ID of zeros").with(|span| span.span_id.fill(0)),
        draft(6, "a short trace ID").with(|span| span.trace_id.truncate(15)),
        draft(7, "no span ID").with(|span| span.span_id.clear()),
        draft(4, "kept as well"),
    ])
}

fn check_partial_success(response: &ExportTraceServiceResponse) {
    let partial = response
        .partial_success
        .as_ref()
        .expect("four spans were refused");
    assert_eq!(partial.rejected_spans, 4);
    assert!(
        !partial.error_message.is_empty(),
        "spans are refused without a reason"
    );
}

async fn check_the_rest_is_kept(client: &Client) {
    let kept = spans::spans_of(&client.trace(5).await.expect("the good spans are there"));
    let mut names: Vec<_> = kept.iter().map(|(_, span)| span.name.as_str()).collect();
    names.dedup();
    assert_eq!(names, ["kept", "kept as well"]);
}

/// How many spans the metrics say were refused, each with a reason.
async fn n_refused(client: &Client) -> u64 {
    let metrics = client.get("/metrics").await.expect(200).text();
    let refused = metrics.lines().filter(|line| {
        line.starts_with("longpole_receiver_spans_total{") && line.contains("outcome=\"refused\"")
    });
    refused
        .map(|line| {
            assert!(!line.contains("reason=\"\""), "{line}");
            let number = line
                .rsplit(' ')
                .next()
                .and_then(|number| number.parse::<u64>().ok());
            number.expect("a metric ends with a number")
        })
        .sum()
}

/// What was stored before is there, and a good request is taken as before.
async fn assert_nothing_is_lost(client: &Client) {
    client
        .export(&spans::single(2, "shop", "GET /after", 20))
        .await;
    for (trace, name) in [(1, "GET /before"), (2, "GET /after")] {
        let spans = spans::spans_of(
            &client
                .trace(trace)
                .await
                .expect("an accepted trace is there"),
        );
        assert_eq!(
            spans
                .iter()
                .map(|(_, span)| span.name.as_str())
                .collect::<Vec<_>>(),
            [name]
        );
    }
    let found = client.get("/api/v1/search").await.expect(200).json();
    assert_eq!(
        found["requests"].as_array().map(Vec::len),
        Some(2),
        "nothing else was stored"
    );
}

/// `google.rpc.Status`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn good(trace: u128) -> Bytes {
    spans::single(trace, "shop", "GET /", 10)
        .encode_to_vec()
        .into()
}

fn truncated() -> Bytes {
    let whole = good(9);
    whole.slice(..whole.len() - 1)
}

/// A valid export request whose one span has a name of 70 MiB.
fn large_message() -> Bytes {
    spans::single(9, "shop", &"x".repeat(LARGE_BYTES), 10)
        .encode_to_vec()
        .into()
}

fn large_json() -> Bytes {
    let name = "x".repeat(LARGE_BYTES);
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "name": name }] }] }] })
        .to_string()
        .into()
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("memory takes everything");
    encoder.finish().expect("memory takes everything").into()
}
