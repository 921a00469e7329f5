//! Which colour a service has on a page; its name is always written beside it.

use std::collections::HashMap;

/// How many colours there are; the style sheet's `.s0` to `.s9`. The last is grey, and for all services
/// that have none of their own.
pub(crate) const COLOURS: usize = 10;

/// The colours of a page's services.
#[derive(Debug, Default)]
pub(crate) struct Palette<'a> {
    by_service: HashMap<&'a str, usize>,
}

impl<'a> Palette<'a> {
    /// Gives services their colours in order, the most important first; what has the same colour is the
    /// same service, but for the many that share the last.
    pub(crate) fn of(services: impl IntoIterator<Item = &'a str>) -> Self {
        let mut palette = Self::default();
        for service in services {
            let next = palette.by_service.len().min(COLOURS - 1);
            palette.by_service.entry(service).or_insert(next);
        }
        palette
    }

    /// A service's class in the style sheet.
    pub(crate) fn class(&self, service: &str) -> String {
        Self::class_of(self.colour(service))
    }

    /// A service's colour.
    pub(crate) fn colour(&self, service: &str) -> usize {
        self.by_service.get(service).copied().unwrap_or(COLOURS - 1)
    }

    /// A colour's class in the style sheet.
    pub(crate) fn class_of(colour: usize) -> String {
        format!("s{colour}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_colours_of_their_own_until_there_are_no_more() {
        let names: Vec<String> = (0..12).map(|n| format!("service {n}")).collect();
        let palette = Palette::of(names.iter().map(String::as_str).chain(["service 3"]));
        let classes: Vec<String> = names.iter().map(|name| palette.class(name)).collect();
        assert_eq!(
            classes,
            [
                "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s9", "s9"
            ]
        );
    }
}
