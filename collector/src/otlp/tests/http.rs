use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Code;
use tower::ServiceExt;

use super::{LIMIT_BYTES, Sent, Trouble, header, in_trouble, said};
use crate::otlp::http::router;
use crate::otlp::reply::{RETRY_AFTER, RetryInfo, RpcStatus};
use crate::testing::{Mood, export_request, gzip, zstd};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

struct HttpRow {
    what: &'static str,
    trouble: Trouble,
    method: Method,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Sent,
    status: u16,
    /// In the body of a refusal.
    code: Code,
    /// A part of the answer's message; of no message when empty.
    says: &'static str,
    rejected: i64,
    stored: u64,
}

fn post(what: &'static str, content_type: &'static str, body: impl Into<Sent>) -> HttpRow {
    HttpRow {
        what,
        trouble: Trouble::None,
        method: Method::POST,
        path: "/v1/traces",
        headers: vec![("content-type", content_type)],
        body: body.into(),
        status: 200,
        code: Code::Ok,
        says: "",
        rejected: 0,
        stored: 0,
    }
}

impl HttpRow {
    fn at(mut self, method: Method, path: &'static str) -> Self {
        (self.method, self.path) = (method, path);
        self
    }

    fn packed(mut self, encoding: &'static str) -> Self {
        self.headers.push(("content-encoding", encoding));
        self
    }

    fn in_trouble(mut self, trouble: Trouble) -> Self {
        self.trouble = trouble;
        self
    }

    fn stores(mut self, n_spans: u64) -> Self {
        self.stored = n_spans;
        self
    }

    fn warns(mut self, rejected: i64, says: &'static str) -> Self {
        (self.rejected, self.says) = (rejected, says);
        self
    }

    fn refused(mut self, status: u16, code: Code, says: &'static str) -> Self {
        (self.status, self.code, self.says) = (status, code, says);
        self
    }

    fn busy(self, says: &'static str) -> Self {
        self.refused(503, Code::Unavailable, says)
    }
}

const NAMELESS: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
    "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","kind":2,
    "startTimeUnixNano":"7","endTimeUnixNano":3,"unknown":{"a":[null]}}]}]}]}"#;
const HALF_BAD: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[
    {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},
    {"traceId":"00000000000000000000000000000000","spanId":"eee19b7ec3c1b174"},
    {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee1"},
    {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","kind":"SERVER"}]}]}]}"#;

#[rustfmt::skip]
fn http_rows() -> Vec<HttpRow> {
    use Trouble::{Closed, ConnectionFull, Full, Store};
    let good = export_request(2, 0);
    let zeros = vec![0; 32 * LIMIT_BYTES];
    let bad = Code::InvalidArgument;
    let large = (413, Code::ResourceExhausted, "65536 bytes");
    let unknown = Code::Unimplemented;
    vec![
        post("protobuf", PROTOBUF, good.clone()).stores(2),
        post("protobuf with a parameter", "Application/X-Protobuf; charset=utf-8", good.clone()).stores(2),
        post("gzip", PROTOBUF, gzip(&good)).packed("gzip").stores(2),
        post("zstd", PROTOBUF, zstd(&good)).packed("zstd").stores(2),
        post("no compression, by name", PROTOBUF, good.clone()).packed("identity").stores(2),
        post("nothing", PROTOBUF, ""),
        post("nothing, whatever the store does", PROTOBUF, "").in_trouble(Store(Mood::Busy)),
        post("nothing as JSON", JSON, "{}"),
        post("nothing as JSON with a parameter", "application/json; charset=utf-8", gzip(b"{}")).packed("gzip"),
        post("bad spans among good ones", PROTOBUF, export_request(3, 2)).warns(2, "trace ID").stores(3),
        post("bad spans among good ones as JSON", JSON, HALF_BAD).warns(3, "1 × invalid trace ID").stores(1),
        post("odd spans", JSON, NAMELESS).warns(0, "1 span kept, but without service.name").stores(1),
        post("odd spans in zstd", JSON, zstd(NAMELESS.as_bytes())).packed("zstd").warns(0, "end before the start").stores(1),
        post("cut off", PROTOBUF, good.slice(..good.len() - 1)).refused(400, bad, "OTLP export request"),
        post("no JSON", JSON, "{").refused(400, bad, "OTLP/JSON export request"),
        post("an empty body as JSON", JSON, "").refused(400, bad, "OTLP/JSON export request"),
        post("no gzip", PROTOBUF, good.clone()).packed("gzip").refused(400, bad, "gzip"),
        post("no zstd", JSON, "{}").packed("zstd").refused(400, bad, "zstd"),
        post("metrics", PROTOBUF, "").at(Method::POST, "/v1/metrics").refused(404, unknown, "takes traces, not metrics"),
        post("logs", JSON, "{}").at(Method::POST, "/v1/logs").refused(404, unknown, "takes traces, not logs"),
        post("profiles", JSON, "{}").at(Method::POST, "/v1development/profiles").refused(404, unknown, "takes traces, not profiles"),
        post("another path", JSON, "{}").at(Method::POST, "/v1/trace").refused(404, unknown, "POST /v1/traces"),
        post("GET", JSON, "").at(Method::GET, "/v1/traces").refused(405, unknown, "POST /v1/traces"),
        post("PUT", PROTOBUF, "").at(Method::PUT, "/v1/traces").refused(405, unknown, "POST /v1/traces"),
        post("a browser that was not invited", JSON, "").at(Method::OPTIONS, "/v1/traces").refused(405, unknown, "POST"),
        post("over the limit", PROTOBUF, vec![0; LIMIT_BYTES + 1]).refused(large.0, large.1, large.2),
        post("a bomb of gzip", PROTOBUF, gzip(&zeros)).packed("gzip").refused(large.0, large.1, large.2),
        post("a bomb of zstd", JSON, zstd(&zeros)).packed("zstd").refused(large.0, large.1, large.2),
        post("text", "text/plain", good.clone()).refused(415, bad, "application/x-protobuf"),
        post("no type", "", good.clone()).refused(415, bad, "application/json"),
        post("brotli", PROTOBUF, good.clone()).packed("br").refused(415, unknown, "gzip, zstd or none"),
        post("packed twice", PROTOBUF, good.clone()).packed("gzip").packed("gzip").refused(415, unknown, "several"),
        post("a greedy connection", PROTOBUF, good.clone()).in_trouble(ConnectionFull).refused(429, Code::ResourceExhausted, "of this connection"),
        post("overload", PROTOBUF, good.clone()).in_trouble(Full).busy("being worked on"),
        post("a store that is full", JSON, NAMELESS).in_trouble(Store(Mood::Busy)).busy("try again"),
        post("a full disk", PROTOBUF, good.clone()).in_trouble(Store(Mood::Full)).busy("the disk has"),
        post("a broken disk", PROTOBUF, good.clone()).in_trouble(Store(Mood::Broken)).busy("cannot be stored"),
        post("a disk that hangs", PROTOBUF, good.clone()).in_trouble(Store(Mood::Silent)).busy("within 60 s"),
        post("a stop", PROTOBUF, good.clone()).in_trouble(Closed).busy("stopping"),
        post("a body that does not end", JSON, Sent::Endless(b"{")).busy("after 30 s"),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_http_answer() {
    for row in http_rows() {
        let what = row.what;
        let troubled = in_trouble(row.trouble);
        let mut request = http::Request::builder()
            .method(row.method)
            .uri(row.path)
            .extension(troubled.connection);
        for (name, value) in &row.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(row.body.body()).expect("a request");
        let answer = router(troubled.ingest, "http://127.0.0.1:4317", &[])
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = answer.into_parts();
        assert_eq!(troubled.store.n_spans(), row.stored, "{what}");
        let body = body.collect().await.expect("a body").to_bytes();
        let header = |name| header(&parts.headers, name);

        assert_eq!(parts.status.as_u16(), row.status, "{what}: {body:?}");
        let is_protobuf = row.headers[0].1.to_ascii_lowercase().starts_with(PROTOBUF);
        let content_type = if is_protobuf { PROTOBUF } else { JSON };
        assert_eq!(header("content-type"), Some(content_type), "{what}");
        let allow = (row.status == 405).then_some("POST");
        assert_eq!(header("allow"), allow, "{what}");
        let is_for_now = matches!(row.status, 429 | 503);
        assert_eq!(header("retry-after"), is_for_now.then_some("1"), "{what}");

        if row.status == 200 {
            let (rejected, message) = said(&body, is_protobuf);
            assert_eq!(rejected, row.rejected, "{what}: {message}");
            assert_eq!(message.is_empty(), row.says.is_empty(), "{what}: {message}");
            assert!(message.contains(row.says), "{what}: {message}");
            continue;
        }
        let (code, message, delay) = refusal(&body, is_protobuf);
        assert_eq!(code, row.code, "{what}: {message}");
        assert!(message.contains(row.says), "{what}: {message}");
        assert_eq!(delay, is_for_now.then_some(RETRY_AFTER), "{what}");
    }
}

/// A `google.rpc.Status`: its code, its message, when to come back.
fn refusal(body: &[u8], is_protobuf: bool) -> (Code, String, Option<Duration>) {
    if is_protobuf {
        let status = RpcStatus::decode(body).expect("a status");
        let delay = RetryInfo::delay_in(body);
        return (Code::from_i32(status.code), status.message, delay);
    }
    let status: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    let code = status["code"]
        .as_i64()
        .and_then(|code| code.try_into().ok());
    let delay = match status["details"][0]["@type"].as_str() {
        Some(RetryInfo::TYPE_URL) => {
            assert_eq!(status["details"][0]["retryDelay"], "1s");
            Some(RETRY_AFTER)
        }
        _ => None,
    };
    let message = status["message"].as_str().expect("text").to_owned();
    (Code::from_i32(code.expect("a code")), message, delay)
}
