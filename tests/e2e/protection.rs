//! Who is let in, and who is not: tokens and TLS on all three ports, in front of a real server.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use longpole::load::{LoadConfig, Protocol};
use longpole::{Addresses, Config, Listeners, LogConfig};
use longpole_tests::{eventually, grpc, spans};
use prost::Message as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SEND: &str = "send-send-send-send";
const LOOK: &str = "look-look-look-look";
const BOTH: &str = "both-both-both-both";

/// A server that may need more than a plain client has.
struct Guarded {
    addresses: Addresses,
    dir: TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Guarded {
    async fn start(dir: TempDir, change: impl FnOnce(&Path, &mut Config)) -> Self {
        let mut config = Config::with_data_dir(dir.path().join("data"));
        for address in [&mut config.otlp_grpc, &mut config.otlp_http, &mut config.ui] {
            address.set_port(0);
        }
        change(dir.path(), &mut config);
        let listeners = Listeners::bind(&config).await.expect("ports are free");
        let addresses = listeners.addresses().expect("addresses");
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            let ended = longpole::run(config, listeners, stop).await;
            ended.expect("the server runs and stops");
        });
        Self {
            addresses,
            dir,
            shutdown,
            task,
        }
    }

    fn write(&self, name: &str, text: &str) {
        // As secrets are put in place: whole.
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).expect("written");
        std::fs::rename(new, self.dir.path().join(name)).expect("renamed");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the server stops without a panic");
    }
}

/// What a server answers over each of its ports.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    grpc: Option<i32>,
    http: u16,
    api: u16,
    page: u16,
    metrics: u16,
}

const ALL: Answers = Answers {
    grpc: Some(0),
    http: 200,
    api: 200,
    page: 200,
    metrics: 200,
};
const NONE: Answers = Answers {
    grpc: Some(16),
    http: 401,
    api: 401,
    page: 401,
    metrics: 401,
};

/// Asks a server.
struct Asker {
    addresses: Addresses,
    http_1: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    http_2: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Asker {
    fn new(addresses: Addresses, tls: &ClientConfig) -> Self {
        let connector = |tls: &ClientConfig| {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
        };
        let http_1 = connector(tls).enable_http1().build();
        let http_2 = connector(tls).enable_http2().build();
        let mut builder = Client::builder(TokioExecutor::new());
        Self {
            addresses,
            http_1: builder.clone().build(http_1),
            http_2: builder.http2_only(true).build(http_2),
        }
    }

    fn plain(addresses: Addresses) -> Self {
        Self::new(addresses, &trusting(&[], None))
    }

    /// Status, headers and body; `None` when there is no answer.
    async fn send(
        &self,
        method: Method,
        url: String,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Option<(u16, HeaderMap, Bytes)> {
        let is_grpc = url.ends_with(grpc::EXPORT);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let client = if is_grpc { &self.http_2 } else { &self.http_1 };
        let (parts, body) = client.request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?;
        let mut headers = parts.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Some((parts.status.as_u16(), headers, body.to_bytes()))
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Option<(u16, HeaderMap, Bytes)> {
        let url = self.addresses.ui_endpoint() + path;
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    /// Asks all ports; `None` when one does not answer.
    async fn ask(&self, authorization: Option<&str>) -> Option<Answers> {
        let authorization = authorization.map(|value| ("authorization", value));
        let headers = |content_type| {
            let kind = [("content-type", content_type), ("te", "trailers")];
            let all = kind.into_iter().chain(authorization);
            all.collect::<Vec<_>>()
        };
        let body = spans::single(7, "shop", "GET /", 5).encode_to_vec();
        let url = self.addresses.grpc_endpoint() + grpc::EXPORT;
        let sent = grpc::frame(&body, false);
        let (_, of_grpc, _) = self
            .send(Method::POST, url, &headers("application/grpc"), sent)
            .await?;
        let url = self.addresses.http_endpoint() + "/v1/traces";
        let protobuf = headers("application/x-protobuf");
        let (http, of_http, _) = self.send(Method::POST, url, &protobuf, body.into()).await?;
        let challenge = of_http.get("www-authenticate").is_some();
        assert_eq!(challenge, http == 401, "{of_http:?}");
        // As a script of the page asks: nobody redirects it.
        let script = [("sec-fetch-mode", "cors")];
        let looks: Vec<_> = script.into_iter().chain(authorization).collect();
        let (api, ..) = self.get("/api/v1/search", &looks).await?;
        let (page, ..) = self.get("/", &looks).await?;
        let (metrics, ..) = self.get("/metrics", &looks).await?;
        for path in ["/healthz", "/readyz"] {
            let (status, ..) = self.get(path, &[]).await?;
            assert_eq!(status, 200, "{path} is open");
        }
        let grpc = of_grpc.get("grpc-status");
        let grpc = grpc.and_then(|code| code.to_str().ok()?.parse().ok());
        Some(Answers {
            grpc,
            http,
            api,
            page,
            metrics,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_asks_for_a_token_and_hears_of_new_ones() {
    let dir = TempDir::new().expect("a directory");
    let tokens = format!("ingest:{SEND}\nui:{LOOK}\n{BOTH}\n");
    std::fs::write(dir.path().join("tokens"), tokens).expect("written");
    let server = Guarded::start(dir, |dir, config| {
        config.token_file = Some(dir.join("tokens"));
        config.demo = true;
    })
    .await;
    let asker = Asker::plain(server.addresses);
    let bearer = |token: &str| format!("Bearer {token}");
    let sends = Answers {
        api: 401,
        page: 401,
        metrics: 401,
        ..ALL
    };
    let looks = Answers {
        grpc: Some(16),
        http: 401,
        ..ALL
    };
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        bearer("nobody-has-this-one"),
        bearer(&SEND[1..]),
        bearer(&format!("{BOTH}x")),
        format!("Basic {BOTH}"),
        BOTH.to_owned(),
        bearer(&format!("ingest:{SEND}")),
    ];
    assert_eq!(asker.ask(None).await, Some(NONE));
    for wrong in wrong {
        assert_eq!(asker.ask(Some(&wrong)).await, Some(NONE), "{wrong}");
    }
    assert_eq!(asker.ask(Some(&bearer(SEND))).await, Some(sends));
    assert_eq!(asker.ask(Some(&bearer(LOOK))).await, Some(looks));
    assert_eq!(asker.ask(Some(&bearer(BOTH))).await, Some(ALL));

    let (_, _, metrics) = asker
        .get("/metrics", &[("authorization", &bearer(LOOK))])
        .await
        .expect("an answer");
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    for (transport, reason) in [
        ("grpc", "no_token"),
        ("grpc", "wrong_token"),
        ("http_protobuf", "no_token"),
        ("http_protobuf", "wrong_token"),
    ] {
        let line = format!(
            "requests_total{{transport=\"{transport}\",outcome=\"refused\",reason=\"{reason}\"}}"
        );
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }

    // The demo needs no token of the file.
    eventually("the demo's requests", async || {
        let looks = bearer(LOOK);
        let headers = [("authorization", &*looks)];
        let (_, _, body) = asker.get("/api/v1/services", &headers).await?;
        let has_demo = String::from_utf8_lossy(&body).contains("inventory");
        has_demo.then_some(())
    })
    .await;

    server.write("tokens", &format!("{LOOK}-new\n"));
    let new = bearer(&format!("{LOOK}-new"));
    eventually("the new token", async || {
        let answers = asker.ask(Some(&new)).await?;
        (answers == ALL).then_some(())
    })
    .await;
    assert_eq!(asker.ask(Some(&bearer(BOTH))).await, Some(NONE));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_and_out() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("tokens"), BOTH).expect("written");
    let server = Guarded::start(dir, |dir, config| {
        config.token_file = Some(dir.join("tokens"));
        config.base_path = "/traces".to_owned();
    })
    .await;
    let asker = Asker::plain(server.addresses);
    let (status, headers, _) = asker.get("/traces/?min=1ms", &[]).await.expect("an answer");
    assert_eq!(status, 303);
    assert_eq!(
        headers["location"],
        "/traces/login?next=%2Ftraces%2F%3Fmin%3D1ms"
    );
    let post = |path: &str, body: String, headers: Vec<(&'static str, String)>| {
        let url = format!("{}{path}", asker.addresses.ui_endpoint());
        let asker = &asker;
        async move {
            let form = "application/x-www-form-urlencoded".to_owned();
            let all = [("content-type", form)].into_iter().chain(headers);
            let all: Vec<_> = all.collect();
            let all: Vec<_> = all.iter().map(|(name, value)| (*name, &**value)).collect();
            let answer = asker.send(Method::POST, url, &all, body.into()).await;
            answer.expect("an answer")
        }
    };
    let same = || vec![("origin", asker.addresses.ui_endpoint())];
    let right = || format!("token={BOTH}&next=%2Ftraces%2Fstatus");
    let (status, ..) = post("/traces/login", right(), vec![]).await;
    assert_eq!(status, 403, "nobody says whose page it comes from");
    let (status, headers, _) = post("/traces/login", "token=wrong".to_owned(), same()).await;
    assert_eq!((status, headers.get("set-cookie")), (401, None));
    let (status, headers, _) = post("/traces/login", right(), same()).await;
    assert_eq!(status, 303);
    assert_eq!(headers["location"], "/traces/status");
    let cookie = headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(
        cookie.ends_with("; Max-Age=43200; Path=/traces; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(BOTH), "{cookie}");
    let session = cookie.split(';').next().expect("a pair").to_owned();
    let cookies = [("cookie", &*session)];
    let look = || asker.get("/traces/status", &cookies);
    assert_eq!(look().await.expect("an answer").0, 200);

    let mut headers = same();
    headers.push(("cookie", session.clone()));
    let (status, ..) = post("/traces/logout", String::new(), headers).await;
    assert_eq!(status, 303);
    assert_eq!(look().await.expect("an answer").0, 303, "the session ended");

    for _ in 0..10 {
        post("/traces/login", "token=guess".to_owned(), same()).await;
    }
    let (status, headers, _) = post("/traces/login", right(), same()).await;
    assert_eq!(status, 429);
    assert!(headers.contains_key("retry-after"));
    server.stop().await;
}

/// An authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate for loopback and its key, in PEM.
    fn issue(&self, is_expired: bool) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names = vec!["127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("a name");
        if is_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer);
        (
            certificate.expect("a certificate").pem(),
            key.serialize_pem(),
        )
    }
}

/// A client that trusts authorities and has a certificate.
fn trusting(authorities: &[&Authority], own: Option<(String, String)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let pem = CertificateDer::from_pem_slice(authority.pem.as_bytes());
        roots
            .add(pem.expect("a certificate"))
            .expect("an authority");
    }
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            let pem = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(vec![pem], key)
                .expect("a key of the certificate")
        }
    }
}

fn write_pair(dir: &Path, (pem, key): &(String, String)) {
    std::fs::write(dir.join("cert.pem"), pem).expect("written");
    std::fs::write(dir.join("key.pem"), key).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_speaks_tls_and_takes_new_certificates() {
    let (ours, others) = (Authority::new(), Authority::new());
    let dir = TempDir::new().expect("a directory");
    write_pair(dir.path(), &ours.issue(false));
    std::fs::write(dir.path().join("tokens"), BOTH).expect("written");
    std::fs::write(dir.path().join("ca.pem"), &ours.pem).expect("written");
    let server = Guarded::start(dir, |dir, config| {
        config.tls_cert = Some(dir.join("cert.pem"));
        config.tls_key = Some(dir.join("key.pem"));
        config.token_file = Some(dir.join("tokens"));
    })
    .await;
    let asker = Asker::new(server.addresses, &trusting(&[&ours], None));
    let bearer = format!("Bearer {BOTH}");
    assert_eq!(asker.ask(Some(&bearer)).await, Some(ALL));
    assert_eq!(asker.ask(None).await, Some(NONE));
    let distrusting = Asker::new(server.addresses, &trusting(&[&others], None));
    assert_eq!(distrusting.ask(Some(&bearer)).await, None);

    let url = server.addresses.ui_endpoint();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", &*url),
    ];
    let login = asker.send(
        Method::POST,
        format!("{url}/login"),
        &headers,
        format!("token={BOTH}").into(),
    );
    let (_, headers, _) = login.await.expect("an answer");
    let cookie = headers["set-cookie"].to_str().expect("text");
    assert!(cookie.ends_with("; Secure"), "{cookie}");

    for address in [
        server.addresses.otlp_grpc,
        server.addresses.otlp_http,
        server.addresses.ui,
    ] {
        let mut plain = TcpStream::connect(address).await.expect("a connection");
        let head = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        plain.write_all(head).await.expect("it is taken");
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("This port speaks TLS"), "{answer}");
    }

    for protocol in [Protocol::Grpc, Protocol::Http] {
        let endpoint = match protocol {
            Protocol::Grpc => server.addresses.grpc_endpoint(),
            Protocol::Http => server.addresses.http_endpoint(),
        };
        let load = LoadConfig {
            endpoint: endpoint.parse().expect("a URL"),
            token_file: Some(server.dir.path().join("tokens")),
            tls_ca: Some(server.dir.path().join("ca.pem")),
            protocol,
            n_spans: 500,
            concurrency: 1,
            server_pid: None,
            ids: None,
            seed: 5,
            log: LogConfig::default(),
        };
        let report = longpole::load::run(load, CancellationToken::new()).await;
        let report = report.expect("a report").to_string();
        assert!(report.contains("requests failed      0"), "{report}");
    }

    // A key without its certificate changes nothing; with it, both are used.
    let (pem, key) = others.issue(false);
    server.write("key.pem", &key);
    assert_eq!(asker.ask(Some(&bearer)).await, Some(ALL));
    server.write("cert.pem", &pem);
    eventually("the new certificate", async || {
        let fresh = Asker::new(server.addresses, &trusting(&[&others], None));
        fresh.ask(Some(&bearer)).await
    })
    .await;
    let fresh = Asker::new(server.addresses, &trusting(&[&ours], None));
    assert_eq!(fresh.ask(Some(&bearer)).await, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_client_certificates_are_needed_only_good_ones_are_taken() {
    let (ours, others) = (Authority::new(), Authority::new());
    let dir = TempDir::new().expect("a directory");
    write_pair(dir.path(), &ours.issue(false));
    std::fs::write(dir.path().join("ca.pem"), &ours.pem).expect("written");
    let server = Guarded::start(dir, |dir, config| {
        config.tls_cert = Some(dir.join("cert.pem"));
        config.tls_key = Some(dir.join("key.pem"));
        config.tls_client_ca = Some(dir.join("ca.pem"));
        config.demo = true;
    })
    .await;
    let cases = [
        ("none", None, false),
        ("another authority's", Some(others.issue(false)), false),
        ("an expired one", Some(ours.issue(true)), false),
        ("a good one", Some(ours.issue(false)), true),
    ];
    for (what, own, is_taken) in cases {
        let asker = Asker::new(server.addresses, &trusting(&[&ours], own));
        let urls = [
            server.addresses.grpc_endpoint() + grpc::EXPORT,
            server.addresses.http_endpoint() + "/v1/traces",
            server.addresses.ui_endpoint() + "/healthz",
        ];
        for url in urls {
            let answer = asker.send(Method::GET, url.clone(), &[], Bytes::new());
            assert_eq!(answer.await.is_some(), is_taken, "{what} at {url}");
        }
        if is_taken {
            assert_eq!(asker.ask(None).await, Some(ALL));
        }
    }
    server.stop().await;
}
