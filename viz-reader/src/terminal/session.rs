//! The streams that are shown, and where they come from.

use super::app::App;
use super::paint::Paint;
use super::stream::{Source, Stream};
use crate::cli::Arguments;
use crate::refusal::refuse;
use crate::rings::{Position, RingPlace, RingView, all_places, runtime_folder};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// How often is looked for streams that came, where all are shown.
const NEW_LOOK: Duration = Duration::from_secs(1);

/// What is shown, with its rings.
pub(super) struct Session {
    pub(super) app: App,
    /// As many as there are streams.
    sources: Vec<Source>,
    /// Whether streams that come are shown, too.
    all: bool,
    looked_at: Instant,
}

impl Session {
    /// Opens the rings that are named, or all.
    pub(super) fn open(arguments: &Arguments, paint: Paint) -> Result<Self> {
        let files = &arguments.files;
        if files.from.is_some() || files.to.is_some() || files.size.is_some() {
            refuse!(Usage, "--from, --to and --size are of pictures in files: --png FILE, or --csv FILE, is missing");
        }
        let folder = runtime_folder();
        let mut places = Vec::new();
        for name in &arguments.names {
            let path = std::path::Path::new(name);
            if path.is_file() && !crate::rings::is_ring_file(path) {
                refuse!(
                    Usage,
                    "{name} is a recording, and a terminal shows rings; `tympan viz --png FILE {name}` draws it"
                );
            }
            places.push(RingPlace::find(&folder, name)?);
        }
        let all = places.is_empty();
        if all {
            places = all_places(&folder);
        }
        if places.is_empty() {
            let folder = folder.display();
            refuse!(NotRunning, "there is nothing to show: no ring is in {folder}; `tympan run` makes them");
        }
        let mut views = Vec::new();
        for place in &places {
            match RingView::open(place, Position::Oldest) {
                Ok(view) => views.push((place, view)),
                // One that has gone meanwhile, or is broken, does not keep the others from being seen.
                Err(_) if all && places.len() > 1 => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let fastest_hz = views.iter().map(|(_, view)| view.shape().sample_rate_hz).max().unwrap_or(0);
        let app = App::new(&arguments.look, fastest_hz, paint).context("--fft")?;
        let mut session = Self { app, sources: Vec::new(), all, looked_at: Instant::now() };
        for (place, view) in views {
            session.add(place, view);
        }
        if session.app.lanes().is_empty() {
            let of = session.app.streams.iter().map(|own| format!("{} has {}", own.name, own.shape.channels));
            refuse!(Usage, "--channels names none that is there: {}", of.collect::<Vec<_>>().join(", "));
        }
        Ok(session)
    }

    fn add(&mut self, place: &RingPlace, view: RingView) {
        let stream = Stream::new(&place.name, view.shape().clone());
        self.sources.push(Source::new(view, &stream));
        self.app.streams.push(stream);
    }

    /// Reads what there is, until a deadline, but of each ring something; whether anything happened.
    pub(super) fn read(&mut self, deadline: Instant) -> bool {
        let mut any = false;
        for (source, stream) in self.sources.iter_mut().zip(&mut self.app.streams) {
            any |= source.read(stream, deadline);
        }
        if self.all && self.looked_at.elapsed() >= NEW_LOOK {
            self.looked_at = Instant::now();
            for place in all_places(&runtime_folder()) {
                if self.app.streams.iter().any(|stream| stream.name == place.name) {
                    continue;
                }
                if let Ok(view) = RingView::open(&place, Position::Oldest) {
                    self.add(&place, view);
                    any = true;
                }
            }
        }
        any
    }

    /// Makes the levels since the last time those that are shown; none while the picture stands still.
    pub(super) fn show(&mut self) {
        for (source, stream) in self.sources.iter_mut().zip(&mut self.app.streams) {
            let board = source.board();
            if !self.app.paused {
                stream.show(board.as_ref());
            }
        }
    }
}
