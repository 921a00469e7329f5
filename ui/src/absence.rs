//! Why a trace may not be there, as far as is known.

use longpole_storage::{Concern, Health};

use crate::format::{bytes, period, utc};
use crate::{ReceiverStatus, concern};

/// The reasons there are, likeliest first. Nobody knows when a trace would have come, so that none of
/// them is certain.
pub(crate) fn reasons(health: Option<&Health>, receivers: &ReceiverStatus) -> Vec<String> {
    let mut reasons = vec![
        "It may still be on the way: applications send spans in batches, seconds after they end. \
         Reload in a moment."
            .to_owned(),
    ];
    if let Some(health) = health {
        reasons.push(expired(health));
        reasons.extend(refused(health, receivers));
        let is_damage =
            |of: &Concern| matches!(of, Concern::SetAside { .. } | Concern::Damaged { .. });
        if health.concerns.iter().any(is_damage) {
            reasons.push(
                "It may have been in what was damaged: the status page lists that.".to_owned(),
            );
        }
    }
    reasons.push(
        "Or it was never sent here: it was not sampled, or its exporter sends elsewhere."
            .to_owned(),
    );
    reasons
}

fn expired(health: &Health) -> String {
    let kept = format!(
        "spans are kept for {} after they arrive, while all of them take less than {}",
        period(health.retention),
        bytes(health.max_disk_bytes)
    );
    match health.oldest_received {
        Some(oldest) => format!(
            "It may have expired: {kept}; the oldest that is stored arrived at {} UTC.",
            utc(oldest)
        ),
        None => format!("It may have expired: {kept}; nothing is stored now."),
    }
}

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
