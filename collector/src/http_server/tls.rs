//! TLS around a connection, with a helpful word for who speaks none.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// How long a handshake may take: a few round trips.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// How long and how much of what a client without TLS sends is read, so that it reads the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: u64 = 64 << 10;

const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    connection: close\r\n\
    content-length: 50\r\n\r\n\
    This port speaks TLS: ask it with https instead.\r\n";

/// Shakes hands; `None` when that fails or takes too long.
pub(super) async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Option<TlsStream<TcpStream>> {
    let shaken = timeout(HANDSHAKE_DEADLINE, shake(stream, config)).await;
    shaken.unwrap_or_else(|_| {
        debug!("TLS handshake took too long");
        None
    })
}

async fn shake(mut stream: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
    let mut first = [HANDSHAKE];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == HANDSHAKE => {}
        Ok(1) if first[0].is_ascii_uppercase() => {
            send_away(&mut stream).await;
            return None;
        }
        _ => return None,
    }
    match TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// Tells who speaks HTTP what to speak.
async fn send_away(stream: &mut TcpStream) {
    debug!("a client without TLS is sent away");
    let answered = async {
        stream.write_all(NO_TLS).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(LINGER_BYTES_MAX);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whether it listens is its own business.
    timeout(LINGER, answered).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(NO_TLS).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = format!("content-length: {}", body.len());
        assert!(head.ends_with(&length), "{length}");
    }
}
