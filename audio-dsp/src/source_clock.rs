//! A source's clock, learnt from its callbacks.
//!
//! A callback can be late and never early. So no mean over the callbacks is taken, as a delay-locked loop would (F.
//! Adriaensen, "Using a DLL to filter time", 2005): what a busy machine adds would move it. The clock is the line that
//! lies under all of them, as close as can be: of the lower convex hull of (frames, time) the edge in the middle (Moon,
//! Skelly and Towsley, "Estimation and removal of clock skew from network delay measurements", 1999; with a hull
//! instead of linear programming after Zhang, Liu and Xia, 2002). With callbacks evenly up to 2 ms late it knows a rate
//! to 1.3 parts in a million after 10 s and to 0.2 after 30 s, where that loop with its best gains knows it to 6 and 1.
//!
//! Only the least late callback of each window is kept, [`MEMORY_SECONDS`] long: the memory is small and
//! follows a clock that warms up.

use crate::drift::CORRECTION_PPM_MAX;

const WINDOW_SECONDS: f64 = 0.25;
const WINDOWS: usize = 120;
/// What is older is forgotten.
pub const MEMORY_SECONDS: f64 = WINDOW_SECONDS * WINDOWS as f64;
/// Before so many windows the rate that was known before is better than one that is measured.
const WINDOWS_MIN: usize = 8;
/// A source that is so far from its line has stopped or jumped: the line begins anew.
const JUMP_SECONDS: f64 = 0.1;
/// What lies between source and callback became shorter or longer by this much: so does every window from then on. A
/// line through both lengths would be no clock.
const STEP_SECONDS: f64 = 0.003;

/// When a source had delivered which frame, against the clock that its callbacks are timed with.
#[derive(Debug, Clone)]
pub struct SourceClock {
    rate_hz: f64,
    seconds_per_frame: f64,
    /// A point of the line: `None` before the first callback.
    origin: Option<Point>,
    /// The least late callback of each of the last windows, and the one of this window with its lateness.
    points: [Point; WINDOWS],
    len: usize,
    least: (f64, Point),
    window_began_s: f64,
    /// Windows on end whose least late callback was late.
    late_windows: usize,
}

/// The frame `frames` came at `time_s`.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    time_s: f64,
    frames: f64,
}

impl SourceClock {
    /// A clock of a nominal rate.
    ///
    /// # Panics
    /// When the rate is 0.
    #[must_use]
    pub fn new(rate_hz: u32) -> Self {
        assert!(rate_hz > 0, "a rate above 0");
        let rate_hz = f64::from(rate_hz);
        Self {
            rate_hz,
            seconds_per_frame: 1.0 / rate_hz,
            origin: None,
            points: [Point::default(); WINDOWS],
            len: 0,
            least: (f64::INFINITY, Point::default()),
            window_began_s: 0.0,
            late_windows: 0,
        }
    }

    /// A callback at `time_s` (`CLOCK_MONOTONIC`, in seconds) that makes it `frames_total` frames since the source
    /// began. Both only grow. Times that are no numbers are ignored.
    ///
    /// # Real time
    /// Wait-free, allocates nothing; so does everything here.
    pub fn observe(&mut self, time_s: f64, frames_total: u64) {
        if !time_s.is_finite() {
            return;
        }
        let point = Point { time_s, frames: frames_total as f64 };
        let Some(origin) = self.origin else { return self.begin(point) };
        let late_s = origin.lateness_of(point, self.seconds_per_frame);
        if late_s < self.least.0 {
            self.least = (late_s, point);
        }
        if self.len == 0 && late_s < 0.0 {
            self.origin = Some(point); // nothing is known yet but that the first ones were later still
            self.least = (0.0, point);
        }
        if time_s - self.window_began_s < WINDOW_SECONDS {
            return;
        }
        let least_s = self.least.0;
        self.late_windows = if least_s > STEP_SECONDS { self.late_windows + 1 } else { 0 };
        if !(-STEP_SECONDS..=JUMP_SECONDS).contains(&least_s) || self.late_windows >= WINDOWS_MIN {
            return self.begin(point);
        }
        self.keep();
        self.draw();
        (self.least.0, self.window_began_s) = (f64::INFINITY, time_s);
    }

    /// The frames that the source has delivered at a time, with a fraction: `None` before it has begun.
    #[must_use]
    pub fn frames_at(&self, time_s: f64) -> Option<f64> {
        self.origin.map(|origin| origin.frames + (time_s - origin.time_s) / self.seconds_per_frame)
    }

    /// By how many millionths it is faster than its nominal rate, within
    /// [`CORRECTION_PPM_MAX`](crate::CORRECTION_PPM_MAX).
    #[must_use]
    pub fn rate_ppm(&self) -> f64 {
        1e6 * (1.0 / (self.seconds_per_frame * self.rate_hz) - 1.0)
    }

    /// The nominal rate.
    #[must_use]
    pub const fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    /// Seconds that it has learnt from since it began, up to [`MEMORY_SECONDS`].
    #[must_use]
    pub fn learnt_s(&self) -> f64 {
        self.len as f64 * WINDOW_SECONDS
    }

    /// After a stop: the next callback begins a new line. Its rate begins with the old one's.
    pub const fn reset(&mut self) {
        self.origin = None;
    }

    fn begin(&mut self, point: Point) {
        self.origin = Some(point);
        self.len = 0;
        self.least = (0.0, point);
        self.window_began_s = point.time_s;
        self.late_windows = 0;
    }

    /// Keeps the window's point; the oldest goes.
    fn keep(&mut self) {
        if self.len == WINDOWS {
            self.points.copy_within(1.., 0);
            self.len -= 1;
        }
        self.points[self.len] = self.least.1;
        self.len += 1;
    }

    /// Draws the line under the points.
    fn draw(&mut self) {
        let points = &self.points[..self.len];
        if self.len >= WINDOWS_MIN
            && let Some((a, b)) = middle_edge(points)
        {
            let bound = 1e-6 * CORRECTION_PPM_MAX;
            self.seconds_per_frame = ((b.time_s - a.time_s) / (b.frames - a.frames))
                .clamp(1.0 / (self.rate_hz * (1.0 + bound)), 1.0 / (self.rate_hz * (1.0 - bound)));
        }
        // At this slope, the point that no other lies under.
        let first = points[0];
        let lateness = |point: &&Point| first.lateness_of(**point, self.seconds_per_frame);
        self.origin = points.iter().min_by(|a, b| lateness(a).total_cmp(&lateness(b))).copied();
    }
}

impl Point {
    /// By how much another one lies above the line through this one.
    fn lateness_of(self, other: Self, seconds_per_frame: f64) -> f64 {
        other.time_s - self.time_s - (other.frames - self.frames) * seconds_per_frame
    }
}

/// The edge of the points' lower hull that spans the middle of their frames (Andrew's monotone chain).
fn middle_edge(points: &[Point]) -> Option<(Point, Point)> {
    let (first, last) = (points.first()?, points.last()?);
    let middle = f64::midpoint(first.frames, last.frames);
    let mut hull = [Point::default(); WINDOWS];
    let mut len = 0;
    for &point in points {
        while len >= 2 && !is_under(hull[len - 2], hull[len - 1], point) {
            len -= 1;
        }
        hull[len] = point;
        len += 1;
    }
    hull[..len].windows(2).map(|edge| (edge[0], edge[1])).find(|(a, b)| b.frames >= middle && b.frames > a.frames)
}

/// Whether `b` lies under the line from `a` to `c`.
fn is_under(a: Point, b: Point, c: Point) -> bool {
    (b.time_s - a.time_s) * (c.frames - a.frames) < (c.time_s - a.time_s) * (b.frames - a.frames)
}
