use axum::body::Body as AxumBody;
use axum::extract::Request;
use http_body_util::BodyExt;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Answers with the body it gets; at `/later` only after a minute and a half.
fn echo() -> Router {
    Router::new().fallback(async |request: Request| {
        if request.uri().path() == "/later" {
            sleep(90 * SECOND).await;
        }
        request.into_body()
    })
}

/// The client's side of a connection that is served until it ends.
async fn connect(stop: &CancellationToken) -> DuplexStream {
    let connection = Connections::new(1).admit().await;
    let (client, server) = duplex(64 << 10);
    let tasks = TaskTracker::new();
    tokio::spawn(handle(
        server,
        echo(),
        connection,
        stop.clone(),
        Tracked(tasks),
    ));
    client
}

/// What comes until the connection is ended from the other side.
async fn rest(client: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("an end");
    String::from_utf8(bytes).expect("text")
}

/// What comes until there is `end`.
async fn until(client: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = client.read_u8().await.expect("more");
        bytes.push(byte);
    }
    String::from_utf8(bytes).expect("text")
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nspans";

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut_off() {
    let stop = CancellationToken::new();
    let began = Instant::now();
    let client = connect(&stop).await;
    let (mut read, mut write) = tokio::io::split(client);
    let drip = async {
        write.write_all(b"POST / HTTP/1.1\r\n").await.ok();
        while write.write_all(b"x: y\r\n").await.is_ok() {
            sleep(SECOND).await;
        }
    };
    let cut = async {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).await.ok();
        began.elapsed()
    };
    let (took, ()) = tokio::join!(cut, drip);
    assert_eq!(took, HEAD_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut_off() {
    let stop = CancellationToken::new();
    let began = Instant::now();
    let mut client = connect(&stop).await;
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(began.elapsed(), QUIET_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_ends_after_a_while() {
    let stop = CancellationToken::new();
    let mut client = connect(&stop).await;
    for _ in 0..3 {
        // As SDKs do that have something to send now and then.
        sleep(HEAD_DEADLINE.saturating_sub(SECOND)).await;
        client.write_all(POST).await.expect("it is taken");
        until(&mut client, "\r\n\r\nspans").await;
    }
    let began = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(began.elapsed(), HEAD_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_long_is_not_cut_off() {
    let stop = CancellationToken::new();
    let mut client = connect(&stop).await;
    let head = b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nspans";
    client.write_all(head).await.expect("it is taken");
    let answer = until(&mut client, "\r\n\r\nspans").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let stop = CancellationToken::new();
    let connection = Connections::new(1).admit().await;
    let (mut client, io) = duplex(1 << 10);
    let large = Router::new().fallback(async || vec![b'x'; 1 << 20]);
    let tasks = Tracked(TaskTracker::new());
    let served = tokio::spawn(handle(io, large, connection, stop, tasks));
    let began = Instant::now();
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    client.write_all(get).await.expect("it is taken");
    served.await.expect("no panic");
    assert_eq!(began.elapsed(), QUIET_MAX);
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number() {
    let head = |header: &str, n: usize| {
        let headers = format!("{header}\r\n").repeat(n);
        format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}content-length: 0\r\n\r\n")
    };
    let long = format!("x: {}", "y".repeat(70 << 10));
    let cases = [
        (head("x: y", HEADERS_MAX - 2), "HTTP/1.1 200 OK"),
        (
            head("x: y", HEADERS_MAX - 1),
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
        (
            head(&long, 1),
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
    ];
    for (head, status) in cases {
        let mut client = connect(&CancellationToken::new()).await;
        let (mut read, mut write) = tokio::io::split(&mut client);
        // It need not all be taken.
        let send = async { write.write_all(head.as_bytes()).await.ok() };
        let (answer, _) = tokio::join!(until(&mut read, "\r\n"), send);
        assert_eq!(answer.trim_end(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn http_2_has_bounds_and_a_dead_client_is_noticed() {
    let client = connect(&CancellationToken::new()).await;
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .expect("a connection");
    let connection = tokio::spawn(connection);
    let request = |long: usize| {
        http::Request::post("http://x/")
            .header("x", "y".repeat(long))
            .body(AxumBody::from("spans"))
            .expect("a request")
    };
    let answer = send.send_request(request(1)).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "spans");
    for (n_requests, rounds) in [(STREAMS_MAX, 1), (STREAMS_MAX + 1, 2)] {
        let began = Instant::now();
        let answers: Vec<_> = (0..n_requests)
            .map(|_| {
                let later = http::Request::post("http://x/later").body(AxumBody::empty());
                send.send_request(later.expect("a request"))
            })
            .collect();
        for answer in answers {
            assert_eq!(answer.await.expect("an answer").status(), 200);
        }
        assert_eq!(began.elapsed(), rounds * 90 * SECOND);
    }
    let answer = send.send_request(request(80 << 10)).await;
    assert!(
        answer
            .as_ref()
            .map_or(true, |answer| answer.status() == 431),
        "{answer:?}"
    );
    // It answers pings, so it may stay.
    sleep(10 * QUIET_MAX).await;
    assert!(!connection.is_finished());

    // One that reads and says nothing may not.
    let mut client = connect(&CancellationToken::new()).await;
    let began = Instant::now();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.write_all(preface).await.expect("it is taken");
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("an end");
    assert_eq!(began.elapsed(), PING_EVERY + PING_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_who_asked_and_waits_for_nobody_else() {
    let stop = CancellationToken::new();
    let mut silent = connect(&stop).await;
    let mut dripping = connect(&stop).await;
    dripping.write_all(b"POST / HT").await.expect("it is taken");
    let mut asking = connect(&stop).await;
    let head = b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nspans";
    asking.write_all(head).await.expect("it is taken");
    sleep(SECOND).await;
    stop.cancel();
    let began = Instant::now();
    for client in [&mut silent, &mut dripping] {
        assert_eq!(rest(client).await, "");
        assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    }
    let answer = rest(&mut asking).await;
    assert!(answer.ends_with("\r\n\r\nspans"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// A server of up to `connections_max` connections, and how to stop it.
async fn listen(connections_max: usize) -> (std::net::SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, echo(), connections_max, stop.clone()));
    (address, stop)
}

async fn post(address: std::net::SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(POST).await.expect("it is taken");
    until(&mut client, "\r\n\r\nspans").await;
    client
}

#[tokio::test]
async fn a_thousand_idle_connections_are_no_matter() {
    // Both ends are in this process.
    let n_idle = 1_000.min(connections_max() / 2);
    let (address, stop) = listen(n_idle + 1).await;
    let mut idle = Vec::new();
    for _ in 0..n_idle {
        idle.push(TcpStream::connect(address).await.expect("a connection"));
    }
    post(address).await;
    // They are as good as new.
    let last = idle.last_mut().expect("idle connections");
    last.write_all(POST).await.expect("it is taken");
    until(last, "\r\n\r\nspans").await;
    stop.cancel();
}

#[tokio::test]
async fn more_connections_than_there_may_be_take_turns() {
    let (address, stop) = listen(4).await;
    let mut clients = Vec::new();
    // Each waits for its answer while those before it are kept open.
    for _ in 0..20 {
        clients.push(post(address).await);
    }
    for client in &mut clients[..16] {
        let mut bytes = Vec::new();
        client
            .read_to_end(&mut bytes)
            .await
            .expect("an end in good order");
    }
    // The newest were left alone.
    for client in &mut clients[17..] {
        client.write_all(POST).await.expect("it is taken");
        until(client, "\r\n\r\nspans").await;
    }
    stop.cancel();
}
