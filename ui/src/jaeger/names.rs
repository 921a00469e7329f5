//! Services and operations, of which an answer has so many at most.

use longpole_storage::Operation;

use crate::error::UiError;
use crate::site::Site;

/// How many names one answer has at most.
const NAMES_MAX: usize = 10_000;

/// Names in order, and what is said when there are more.
pub(super) struct Names {
    pub(super) names: Vec<String>,
    pub(super) missing: Option<String>,
}

impl Names {
    fn of(mut names: Vec<String>, what: &str) -> Self {
        let missing = (names.len() > NAMES_MAX)
            .then(|| format!("there are more {what} than the {NAMES_MAX} given"));
        names.truncate(NAMES_MAX);
        Self { names, missing }
    }
}

/// The services that have spans.
pub(super) async fn services(site: &Site) -> Result<Names, UiError> {
    let services = site
        .read(|site| Ok(site.state.store.services(NAMES_MAX + 1)?))
        .await?;
    Ok(Names::of(services, "services"))
}

/// The names of a service's spans.
pub(super) async fn operations(site: &Site, service: String) -> Result<Names, UiError> {
    let operations = site
        .read(move |site| {
            let store = &site.state.store;
            Ok(store.operations(Some(&service), NAMES_MAX + 1)?)
        })
        .await?;
    let names = operations.into_iter().map(|Operation { name, .. }| name);
    Ok(Names::of(names.collect(), "operations"))
}
