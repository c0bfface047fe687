//! Which meters there are, and what is new on them.

use shm_layout::board::{MeterView, Reading, View};
use std::time::{Duration, Instant};

/// The supervisor's place on the board, whose end is the instance's.
const SUPERVISOR_SLOT: usize = 0;
/// How often is looked for streams that come and go.
const FIND_EVERY: Duration = Duration::from_millis(100);
/// A stream that shows nothing for so long is gone, whatever its meter says: its engine may be dead, or stopped.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// So long it is still named then, where it was not asked for by name.
const NAMED_FOR: Duration = Duration::from_secs(5);

/// What has happened on a board.
#[derive(Debug)]
pub(super) enum News {
    /// A stream's next reading, and how many were missed before it.
    Reading {
        /// Which stream.
        stream: String,
        /// What it shows.
        reading: Reading,
        /// Readings that came too fast to be read.
        missed: u64,
    },
    /// A stream shows nothing any more. When it does again, readings follow.
    Gone {
        /// Which stream.
        stream: String,
    },
}

/// A board, and the streams that are looked at.
#[derive(Debug)]
pub(super) struct Watch {
    view: View,
    /// All streams where none is named.
    wanted: Vec<String>,
    dials: Vec<Dial>,
    found_at: Option<Instant>,
    over: bool,
}

#[derive(Debug)]
struct Dial {
    meter: MeterView,
    gone: bool,
    moved_at: Instant,
}

impl Watch {
    pub(super) const fn new(view: View, wanted: Vec<String>) -> Self {
        Self { view, wanted, dials: Vec::new(), found_at: None, over: false }
    }

    /// Streams that have a meter, the mix last.
    pub(super) fn known(&self) -> Vec<String> {
        let mut names: Vec<_> = self.view.meters().iter().map(|meter| meter.stream().to_owned()).collect();
        names.sort_by_key(|name| name == "mix");
        names
    }

    /// Streams that are looked at, the mix last, and whether they show anything.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&str, bool)> {
        let is_mix = |dial: &&Dial| dial.meter.stream() == "mix";
        let sources = self.dials.iter().filter(move |dial| !is_mix(dial));
        sources.chain(self.dials.iter().filter(is_mix)).map(|dial| (dial.meter.stream(), !dial.gone))
    }

    /// Whether the instance has ended.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Looks for streams, and begins with what they show now; whether every one of them has shown something.
    pub(super) fn find(&mut self) -> bool {
        self.dials.clear();
        self.find_new();
        self.dials.iter_mut().for_each(|dial| dial.meter.skip());
        let all_show = self.dials.iter().all(|dial| dial.meter.newest().is_some());
        // A name that is none is not waited for.
        !self.dials.is_empty() && all_show || (self.dials.is_empty() && !self.view.meters().is_empty())
    }

    /// What each stream has shown of late, so many readings as one; the mix last.
    pub(super) fn recent(&self, readings: u64) -> Vec<(String, Reading)> {
        let of = |dial: &Dial| Some((dial.meter.stream().to_owned(), dial.meter.recent(readings)?));
        let mut found: Vec<_> = self.dials.iter().filter_map(of).collect();
        found.sort_by_key(|(stream, _)| stream == "mix");
        found
    }

    /// All that is new.
    pub(super) fn look(&mut self) -> Vec<News> {
        let now = Instant::now();
        let mut news = Vec::new();
        for dial in &mut self.dials {
            dial.look(now, &mut news);
        }
        if self.found_at.is_none_or(|at| now.duration_since(at) >= FIND_EVERY) {
            self.found_at = Some(now);
            let named = !self.wanted.is_empty();
            self.dials.retain(|dial| named || !dial.gone || now.duration_since(dial.moved_at) < NAMED_FOR);
            self.find_new();
            // The kernel is asked only when nothing comes any more.
            let silent = self.dials.iter().all(|dial| now.duration_since(dial.moved_at) > FIND_EVERY * 3);
            self.over = silent && self.view.slot(SUPERVISOR_SLOT).is_none();
        }
        news
    }

    /// Streams that have come, or come again: what they have shown already is not left out.
    fn find_new(&mut self) {
        let wanted =
            |meter: &MeterView| self.wanted.is_empty() || self.wanted.iter().any(|name| name == meter.stream());
        for meter in self.view.meters().into_iter().filter(wanted) {
            let now = Instant::now();
            match self.dials.iter_mut().find(|dial| dial.meter.stream() == meter.stream()) {
                Some(dial) if dial.meter.is_same_as(&meter) => {}
                // What is left of the old one is read first.
                Some(dial) if !dial.gone => {}
                Some(dial) => *dial = Dial { meter, gone: false, moved_at: now },
                // One that was looked at to no avail is no news.
                None if meter.newest().is_none() && self.found_at.is_some() => {}
                None => self.dials.push(Dial { meter, gone: false, moved_at: now }),
            }
        }
    }
}

impl Dial {
    fn look(&mut self, now: Instant, news: &mut Vec<News>) {
        // Before it is read: what was shown before it was given back is there then.
        let taken = self.meter.is_taken();
        let name = self.meter.stream().to_owned();
        while let Some((reading, missed)) = self.meter.read_next() {
            (self.gone, self.moved_at) = (false, now);
            news.push(News::Reading { stream: name.clone(), reading, missed });
        }
        if !self.gone && (!taken || now.duration_since(self.moved_at) > GONE_AFTER) {
            self.gone = true;
            news.push(News::Gone { stream: name });
        }
    }
}
