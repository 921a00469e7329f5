//! The embedded style sheet, script and icon, each under a URL that changes with its content.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// An embedded file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its name in URLs.
    pub(crate) name: &'static str,
    /// Its content's hash.
    pub(crate) hash: u64,
    content_type: &'static str,
    content: Bytes,
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self {
            name,
            hash: fnv1a(&content),
            content_type,
            content,
        }
    }
}

/// The style sheet of all pages.
pub(crate) static CSS: LazyLock<Asset> =
    LazyLock::new(|| sheet("longpole.css", include_str!("../assets/longpole.css")));
/// What the search page needs besides.
pub(crate) static SEARCH_CSS: LazyLock<Asset> =
    LazyLock::new(|| sheet("search.css", include_str!("../assets/search.css")));
/// The scripts of all pages, as one.
pub(crate) static JS: LazyLock<Asset> = LazyLock::new(|| {
    let scripts = concat!(
        include_str!("../assets/list.js"),
        include_str!("../assets/longpole.js")
    );
    script("longpole.js", scripts)
});
/// Those of the search page, as one.
pub(crate) static SEARCH_JS: LazyLock<Asset> = LazyLock::new(|| {
    let scripts = concat!(
        include_str!("../assets/form.js"),
        include_str!("../assets/heat_map.js"),
        include_str!("../assets/shared.js"),
        include_str!("../assets/suggest.js")
    );
    script("search.js", scripts)
});
pub(crate) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "icon.svg",
        "image/svg+xml",
        &include_bytes!("../assets/icon.svg")[..],
    )
});

/// A style sheet, without comments and needless white space.
fn sheet(name: &'static str, sheet: &str) -> Asset {
    let small = minifier::css::minify(sheet).expect("these sheets can be read, as tests show");
    Asset::new(name, "text/css; charset=utf-8", small.to_string())
}

/// A script, likewise.
fn script(name: &'static str, script: &str) -> Asset {
    let small = minifier::js::minify(script).expect("these scripts can be read, as tests show");
    Asset::new(name, "text/javascript; charset=utf-8", small.to_string())
}

/// Finds an embedded file by name.
pub(crate) fn find(name: &str) -> Option<&'static Asset> {
    [&*CSS, &*SEARCH_CSS, &*JS, &*SEARCH_JS, &*ICON]
        .into_iter()
        .find(|asset| asset.name == name)
}

/// Answers with an embedded file. Under the URL of its content it never changes; under an older
/// URL, from a page of another version, it must be asked for again.
pub(crate) fn serve(asset: &'static Asset, version: &str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", asset.hash);
    let caching = if version == format!("{:016x}", asset.hash) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if is_known(headers, &tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(asset.content.clone()))
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(&tag).expect("hex digits in quotes are ASCII"),
    );
    response
}

/// Whether who asks has the version that an entity tag names.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// FNV-1a with 64 bits: tells versions of a file apart, guards nothing.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_keep_within_their_budgets() {
        for (asset, most) in [
            (&*CSS, 14 << 10),
            (&*SEARCH_CSS, 4 << 10),
            (&*JS, 14 << 10),
            (&*SEARCH_JS, 8 << 10),
        ] {
            let length = asset.content.len();
            assert!(length <= most, "{} has {length} bytes", asset.name);
        }
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
