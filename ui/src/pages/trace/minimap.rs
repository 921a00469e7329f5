//! The map above the rows: where in the request what happens, and links that zoom there.

use longpole_analysis::format::duration;

use super::scene::Scene;
use crate::format::Count;
use crate::palette::{COLOURS, Palette};
use crate::timeline::minimap::{self, Minimap};
use crate::timeline::{Window, Zoom};

/// How many links there are beside one another.
const LINKS: u64 = 10;

/// How many lanes the map has room for at least, so that those of small traces are not too thick.
const LANES_MIN: usize = 8;

/// The map as its template shows it.
pub(super) struct MapView {
    pub(super) label: String,
    pub(super) height: usize,
    /// Class and path.
    pub(super) colours: Vec<(String, String)>,
    pub(super) errors: String,
    /// From where to where the critical path goes.
    pub(super) path: (String, String),
    /// From where to where the slowest hop's entry lies.
    pub(super) hot: (String, String),
    /// From where to where the rows' time goes, when that is not all.
    pub(super) window: Option<(String, String)>,
    pub(super) links: Vec<ZoomLink>,
    /// How many microseconds it is wide.
    pub(super) micros: u64,
}

/// Zooms to a tenth.
pub(super) struct ZoomLink {
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) label: String,
    pub(super) href: String,
}

impl MapView {
    pub(super) fn of(scene: &Scene<'_>, palette: &Palette<'_>) -> Self {
        let (trace, analysis) = (scene.trace(), scene.loaded.analysis());
        let colours: Vec<usize> = trace
            .services()
            .iter()
            .map(|service| palette.colour(service))
            .collect();
        let map = Minimap::of(trace, &scene.extent, |span_idx| {
            colours[trace.service_idx(span_idx)]
        });
        let whole = scene.extent.whole;
        let stretch = |part: &Window| {
            let (from, to) = minimap::stretch(&whole, part);
            (from.to_string(), to.to_string())
        };
        let of_span = |span_idx: usize| {
            let span = trace.span(span_idx);
            stretch(&Window {
                start: span.start,
                end: span.end.max(span.start),
            })
        };
        let n_spans = Count::from(scene.extent.spans.len());
        let n_errors = Count::from(trace.n_errors());
        Self {
            label: format!(
                "Map of {n_spans} span{} in {}, {n_errors} error{}; the view Table has the same in words",
                n_spans.s(),
                duration(whole.nanos()),
                n_errors.s()
            ),
            height: map.n_lanes.max(LANES_MIN),
            colours: (0..COLOURS)
                .map(Palette::class_of)
                .zip(map.colours)
                .filter(|(_, path)| !path.is_empty())
                .collect(),
            errors: map.errors,
            path: of_span(trace.request_root()),
            hot: of_span(analysis.hops[analysis.slowest_hop].entry_idx),
            window: scene
                .extent
                .is_zoomed
                .then(|| stretch(&scene.extent.window)),
            links: links(scene, whole.nanos()),
            micros: whole.nanos().div_ceil(1_000),
        }
    }
}

fn links(scene: &Scene<'_>, nanos: u64) -> Vec<ZoomLink> {
    let width = minimap::WIDTH as u64 / LINKS;
    let edge = |at: u64| {
        let nanos = u128::from(nanos) * u128::from(at) / u128::from(LINKS);
        u64::try_from(nanos / 1_000).unwrap_or(u64::MAX)
    };
    let zooms = (0..LINKS).map(|at| {
        let zoom = Zoom {
            from_micros: edge(at),
            to_micros: edge(at + 1),
        };
        (at, zoom)
    });
    // What takes less than ten microseconds is not zoomed.
    let zooms = zooms.filter(|(_, zoom)| zoom.from_micros < zoom.to_micros);
    zooms
        .map(|(at, zoom)| {
            let time = |micros: u64| duration(micros.saturating_mul(1_000));
            let (from, to) = (time(zoom.from_micros), time(zoom.to_micros));
            ZoomLink {
                x: at * width,
                width,
                label: format!("Zoom to {from} – {to}"),
                href: scene.href(&scene.view.with_zoom(Some(zoom))),
            }
        })
        .collect()
}
