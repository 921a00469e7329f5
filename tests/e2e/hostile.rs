//! What spans say stays text, whatever they say: on every page and in every answer.

use longpole_tests::spans::{self, Draft};
use longpole_tests::{Reply, Server};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use scraper::{Html, Selector};

/// What payloads would make happen, if they could.
const MARK: &str = "pwned";

/// Stands for bytes that are no UTF-8, which no string can hold.
const NOT_UTF_8: &str = "NOTUTF8!";

fn payloads() -> Vec<String> {
    let huge = format!("<b>{}", "A".repeat(100_000));
    let plain = [
        "<script>alert('pwned')</script>",
        "</title><script src=//evil.example/pwned.js></script>",
        "\"><img src=x onerror=pwned()>",
        "' onmouseover='pwned()' x='",
        "<svg/onload=pwned()>",
        "</textarea></style></pre><iframe srcdoc='<script>pwned()</script>'>",
        "javascript:pwned()",
        "JaVaScRiPt:pwned()//http://x",
        "data:text/html,<script>pwned()</script>",
        "http://x/\" onclick=\"pwned()",
        "x\r\nset-cookie: pwned=1\r\n\r\n<html>",
        "x\nWARN pwned: a line of its own",
        "nul\0<u>pwned</u>",
        "\u{202e}evil\u{202c} \u{2066}pwned",
        "\u{1b}[31mpwned\u{1b}[0m\u{1b}]0;pwned\u{7}",
        "%s%n%x {} {0} ${pwned} %(pwned)s",
        "{{ pwned }} {% include \"pwned\" %} {{constructor.constructor('pwned()')()}}",
        "../../../../etc/passwd%00pwned",
        "'; DROP TABLE pwned; --",
        "<!-- pwned --><![CDATA[<script>pwned()</script>]]>",
        "&lt;script&gt;pwned()&lt;/script&gt;&#x3c;i&#x3e;",
        "</script><meta http-equiv=refresh content='0;url=//pwned'>",
        "=cmd|'/C pwned'!A0",
        "\u{feff}\u{2028}\u{2029}pwned\u{85}",
        NOT_UTF_8,
    ];
    let mut all: Vec<_> = plain.iter().map(|text| (*text).to_owned()).collect();
    all.push(huge);
    all
}

/// A trace that has a payload wherever it can have text.
fn export(trace: u128, payload: &str) -> ExportTraceServiceRequest {
    let child = Draft::new(trace, 2, payload)
        .service(payload)
        .parent(1)
        .at(10, 300)
        .attribute("url.full", payload)
        .attribute("db.query.text", payload)
        .attribute("peer.service", payload)
        .exception(payload, payload, payload)
        .with(|span| {
            payload.clone_into(&mut span.trace_state);
            span.kind = 3;
        });
    let root = Draft::new(trace, 1, payload)
        .service(payload)
        .at(0, 400)
        .attribute(payload, payload)
        .link(trace + 1, 9)
        .with(|span| {
            let event = opentelemetry_proto::tonic::trace::v1::span::Event {
                time_unix_nano: span.start_time_unix_nano,
                name: payload.to_owned(),
                attributes: vec![spans::text(payload, payload)],
                dropped_attributes_count: 0,
            };
            span.events.push(event);
        });
    let mut request = spans::request([root, child]);
    for resource in &mut request.resource_spans {
        payload.clone_into(&mut resource.schema_url);
        for scope in &mut resource.scope_spans {
            let name = payload.to_owned();
            scope.scope = Some(
                opentelemetry_proto::tonic::common::v1::InstrumentationScope {
                    name: name.clone(),
                    version: name,
                    ..Default::default()
                },
            );
        }
    }
    request
}

/// The request's bytes, with what stands for no UTF-8 made such.
fn encoded(request: &ExportTraceServiceRequest) -> Vec<u8> {
    let mut bytes = request.encode_to_vec();
    let mark = NOT_UTF_8.as_bytes();
    for at in 0..bytes.len().saturating_sub(mark.len()) {
        if bytes[at..].starts_with(mark) {
            bytes[at..at + mark.len()].copy_from_slice(b"\xff<i>\xc3\x28\xfe\x80");
        }
    }
    bytes
}

fn select<'a>(
    html: &'a Html,
    selector: &str,
) -> impl Iterator<Item = scraper::ElementRef<'a>> + use<'a> {
    let selector = Selector::parse(selector).expect("a selector");
    html.select(&selector).collect::<Vec<_>>().into_iter()
}

fn check(what: &str, reply: &Reply) {
    assert!(reply.status < 500, "{what}: {}", reply.text());
    for (name, value) in &reply.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!name.as_str().contains("cookie"), "{what}: {name}");
        let is_quoted = name == "location" && !value.contains("//");
        assert!(
            is_quoted || !value.contains(MARK),
            "{what}: {name}: {value}"
        );
    }
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{what}");
    let policy = reply.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'self';"),
        "{what}: {policy}"
    );
    assert!(!policy.contains("script-src"), "{what}: {policy}");
    let kind = reply.header("content-type");
    if kind.starts_with("application/json") {
        reply.json();
    } else if kind.starts_with("text/html") {
        check_markup(what, &reply.html());
    } else {
        let is_columns = kind == "application/octet-stream";
        assert!(is_columns || reply.body.is_empty(), "{what} is {kind}");
    }
}

fn check_markup(what: &str, html: &Html) {
    for script in select(html, "script") {
        let source = script.attr("src").unwrap_or_default();
        assert!(source.starts_with("/assets/"), "{what}: {}", script.html());
        assert_eq!(script.inner_html(), "", "{what}");
    }
    let never = "iframe, img, object, embed, base, style, textarea, u, meta[http-equiv], table i";
    let found: Vec<_> = select(html, never).map(|found| found.html()).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
    for element in select(html, "*") {
        for (name, value) in element.value().attrs() {
            assert!(!name.starts_with("on"), "{what}: {}", element.html());
            let links = ["href", "src", "action", "formaction", "xlink:href"];
            if !links.contains(&name) {
                continue;
            }
            let is_ours = (value.starts_with('/') && !value.starts_with("//"))
                || value.starts_with(['#', '?']);
            let is_web = value.starts_with("http://") || value.starts_with("https://");
            assert!(is_ours || is_web, "{what}: {}", element.html());
        }
    }
}

/// Everything in a query, escaped.
fn escaped(text: &str) -> String {
    let bytes: Vec<u8> = text.bytes().take(2_000).collect();
    percent_encoding::percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Pages and answers that have something of many traces.
const LISTS: [&str; 20] = [
    "/?limit=200",
    "/?limit=200&sort=newest",
    "/status",
    "/api/v1/search?limit=200",
    "/api/v1/services",
    "/api/v1/operations",
    "/api/v1/attributes",
    "/api/v1/attributes/url.full/values",
    "/api/v1/status",
    "/api/v1/pins",
    "/shared?limit=200",
    "/api/v1/shared?limit=200",
    "/api/v1/overview",
    "/api/v1/suggest?q=",
    "/api/v1/suggest?q=service+%3D+",
    "/api/v1/suggest?q=name+%3D+",
    "/api/services",
    "/api/v3/services",
    "/api/operations?service=web",
    "/api/openapi.json",
];

/// Pages and answers that are asked for by a text, for a trace.
fn with_text(id: &str, text: &str) -> impl Iterator<Item = String> {
    [
        format!("/?service={text}"),
        format!("/?op={text}&min={text}&last={text}"),
        format!("/?{text}={text}"),
        format!("/trace?id={text}"),
        format!("/trace/{text}"),
        format!("/trace/{id}?q={text}"),
        format!("/trace/{id}?view={text}&span={text}"),
        format!("/trace/{id}/span/{text}"),
        format!("/{text}"),
        format!("/api/v1/search?service={text}&op={text}"),
        format!("/api/v1/search?after={text}"),
        format!("/api/v1/traces/{text}"),
        format!("/api/traces/{text}"),
        format!("/api/v1/attributes/{text}/values"),
        format!("/api/v1/operations?service={text}"),
        format!("/?q={text}&hopService={text}&hopName={text}&status={text}"),
        format!("/?hop={text}"),
        format!("/shared?service={text}"),
        format!("/shared?q={text}"),
        format!("/api/v1/shared?op={text}"),
        format!("/api/v1/overview?q={text}&from={text}"),
        format!("/api/v1/suggest?q={text}&at=9"),
        format!("/api/v1/suggest?q=service%3D{text}"),
        format!("/api/v1/suggest?service={text}"),
        format!("/api/v1/suggest?op={text}&service={text}"),
        format!("/api/services/{text}/operations"),
        format!("/api/operations?service={text}&spanKind={text}"),
        format!("/api/traces?service={text}&operation={text}&tags={text}&tag={text}"),
        format!("/api/traces?traceID={text}&prettyPrint={text}"),
        format!("/api/dependencies?endTs={text}&lookback={text}"),
        format!("/api/v3/operations?service={text}"),
        format!("/api/v3/traces?query.service_name={text}&query.start_time_min={text}"),
        format!("/api/v3/trace-summaries?query.serviceName={text}&query.attributes={text}"),
        format!("/api/v3/traces/{text}"),
    ]
    .into_iter()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_inert_on_every_page_and_in_every_answer() {
    let server = Server::start().await;
    let client = server.client();
    let protobuf = [("content-type", "application/x-protobuf")];
    let payloads = payloads();
    for (n, payload) in payloads.iter().enumerate() {
        let body = encoded(&export(0x100 * (n as u128 + 1), payload));
        let reply = client.post(&protobuf, body).await;
        assert_eq!(reply.status, 200, "{payload:?}: {}", reply.text());
    }
    let mut n_answers = 0;
    let mut get = async |what: &str, path: String| {
        let reply = client.get(&path).await;
        check(&format!("{what:.80?} at {path:.200}"), &reply);
        n_answers += 1;
        reply
    };
    for (n, payload) in payloads.iter().enumerate() {
        let id = format!("{:032x}", 0x100 * (n + 1));
        for view in ["", "?view=all", "?view=path", "?view=errors", "?view=table"] {
            let page = get(payload, format!("/trace/{id}{view}")).await;
            assert_eq!(page.status, 200, "{payload:?}");
        }
        for span in ["0000000000000001", "0000000000000002"] {
            let page = get(payload, format!("/trace/{id}?span={span}")).await;
            assert_eq!(page.status, 200, "{payload:?}");
            let part = get(payload, format!("/trace/{id}/span/{span}")).await;
            assert_eq!(part.status, 200, "{payload:?}");
        }
        for path in [
            format!("/api/v1/traces/{id}"),
            format!("/api/v1/traces/{id}/analysis"),
            format!("/api/v1/traces/{id}/columns"),
            format!("/api/traces/{id}"),
            format!("/api/v3/traces/{id}"),
            format!("/api/traces?traceID={id}"),
        ] {
            assert_eq!(get(payload, path).await.status, 200, "{payload:?}");
        }
        for path in with_text(&id, &escaped(payload)) {
            get(payload, path).await;
        }
    }
    for path in LISTS {
        let reply = get("all", path.to_owned()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    assert!(n_answers > 20 * payloads.len(), "{n_answers}");
    server.stop().await;
}
