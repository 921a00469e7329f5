//! Reads single values; an error says what is expected.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderValue;
use longpole_ui::{LinkTemplate, LinkTemplateError, Urls};
use tonic::transport::Uri;

/// Less than this holds no useful request; more than this is no request but a file.
const REQUEST_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 30;
/// Less disk holds no useful time, and less memory no useful load.
const MAX_DISK_BYTES: RangeInclusive<u64> = 256 << 20..=1 << 50;
const MEMORY_LIMIT_BYTES: RangeInclusive<u64> = 128 << 20..=1 << 40;
const RETENTION: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(876_600);
const RATE: RangeInclusive<f64> = 0.1..=500.0;

/// More spans than a store should hold, and more requests under way than a server should take.
const SPANS: RangeInclusive<u64> = 1..=10_000_000_000;
const CONCURRENCY: RangeInclusive<usize> = 1..=1_024;

/// A number of spans; `20M` and `500k` will do.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    number
        .filter(|number| SPANS.contains(number))
        .ok_or_else(|| "expected a number from 1 to 10000M, such as 500k".to_owned())
}

pub(super) fn concurrency(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| CONCURRENCY.contains(number))
        .ok_or_else(|| "expected a number from 1 to 1024".to_owned())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let by_name = text
        .strip_prefix("localhost:")
        .and_then(|port| port.parse().ok())
        .map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    by_name
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "expected an IP address and a port, such as 127.0.0.1:4317".to_owned())
}

pub(super) fn base_path(text: &str) -> Result<String, String> {
    match Urls::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Links that were given together.
#[derive(Debug, Clone)]
pub(super) struct Links(pub(super) Vec<LinkTemplate>);

/// A link a line; empty lines do not count.
pub(super) fn links(text: &str) -> Result<Links, String> {
    let given = text.lines().filter(|line| !line.trim().is_empty());
    let read: Result<_, LinkTemplateError> = given.map(str::parse).collect();
    read.map(Links).map_err(|error| error.to_string())
}

pub(super) fn request_bytes(text: &str) -> Result<usize, String> {
    size(text, REQUEST_BYTES)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "expected a size from 1KiB to 1GiB, such as 64MiB".to_owned())
}

/// An origin as browsers send it: no path, not even a slash.
pub(super) fn cors_origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        let parts = (uri.scheme_str(), uri.authority());
        matches!(parts, (Some(scheme), Some(authority))
            if text == format!("{scheme}://{authority}") && !authority.as_str().contains('@'))
    });
    HeaderValue::from_str(&text.to_ascii_lowercase())
        .ok()
        .filter(|_| text == "*" || is_origin)
        .ok_or_else(|| "expected an origin such as https://shop.example, or *".to_owned())
}

pub(super) fn max_disk(text: &str) -> Result<u64, String> {
    size(text, MAX_DISK_BYTES)
        .ok_or_else(|| "expected a size from 256MiB to 1PiB, such as 10GiB".to_owned())
}

pub(super) fn memory_limit(text: &str) -> Result<u64, String> {
    size(text, MEMORY_LIMIT_BYTES)
        .ok_or_else(|| "expected a size from 128MiB to 1TiB, such as 512MiB".to_owned())
}

fn size(text: &str, range: RangeInclusive<u64>) -> Option<u64> {
    let size: ByteSize = text.parse().ok()?;
    Some(size.as_u64()).filter(|bytes| range.contains(bytes))
}

pub(super) fn retention(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| RETENTION.contains(duration))
        .ok_or_else(|| "expected a duration from 1m to 100years, such as 7d".to_owned())
}

pub(super) fn endpoint(text: &str) -> Result<Uri, String> {
    let uri = text
        .parse::<Uri>()
        .ok()
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    uri.ok_or_else(|| "expected a URL such as http://127.0.0.1:4317".to_owned())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| RATE.contains(rate))
        .ok_or_else(|| "expected a number from 0.1 to 500".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 90s or 10m".to_owned())
}
