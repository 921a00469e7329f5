use std::time::Duration;

use longpole_analysis::Analysis;
use longpole_storage::Scanned;

use super::*;
use crate::testing::checkout;

fn found(n_requests: usize, matched: Matched, complete: bool, unseen: Unseen) -> SearchResult {
    let trace = checkout();
    let summary = Analysis::of(&trace).summary(&trace);
    SearchResult {
        requests: vec![summary; n_requests],
        matched,
        complete,
        next: None,
        unseen,
        scanned: Scanned::default(),
    }
}

fn request(order: Order, after: Option<&str>) -> SearchRequest {
    SearchRequest {
        order,
        after: after.map(str::to_owned),
        ..SearchRequest::default()
    }
}

fn stopped(limit: SearchLimit, seen_beyond: Option<u64>) -> Unseen {
    Unseen {
        stopped: Some(Stopped { limit, seen_beyond }),
        ..Unseen::default()
    }
}

#[test]
fn the_heading_claims_no_more_than_is_known() {
    let cases = [
        (
            2,
            Matched::Exactly(5_213),
            true,
            None,
            "2 of 5,213 requests",
        ),
        (
            2,
            Matched::AtLeast(5_213),
            true,
            None,
            "2 of at least 5,213 requests",
        ),
        (2, Matched::Exactly(2), true, None, "2 requests"),
        (1, Matched::AtLeast(1), false, None, "1 request"),
        (0, Matched::Exactly(0), true, None, "No request matches"),
        (0, Matched::Exactly(9), true, Some("x"), "No more requests"),
        (
            0,
            Matched::AtLeast(0),
            false,
            None,
            "No request was found in what was looked at",
        ),
    ];
    for (n, matched, complete, after, expected) in cases {
        let result = found(n, matched, complete, Unseen::default());
        assert_eq!(heading(&request(Order::Slowest, after), &result), expected);
    }
}

#[test]
fn where_a_search_stopped_is_said_and_what_it_saw_is_not_overstated() {
    let time = SearchLimit::Time(Duration::from_secs(10));
    let bytes = SearchLimit::Bytes(2 << 30);
    let cases = [
        (
            (Order::Slowest, None, stopped(time, Some(1_234_567_890))),
            "stopped after 10.00 s; everything that took more than 1.24 s was looked at",
        ),
        (
            (
                Order::Newest,
                None,
                stopped(bytes, Some(1_795_312_074_755_000_001)),
            ),
            "stopped after 2.0 GiB of spans; everything that began after \
             22 Nov 2026 01:47:54.756 UTC was looked at",
        ),
        (
            (Order::Spans, Some("x"), stopped(time, Some(1))),
            "stopped after 10.00 s; everything with more than 1 span was looked at, save what is on \
             earlier pages",
        ),
        (
            (Order::Errors, None, stopped(time, None)),
            "stopped after 10.00 s; what was looked at is in no order",
        ),
    ];
    for ((order, after, unseen_is), expected) in cases {
        let result = found(1, Matched::AtLeast(1), false, unseen_is);
        let said = unseen(&request(order, after), &result).join("; ");
        assert_eq!(said, expected);
    }
    let exact = found(1, Matched::AtLeast(7), true, stopped(time, Some(1)));
    assert_eq!(
        unseen(&request(Order::Slowest, None), &exact).join("; "),
        "stopped after 10.00 s; these are the first, only their number is not known"
    );
}

#[test]
fn what_could_not_be_read_is_said() {
    let damaged = Unseen {
        n_unreadable: 2,
        n_set_aside: 1,
        ..Unseen::default()
    };
    let result = found(1, Matched::AtLeast(1), false, damaged);
    assert_eq!(
        unseen(&SearchRequest::default(), &result),
        [
            "2 stored pieces could not be read",
            "1 damaged partition set aside, not looked at"
        ]
    );
    let whole = found(1, Matched::Exactly(1), true, Unseen::default());
    assert!(unseen(&SearchRequest::default(), &whole).is_empty());
}
