//! What needs attention, in sentences.

use longpole_storage::{Concern, Health};

use crate::format::{Count, bytes};

/// A concern in a line; [`detail`] says more.
pub(crate) fn headline(concern: &Concern) -> String {
    match concern {
        Concern::Failed { .. } => "The store failed: spans are refused.".to_owned(),
        Concern::DiskFull { .. } => "The disk is nearly full: spans are refused.".to_owned(),
        Concern::SetAside { n_pieces } => {
            let n = Count(*n_pieces);
            format!("{n} damaged piece{} {} set aside.", n.s(), was(n))
        }
        Concern::Damaged { n_pieces } => {
            let n = Count(*n_pieces);
            format!("{n} damaged part{} of the log {} skipped.", n.s(), was(n))
        }
    }
}

/// What a concern means, and what to do.
pub(crate) fn detail(concern: &Concern) -> String {
    match concern {
        Concern::Failed { cause } => format!(
            "{cause}. What was acknowledged is in the log; longpole opens the store anew from there as soon \
             as it can, on a full disk once there is room. Exporters are told to try later."
        ),
        Concern::DiskFull {
            free_bytes,
            least_bytes,
        } => format!(
            "{} are free, {} must be. Make room, and spans are taken again by themselves; exporters \
             are told to try later.",
            bytes(*free_bytes),
            bytes(*least_bytes)
        ),
        Concern::SetAside { .. } => {
            "What the log still had was stored anew; the rest cannot be found. The pieces lie in the \
             data directory, listed below, for whoever wants to look; remove them and this notice goes."
                .to_owned()
        }
        Concern::Damaged { .. } => {
            "Requests that had been acknowledged may be missing, at least one for each part. They \
             are listed below until the next start."
                .to_owned()
        }
    }
}

/// The headlines of all concerns, for a page that is about something else; `None` without any.
pub(crate) fn notice(health: &Health) -> Option<String> {
    let headlines: Vec<String> = health.concerns.iter().map(headline).collect();
    (!headlines.is_empty()).then(|| headlines.join(" "))
}

fn was(n: Count) -> &'static str {
    if n.0 == 1 { "was" } else { "were" }
}
