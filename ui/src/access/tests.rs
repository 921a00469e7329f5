mod keep;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use tower::ServiceExt as _;

use super::*;
use crate::testing::{FakeStore, Reply, checkout, reply, site_with};

const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";
const TOKEN: &str = "the right token";
pub(crate) const BEARER: (&str, &str) = ("authorization", "Bearer right");
const COOKIE: (&str, &str) = ("cookie", "session=1");

/// Lets in a header and a cookie.
pub(crate) struct Door;

impl Access for Door {
    fn admit(&self, request: &Parts) -> Result<Credential, Denied> {
        let has = |(name, value)| request.headers.get(name).is_some_and(|of| of == value);
        if has(BEARER) {
            Ok(Credential::Bearer)
        } else if request.headers.contains_key(BEARER.0) {
            Err(Denied::Wrong)
        } else if has(COOKIE) {
            Ok(Credential::Session)
        } else {
            Err(Denied::Missing)
        }
    }

    fn log_in(&self, _: &Parts, token: &str) -> Result<HeaderValue, LoginError> {
        match token {
            TOKEN => Ok(HeaderValue::from_static("session=1")),
            "again" => Err(LoginError::TooOften {
                wait: Duration::from_mins(2),
            }),
            _ => Err(LoginError::Wrong),
        }
    }

    fn log_out(&self, _: &Parts) -> HeaderValue {
        HeaderValue::from_static("session=; Max-Age=0")
    }
}

fn guarded(base: &str) -> Router {
    let store = Arc::new(FakeStore::with([checkout()]));
    site_with(base, store, Arc::new(Door))
}

async fn send(
    site: &Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Reply {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    reply(site.clone().oneshot(request).await.expect("infallible")).await
}

#[tokio::test]
async fn nothing_is_told_to_who_is_not_let_in() {
    let site = guarded("");
    let paths = [
        "/".to_owned(),
        "/nowhere".to_owned(),
        "/trace?id=x".to_owned(),
        format!("/trace/{ID}?span=0000000000000001"),
        format!("/trace/{ID}/span/0000000000000001"),
        "/status".to_owned(),
        "/api/v1/search".to_owned(),
        format!("/api/v1/traces/{ID}"),
        format!("/api/v1/traces/{ID}/analysis"),
        format!("/api/v1/traces/{ID}/columns"),
        "/api/v1/services".to_owned(),
        "/api/v1/nowhere".to_owned(),
        "/api/openapi.json".to_owned(),
        "/api/services".to_owned(),
        format!("/api/traces/{ID}"),
        format!("/api/v3/traces/{ID}"),
    ];
    for path in &paths {
        let is_api = path.starts_with("/api/");
        let missing = send(&site, "GET", path, &[], "").await;
        let wrong = send(&site, "GET", path, &[(BEARER.0, "Bearer wrong")], "").await;
        let script = send(&site, "GET", path, &[("sec-fetch-mode", "cors")], "").await;
        if is_api {
            assert_eq!(missing.status, StatusCode::UNAUTHORIZED, "{path}");
        } else {
            assert_eq!(missing.status, StatusCode::SEE_OTHER, "{path}");
            let target = missing.header("location");
            assert!(target.starts_with("/login"), "{path}: {target}");
        }
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            wrong.header("www-authenticate"),
            "Bearer error=\"invalid_token\"",
            "{path}"
        );
        assert_eq!(script.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(script.header("www-authenticate"), "Bearer", "{path}");
        for reply in [&missing, &wrong, &script] {
            let text = reply.text();
            assert!(
                !text.contains("checkout") && !text.contains("gateway"),
                "{text}"
            );
            assert_eq!(reply.header("x-frame-options"), "DENY", "{path}");
            assert!(reply.header("cache-control").starts_with("no-"), "{path}");
        }
        for credential in [BEARER, COOKIE] {
            let admitted = send(&site, "GET", path, &[credential], "").await;
            assert_ne!(admitted.status, StatusCode::UNAUTHORIZED, "{path}");
            let login = admitted.header("location").starts_with("/login");
            assert!(!login, "{path}");
            assert_eq!(admitted.header("cache-control"), "no-store", "{path}");
        }
    }
    let json = send(&site, "GET", "/api/v1/search", &[], "").await.json();
    assert_eq!(json["error"]["code"], "unauthenticated");
    let page = send(&site, "GET", "/login", &[], "").await;
    for url in page.attributes("link, script", "href") {
        let file = send(&site, "GET", &url, &[], "").await;
        assert_eq!(file.status, StatusCode::OK, "{url}");
    }
}

#[tokio::test]
async fn a_login_leads_back_to_the_page_that_was_asked_for_and_nowhere_else() {
    for base in ["", "/tools/longpole"] {
        let site = guarded(base);
        let home = format!("{base}/");
        let asked = format!("{base}/trace/{ID}?c=1&q=a%20b");
        let denied = send(&site, "GET", &asked, &[], "").await;
        let login = denied.header("location").to_owned();
        let form = send(&site, "GET", &login, &[], "").await;
        assert_eq!(form.status, StatusCode::OK);
        assert_eq!(form.attributes("input[name=next]", "value"), [&*asked]);
        let evil = [
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/\t/evil.example",
            "/x//evil.example",
            "/../evil",
            "/%2e%2e/evil",
            "/./x",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x=y",
            "/login",
            "/logout",
            "/api/v1/search",
            "evil",
            "",
            "@evil.example",
        ];
        let evil = evil.map(|path| match path.strip_prefix('/') {
            Some(rest) if !path.starts_with("//") => format!("{base}/{rest}"),
            _ => path.to_owned(),
        });
        let beside = ["/toolsx/".to_owned(), "/tools/longpolex/".to_owned()];
        let beside = beside.into_iter().filter(|_| !base.is_empty());
        let cases = evil.into_iter().chain(beside).map(|next| (next, &home));
        for (next, leads_to) in cases.chain([(asked.clone(), &asked)]) {
            let body = [("token", TOKEN), ("next", &next)]
                .map(|(name, value)| {
                    let all = percent_encoding::NON_ALPHANUMERIC;
                    let value = percent_encoding::utf8_percent_encode(value, all);
                    format!("{name}={value}")
                })
                .join("&");
            let headers = [
                ("content-type", "application/x-www-form-urlencoded"),
                ("sec-fetch-site", "same-origin"),
            ];
            let reply = send(&site, "POST", &format!("{base}/login"), &headers, body).await;
            assert_eq!(reply.status, StatusCode::SEE_OTHER, "{next:?}");
            assert_eq!(reply.header("location"), leads_to, "{next:?}");
            assert_eq!(reply.header("set-cookie"), "session=1");
        }
        let again = send(&site, "GET", &login, &[COOKIE], "").await;
        assert_eq!(again.header("location"), asked);
    }
}

#[tokio::test]
async fn a_login_that_fails_says_why() {
    let site = guarded("");
    let long = format!("token={}", "x".repeat(20 << 10));
    let form = "application/x-www-form-urlencoded";
    let cases = [
        (
            "token=wrong&next=%2Fstatus",
            form,
            401,
            "That is none of this",
        ),
        ("token=again", form, 429, "try again in 120 seconds"),
        ("", form, 401, "That is none of this"),
        (&*long, form, 400, "cannot be read"),
        ("token=the+right+token", "text/plain", 400, "cannot be read"),
    ];
    for (body, kind, status, says) in cases {
        let headers = [("content-type", kind), ("sec-fetch-site", "same-origin")];
        let reply = send(&site, "POST", "/login", &headers, body.to_owned()).await;
        assert_eq!(reply.status, status, "{says}");
        assert!(reply.text().contains(says), "{}", reply.text());
        assert_eq!(reply.header("set-cookie"), "");
        let retry_after = if status == 429 { "120" } else { "" };
        assert_eq!(reply.header("retry-after"), retry_after);
    }
}

#[tokio::test]
async fn another_sites_page_can_change_nothing() {
    let site = guarded("");
    let host = ("host", "longpole.example:16686");
    let evil = ("origin", "https://evil.example");
    let same = |site| ("sec-fetch-site", site);
    let cases: [(&[(&str, &str)], bool); 10] = [
        (&[host, COOKIE, same("same-origin")], true),
        (
            &[host, COOKIE, ("origin", "http://longpole.example:16686")],
            true,
        ),
        (&[host, BEARER], true),
        (&[host, BEARER, evil, same("cross-site")], true),
        (&[host, COOKIE], false),
        (&[host, COOKIE, same("cross-site")], false),
        (&[host, COOKIE, same("same-site")], false),
        (&[host, COOKIE, evil], false),
        (&[host, COOKIE, ("origin", "null")], false),
        (
            &[host, COOKIE, ("origin", "http://longpole.example:80")],
            false,
        ),
    ];
    for (headers, may) in cases {
        let reply = send(&site, "POST", "/logout", headers, "").await;
        let expected = if may { 303 } else { 403 };
        assert_eq!(reply.status, expected, "{headers:?}");
        assert_eq!(reply.header("set-cookie").is_empty(), !may, "{headers:?}");
    }
}

#[tokio::test]
async fn without_tokens_there_is_nothing_to_log_in_to() {
    let site = crate::testing::site([checkout()]);
    let login = send(&site, "GET", "/login", &[], "").await;
    assert_eq!(login.status, StatusCode::NOT_FOUND);
    let page = send(&site, "GET", "/", &[], "").await;
    assert!(!page.text().contains("Log out"));
    let page = send(&guarded(""), "GET", "/", &[COOKIE], "").await;
    assert_eq!(page.attributes("form[method=post]", "action"), ["/logout"]);
}
