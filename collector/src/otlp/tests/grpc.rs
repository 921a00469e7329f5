use bytes::{BufMut, Bytes};
use http::StatusCode;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::{LIMIT_BYTES, Sent, Trouble, header, in_trouble, said};
use crate::otlp::grpc::router;
use crate::otlp::reply::{RETRY_AFTER, RetryInfo};
use crate::testing::{Mood, export_request, gzip, zstd};

const GRPC: &str = "application/grpc";

struct GrpcRow {
    what: &'static str,
    trouble: Trouble,
    path: &'static str,
    encoding: &'static str,
    body: Sent,
    code: Code,
    says: &'static str,
    rejected: i64,
    stored: u64,
}

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn call(what: &'static str, encoding: &'static str, body: impl Into<Sent>) -> GrpcRow {
    GrpcRow {
        what,
        trouble: Trouble::None,
        path: TRACES,
        encoding,
        body: body.into(),
        code: Code::Ok,
        says: "",
        rejected: 0,
        stored: 0,
    }
}

impl GrpcRow {
    fn at(mut self, path: &'static str) -> Self {
        self.path = path;
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

    fn refused(mut self, code: Code, says: &'static str) -> Self {
        (self.code, self.says) = (code, says);
        self
    }

    fn busy(self, says: &'static str) -> Self {
        self.refused(Code::Unavailable, says)
    }
}

/// A message with its head.
fn framed(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = vec![flag];
    frame.put_u32(message.len().try_into().expect("a short message"));
    frame.extend_from_slice(message);
    frame.into()
}

#[rustfmt::skip]
fn grpc_rows() -> Vec<GrpcRow> {
    use Trouble::{Closed, ConnectionFull, Full, Store};
    let good = export_request(2, 0);
    let plain = framed(0, &good);
    let zeros = vec![0; 32 * LIMIT_BYTES];
    let (bad, large, unknown) = (Code::InvalidArgument, Code::ResourceExhausted, Code::Unimplemented);
    let nameless = {
        let mut request = ExportTraceServiceRequest::decode(&good[..]).expect("a request");
        request.resource_spans[0].resource = None;
        request.encode_to_vec()
    };
    vec![
        call("plain", "", plain.clone()).stores(2),
        call("plain, where messages may be packed", "gzip", plain.clone()).stores(2),
        call("gzip", "gzip", framed(1, &gzip(&good))).stores(2),
        call("zstd", "zstd", framed(1, &zstd(&good))).stores(2),
        call("identity", "identity", plain.clone()).stores(2),
        call("nothing", "", framed(0, b"")),
        call("nothing, whatever the store does", "", framed(0, b"")).in_trouble(Store(Mood::Busy)),
        call("bad spans among good ones", "", framed(0, &export_request(3, 2))).warns(2, "trace ID").stores(3),
        call("odd spans", "", framed(0, &nameless)).warns(0, "2 spans kept, but without service.name").stores(2),
        call("no protobuf", "", framed(0, b"\xff")).refused(bad, "OTLP export request"),
        call("no gzip", "gzip", framed(1, &good)).refused(bad, "gzip"),
        call("no zstd", "zstd", framed(1, &good)).refused(bad, "zstd"),
        call("packed, but how", "", framed(1, &gzip(&good))).refused(bad, "grpc-encoding"),
        call("cut off", "", plain.slice(..plain.len() - 1)).refused(bad, "gRPC message"),
        call("cut off in the head", "", plain.slice(..4)).refused(bad, "gRPC message"),
        call("no message", "", "").refused(bad, "gRPC message"),
        call("two messages", "", [&plain[..], &plain].concat()).refused(bad, "gRPC message"),
        call("an unknown flag", "", framed(7, b"")).refused(bad, "gRPC message"),
        call("over the limit", "", framed(0, &zeros[..=LIMIT_BYTES])).refused(large, "65536 bytes"),
        call("over it by its own word", "", Sent::Endless(b"\0\xff\xff\xff\xff")).refused(large, "65536 bytes"),
        call("a bomb of gzip", "gzip", framed(1, &gzip(&zeros))).refused(large, "65536 bytes"),
        call("a bomb of zstd", "zstd", framed(1, &zstd(&zeros))).refused(large, "65536 bytes"),
        call("snappy", "snappy", framed(1, b"x")).refused(unknown, "snappy"),
        call("metrics", "", framed(0, b"")).at("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export").refused(unknown, "takes traces, not metrics"),
        call("logs", "", framed(0, b"")).at("/opentelemetry.proto.collector.logs.v1.LogsService/Export").refused(unknown, "takes traces, not logs"),
        call("profiles", "", framed(0, b"")).at("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export").refused(unknown, "takes traces, not profiles"),
        call("another service", "", framed(0, b"")).at("/grpc.health.v1.Health/Check").refused(unknown, TRACES),
        call("a greedy connection", "", plain.clone()).in_trouble(ConnectionFull).refused(large, "of this connection"),
        call("overload", "", plain.clone()).in_trouble(Full).busy("being worked on"),
        call("a store that is full", "", plain.clone()).in_trouble(Store(Mood::Busy)).busy("try again"),
        call("a full disk", "", plain.clone()).in_trouble(Store(Mood::Full)).busy("the disk has"),
        call("a broken disk", "", plain.clone()).in_trouble(Store(Mood::Broken)).busy("cannot be stored"),
        call("a disk that hangs", "", plain.clone()).in_trouble(Store(Mood::Silent)).busy("within 60 s"),
        call("a stop", "", plain).in_trouble(Closed).busy("stopping"),
        call("a message that does not end", "", Sent::Endless(b"\0\0\0\x01\0spans")).busy("after 30 s"),
        call("a head that does not end", "", Sent::Endless(b"\0")).busy("after 30 s"),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_grpc_answer() {
    for row in grpc_rows() {
        let what = row.what;
        let troubled = in_trouble(row.trouble);
        let mut request = http::Request::post(row.path)
            .extension(troubled.connection)
            .header("content-type", GRPC);
        if !row.encoding.is_empty() {
            request = request.header("grpc-encoding", row.encoding);
        }
        let request = request.body(row.body.body()).expect("a request");
        let answer = router(troubled.ingest, "http://127.0.0.1:4318")
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = answer.into_parts();
        assert_eq!(parts.status, StatusCode::OK, "{what}");
        assert_eq!(header(&parts.headers, "content-type"), Some(GRPC), "{what}");
        assert_eq!(troubled.store.n_spans(), row.stored, "{what}");
        let body = body.collect().await.expect("a body");
        let status = Status::from_header_map(body.trailers().unwrap_or(&parts.headers));
        let status = status.expect("a status");

        assert_eq!(status.code(), row.code, "{what}: {}", status.message());
        let accepts = (row.encoding == "snappy").then_some("gzip,zstd,identity");
        assert_eq!(
            header(&parts.headers, "grpc-accept-encoding"),
            accepts,
            "{what}"
        );
        let is_for_now =
            row.code == Code::Unavailable || matches!(row.trouble, Trouble::ConnectionFull);
        let delay = RetryInfo::delay_in(status.details());
        assert_eq!(delay, is_for_now.then_some(RETRY_AFTER), "{what}");
        if row.code != Code::Ok {
            assert!(
                status.message().contains(row.says),
                "{what}: {}",
                status.message()
            );
            continue;
        }
        let (rejected, message) = said(&body.to_bytes()[5..], true);
        assert_eq!(rejected, row.rejected, "{what}: {message}");
        assert_eq!(message.is_empty(), row.says.is_empty(), "{what}: {message}");
        assert!(message.contains(row.says), "{what}: {message}");
    }
}
