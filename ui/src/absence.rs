//! Why a trace may not be there, and why not, as far as is known.
//!
//! Nobody keeps a list of what was removed or refused, and an ID does not say when its trace would have
//! come. But that nothing was removed, refused or damaged since the start is known, and then said.

use longpole_proto::UnixNanos;
use longpole_storage::{Concern, Health, RemovalReason};

use crate::format::{bytes, period, utc};
use crate::{ReceiverStatus, concern};

/// That a trace was deleted.
pub(crate) fn deleted(at: UnixNanos) -> Vec<String> {
    let at = utc(at);
    vec![format!(
        "It was deleted at {at} UTC, and no span of it came since then."
    )]
}

/// The reasons there are, likeliest first, and what is ruled out.
pub(crate) fn reasons(health: Option<&Health>, receivers: &ReceiverStatus) -> Vec<String> {
    let mut reasons = vec![
        "It may still be on the way: applications send spans in batches, seconds after they end. \
         Reload in a moment."
            .to_owned(),
    ];
    let never = "it was never sent here: it was not sampled, or its exporter sends elsewhere";
    let Some(health) = health else {
        reasons.push(format!("Or {never}."));
        return reasons;
    };
    let refused = refused(health, receivers);
    let damaged = health.concerns.iter().any(is_damage);
    let is_all_there = health.last_removal.is_none() && refused.is_none() && !damaged;
    reasons.push(expired(health));
    reasons.extend(refused);
    if damaged {
        reasons
            .push("It may have been in what was damaged: the status page lists that.".to_owned());
    }
    reasons.push(if is_all_there {
        let opened = utc(health.opened);
        format!(
            "Since longpole was started at {opened} UTC nothing was removed, refused or damaged: if it \
             was to come after that and is not on the way, {never}."
        )
    } else {
        format!("Or {never}.")
    });
    reasons
}

fn is_damage(of: &Concern) -> bool {
    matches!(of, Concern::SetAside { .. } | Concern::Damaged { .. })
}

fn expired(health: &Health) -> String {
    let kept = format!(
        "spans are kept for {} after they arrive, while all of them take less than {}",
        period(health.retention),
        bytes(health.max_disk_bytes)
    );
    if let Some(removal) = &health.last_removal {
        let why = match removal.reason {
            RemovalReason::Age => "for its age",
            RemovalReason::Size => "for its size",
        };
        return format!(
            "It has expired if it arrived before {} UTC: what is as old was removed, the last of it at {} \
             UTC {why}; {kept}.",
            utc(removal.newest_received),
            utc(removal.removed)
        );
    }
    match health.oldest_received {
        Some(oldest) => format!(
            "It may have expired before longpole was started at {} UTC, not since: {kept}; the oldest that \
             is stored arrived at {} UTC.",
            utc(health.opened),
            utc(oldest)
        ),
        None => format!(
            "It may have expired before longpole was started at {} UTC, not since: {kept}; nothing is \
             stored now.",
            utc(health.opened)
        ),
    }
}

/// How it may have been refused; `None` when nothing was.
fn refused(health: &Health, receivers: &ReceiverStatus) -> Option<String> {
    let now = health.concerns.iter().find(|of| of.refuses_spans());
    if let Some(concern) = now {
        let headline = concern::headline(concern);
        return Some(format!("It may have been refused. {headline}"));
    }
    let (at, why) = receivers.last_refusal.as_ref()?;
    Some(format!(
        "It may have been refused: something last was at {} UTC ({why}).",
        utc(*at)
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longpole_proto::testing::START;
    use longpole_storage::Removal;

    use super::*;

    fn health() -> Health {
        Health {
            opened: START,
            retention: Duration::from_hours(7 * 24),
            max_disk_bytes: 10 << 30,
            oldest_received: Some(START),
            ..Health::default()
        }
    }

    fn removal(reason: RemovalReason) -> Removal {
        Removal {
            id: "2026-11-14T22-0000".to_owned(),
            reason,
            removed: START.plus_nanos(60_000_000_000),
            newest_received: START,
            n_spans: 1,
            bytes: 1,
        }
    }

    fn said(health: &Health, receivers: &ReceiverStatus) -> String {
        reasons(Some(health), receivers).join("\n")
    }

    #[test]
    fn what_cannot_have_happened_since_the_start_is_ruled_out() {
        let said = said(&health(), &ReceiverStatus::default());
        for part in [
            "before longpole was started at 22 Nov 2026 01:47:54.755 UTC, not since",
            "nothing was removed, refused or damaged: if it was to come after that and is not on the \
             way, it was never sent here",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert!(!said.contains("may have been refused"), "{said}");
    }

    #[test]
    fn what_was_removed_is_said_with_its_time_and_why() {
        for (reason, why) in [
            (RemovalReason::Age, "for its age"),
            (RemovalReason::Size, "for its size"),
        ] {
            let health = Health {
                last_removal: Some(removal(reason)),
                ..health()
            };
            let said = said(&health, &ReceiverStatus::default());
            let expired = format!(
                "It has expired if it arrived before 22 Nov 2026 01:47:54.755 UTC: what is as old was \
                 removed, the last of it at 22 Nov 2026 01:48:54.755 UTC {why}"
            );
            assert!(said.contains(&expired), "{said}");
            assert!(!said.contains("nothing was removed"), "{said}");
        }
    }

    #[test]
    fn whatever_was_refused_or_damaged_rules_nothing_out() {
        let refusing = ReceiverStatus {
            last_refusal: Some((START, "too large".to_owned())),
            ..ReceiverStatus::default()
        };
        let damaged = Health {
            concerns: vec![Concern::Damaged { n_pieces: 1 }],
            ..health()
        };
        let full = Health {
            concerns: vec![Concern::DiskFull {
                free_bytes: 0,
                least_bytes: 1,
            }],
            ..health()
        };
        let none = ReceiverStatus::default();
        for (health, receivers, part) in [
            (&health(), &refusing, "(too large)"),
            (&damaged, &none, "in what was damaged"),
            (&full, &none, "It may have been refused. The disk"),
        ] {
            let said = said(health, receivers);
            assert!(said.contains(part), "{part} is not in: {said}");
            assert!(!said.contains("Since longpole was started"), "{said}");
        }
    }

    #[test]
    fn a_store_that_does_not_answer_is_blamed_for_nothing() {
        let reasons = reasons(None, &ReceiverStatus::default());
        assert_eq!(reasons.len(), 2);
        assert!(reasons[1].starts_with("Or it was never sent here"));
    }
}
