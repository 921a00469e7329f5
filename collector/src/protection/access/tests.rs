use http::Request;
use longpole_proto::UnixNanos;
use longpole_proto::testing::START;
use parking_lot::Mutex;

use super::*;
use crate::protection::tokens;

const SEND: &str = "send-send-send-send";
const LOOK: &str = "look-look-look-look";

struct Fixture {
    access: PageAccess,
    now: Arc<Mutex<UnixNanos>>,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new(base_path: &str, is_tls: bool) -> Self {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("tokens");
        std::fs::write(&path, format!("ingest:{SEND}\nui:{LOOK}\n")).expect("written");
        let read = {
            let path = path.clone();
            move || tokens::read(&path)
        };
        let tokens = Reloaded::load("tokens", vec![path], read).expect("tokens");
        let now = Arc::new(Mutex::new(START));
        let clock: Clock = {
            let now = Arc::clone(&now);
            Arc::new(move || *now.lock())
        };
        Self {
            access: PageAccess::new(Arc::new(tokens), base_path, is_tls, clock),
            now,
            dir,
        }
    }

    fn admit(&self, name: &str, value: &str) -> Result<Credential, Denied> {
        self.access.admit(&parts(&[(name, value)]))
    }

    /// Logs in; gives the cookie as a browser sends it back, and what it was told of it.
    fn log_in(&self, token: &str) -> Result<(String, String), LoginError> {
        let mut request = parts(&[]);
        let address = "192.0.2.7".parse().expect("an address");
        request.extensions.insert(Peer(address));
        let cookie = self.access.log_in(&request, token)?;
        let text = cookie.to_str().expect("ASCII");
        let (pair, attributes) = text.split_once("; ").expect("attributes");
        Ok((pair.to_owned(), attributes.to_owned()))
    }
}

fn parts(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[test]
fn a_header_lets_in_with_a_token_for_the_pages_only() {
    let fixture = Fixture::new("/", false);
    for (value, admitted) in [
        (format!("Bearer {LOOK}"), Ok(Credential::Bearer)),
        (format!("bearer  {LOOK} "), Ok(Credential::Bearer)),
        (format!("Bearer {SEND}"), Err(Denied::Wrong)),
        (format!("Bearer {LOOK}k"), Err(Denied::Wrong)),
        (format!("Basic {LOOK}"), Err(Denied::Wrong)),
        (LOOK.to_owned(), Err(Denied::Wrong)),
        ("Bearer".to_owned(), Err(Denied::Wrong)),
        ("Bearer ".to_owned(), Err(Denied::Wrong)),
    ] {
        assert_eq!(fixture.admit("authorization", &value), admitted, "{value}");
    }
    assert_eq!(fixture.admit("x", "y"), Err(Denied::Missing));
    let right = format!("Bearer {LOOK}");
    let twice = parts(&[("authorization", &right), ("authorization", &right)]);
    assert_eq!(fixture.access.admit(&twice), Err(Denied::Wrong));
}

#[test]
fn a_session_lasts_until_it_ends_is_ended_or_loses_its_token() {
    let fixture = Fixture::new("/", false);
    let admit = |cookie: &str| fixture.admit("cookie", cookie);
    let (cookie, attributes) = fixture.log_in(LOOK).expect("a session");
    assert_eq!(
        attributes,
        "Max-Age=43200; Path=/; HttpOnly; SameSite=Strict"
    );
    assert!(!cookie.contains(LOOK), "{cookie}");
    assert_eq!(admit(&cookie), Ok(Credential::Session));
    assert_eq!(
        admit(&format!("a=b; longpole_session=x;{cookie}; c")),
        Ok(Credential::Session)
    );
    for other in [
        "",
        "longpole_session",
        "longpole_session=",
        &format!("x{cookie}"),
        &format!("{cookie}0"),
        &format!("longpole_session={LOOK}"),
    ] {
        assert_eq!(admit(other), Err(Denied::Missing), "{other}");
    }

    let (second, _) = fixture.log_in(LOOK).expect("a session");
    let forgotten = fixture.access.log_out(&parts(&[("cookie", &second)]));
    assert_eq!(
        forgotten,
        "longpole_session=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
    );
    assert_eq!(admit(&second), Err(Denied::Missing));
    assert_eq!(admit(&cookie), Ok(Credential::Session));

    let path = fixture.dir.path().join("tokens");
    std::fs::write(&path, "ui:another-token-altogether").expect("written");
    fixture.access.tokens.check();
    assert_eq!(admit(&cookie), Err(Denied::Missing));
    std::fs::write(&path, format!("{LOOK}\n")).expect("written");
    fixture.access.tokens.check();
    assert_eq!(admit(&cookie), Ok(Credential::Session));

    *fixture.now.lock() = START.plus_nanos(12 * 3_600 * 1_000_000_000);
    assert_eq!(admit(&cookie), Err(Denied::Missing));
}

#[test]
fn the_cookie_is_for_the_base_path_and_for_tls_where_there_is_tls() {
    let (_, attributes) = Fixture::new("/tools/longpole/", true)
        .log_in(LOOK)
        .expect("a session");
    assert_eq!(
        attributes,
        "Max-Age=43200; Path=/tools/longpole; HttpOnly; SameSite=Strict; Secure"
    );
}

#[test]
fn after_some_wrong_tokens_not_even_the_right_one_is_taken_for_a_while() {
    let fixture = Fixture::new("/", false);
    for _ in 0..10 {
        assert_eq!(fixture.log_in(SEND), Err(LoginError::Wrong));
    }
    let refused = fixture.log_in(LOOK);
    assert!(
        matches!(refused, Err(LoginError::TooOften { .. })),
        "{refused:?}"
    );
    // Who has a session or a header is not concerned.
    let header = format!("Bearer {LOOK}");
    assert_eq!(
        fixture.admit("authorization", &header),
        Ok(Credential::Bearer)
    );
    *fixture.now.lock() = START.plus_nanos(5 * 60 * 1_000_000_000);
    fixture.log_in(LOOK).expect("a session");
}
