use super::*;
use longpole_storage::StorageError;

fn for_good() -> Vec<(Refusal, Code, u16)> {
    let text = || "x".to_owned();
    vec![
        (Refusal::Undecodable(text()), Code::InvalidArgument, 400),
        (
            Refusal::TooLarge { limit_bytes: 9 },
            Code::ResourceExhausted,
            413,
        ),
        (Refusal::ContentType(text()), Code::InvalidArgument, 415),
        (Refusal::ContentEncoding(text()), Code::Unimplemented, 415),
        (Refusal::NotTraces("metrics"), Code::Unimplemented, 404),
        (
            Refusal::Path {
                path: text(),
                expected: "y",
            },
            Code::Unimplemented,
            404,
        ),
        (Refusal::Method(text()), Code::Unimplemented, 405),
        (
            Refusal::NotGrpc {
                http_endpoint: text(),
            },
            Code::InvalidArgument,
            415,
        ),
        (
            Refusal::NotHttp {
                grpc_endpoint: text(),
            },
            Code::Unimplemented,
            415,
        ),
    ]
}

fn only_now() -> Vec<Refusal> {
    vec![
        Refusal::Busy { limit_bytes: 9 },
        Refusal::SlowBody {
            waited: Duration::from_secs(30),
        },
        Refusal::Slow {
            waited: Duration::from_secs(30),
        },
        Refusal::from(StorageError::Busy {
            waiting_bytes: 9,
            limit_bytes: 8,
        }),
        Refusal::from(StorageError::Full {
            path: "data".into(),
            free_bytes: 8,
            least_bytes: 9,
        }),
        Refusal::from(StorageError::Closed),
        Refusal::from(StorageError::Damaged {
            what: "block".to_owned(),
        }),
    ]
}

#[test]
fn only_what_may_go_well_the_next_time_is_retried() {
    let only_now = only_now()
        .into_iter()
        .map(|refusal| (refusal, Code::Unavailable, 503, true));
    let for_good = for_good()
        .into_iter()
        .map(|(refusal, code, http)| (refusal, code, http, false));
    let too_much = (
        Refusal::TooMuchAtOnce { limit_bytes: 9 },
        Code::ResourceExhausted,
        429,
        true,
    );
    for (refusal, code, http, is_retryable) in for_good.chain(only_now).chain([too_much]) {
        let reply = reply(&refusal);
        assert_eq!(
            (reply.code, reply.http.as_u16()),
            (code, http),
            "{refusal:?}"
        );
        assert_eq!(reply.retry_after.is_some(), is_retryable, "{refusal:?}");
        let status = grpc_status(&refusal);
        assert_eq!(status.code(), code);
        assert_eq!(
            RetryInfo::delay_in(status.details()),
            reply.retry_after,
            "{refusal:?}"
        );
        let body = RpcStatus::decode(protobuf_body(&refusal).as_slice()).expect("a status");
        assert_eq!(
            (body.code, body.message),
            (code as i32, refusal.to_string())
        );
    }
}

#[test]
fn details_are_the_same_in_json_and_protobuf() {
    let retry = json_body(&Refusal::Closing);
    let retry: serde_json::Value = serde_json::from_slice(&retry).expect("JSON");
    let info = serde_json::json!([{ "@type": RetryInfo::TYPE_URL, "retryDelay": "1s" }]);
    assert_eq!(retry["details"], info);

    let bad = Refusal::Undecodable("why".to_owned());
    let json: serde_json::Value = serde_json::from_slice(&json_body(&bad)).expect("JSON");
    let violations = serde_json::json!([{ "description": "why" }]);
    assert_eq!(json["details"][0]["@type"], BadRequest::TYPE_URL);
    assert_eq!(json["details"][0]["fieldViolations"], violations);
    let [any] = &RpcStatus::of(&bad).details[..] else {
        panic!("one detail");
    };
    assert_eq!(any.type_url, BadRequest::TYPE_URL);
    let detail = BadRequest::decode(&any.value[..]).expect("a BadRequest");
    assert_eq!(detail.field_violations[0].description, "why");

    let large: serde_json::Value =
        serde_json::from_slice(&json_body(&Refusal::TooLarge { limit_bytes: 9 })).expect("JSON");
    assert_eq!(large["details"], serde_json::Value::Null);
}

#[test]
fn a_json_status_escapes_its_message() {
    let body = json_body(&Refusal::ContentType("a\"b".to_owned()));
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["code"], 3);
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("\"a\\\"b\"")),
        "{body}"
    );
}
