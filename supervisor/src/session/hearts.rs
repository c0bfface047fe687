//! The status board's side of the supervisor: whose heart beats, and who hangs.

use super::engine::monotonic_ns;
use super::{Part, Place, Session};
use crate::policy::State;
use crate::refusal::{Refusal, refusal};
use control_protocol::BoardPlace;
use serde_json::{Value, json};
use shm_layout::FrameIndex;
use shm_layout::board::{Beat, Board, MeterView};
use std::time::Duration;

/// How often the hearts are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A ready child that shows no life for so long hangs: it is ended, and replaced.
const HANGS_AFTER: Duration = Duration::from_secs(3);
/// One that is not ready yet may be busy for longer: a large ring is made, a large model loaded.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How long a worker may take for its job: this, and so many times the length of its speech. The largest model on the
/// slowest machine is quicker.
const WORK_MIN: Duration = Duration::from_secs(60);
const WORK_PER_LENGTH: u32 = 30;

/// The board, and when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Hearts {
    board: Option<Board>,
    own: Option<Beat>,
    /// When the loop last looked, and since when it has looked without a pause of its own, on `CLOCK_MONOTONIC`.
    looked_ns: u64,
    awake_since_ns: u64,
}

impl Hearts {
    /// The age of a child's last heartbeat.
    pub(super) fn age(&self, part: Part, pid: u32, generation: u32) -> Option<Duration> {
        let beat_ns = self.board.as_ref()?.beat_ns(part.board_slot() as usize, pid, generation.into())?;
        Some(Duration::from_nanos(monotonic_ns().saturating_sub(beat_ns)))
    }

    /// The streams' meters.
    pub(super) fn meters(&self) -> Vec<MeterView> {
        self.board.as_ref().map(Board::meters).unwrap_or_default()
    }

    /// Asks for the counts of these streams' meters, or of all, to begin anew.
    ///
    /// # Errors
    /// When a stream has none; nothing is begun anew then.
    pub(super) fn reset_meters(&self, streams: &[String]) -> Result<Value, Refusal> {
        let meters = self.meters();
        let known: Vec<&str> = meters.iter().map(MeterView::stream).collect();
        if let Some(stranger) = streams.iter().find(|stream| !known.contains(&stream.as_str())) {
            return Err(refusal!(Refused, "there is no meter of {stranger}; there is {}", known.join(", ")));
        }
        let meant: Vec<_> =
            known.into_iter().filter(|name| streams.is_empty() || streams.iter().any(|s| s == name)).collect();
        for stream in &meant {
            // One that goes meanwhile has nothing to begin anew.
            self.board.as_ref().map(|board| board.reset_meter(stream));
        }
        Ok(json!({"ok": true, "reset": meant}))
    }
}

impl Session<'_> {
    /// Makes the board. Without one everything goes on, but a child that hangs is not found.
    pub(super) fn hang_up_board(&mut self) {
        let runtime = &self.plan.folders.runtime;
        match Board::create(runtime) {
            Ok(board) => {
                let own = Beat::claim(runtime, 0, 1).ok();
                own.iter().for_each(Beat::beat);
                let now_ns = monotonic_ns();
                self.hearts = Hearts { board: Some(board), own, looked_ns: now_ns, awake_since_ns: now_ns };
            }
            Err(e) => self.notice(format!("no status board, so a process that hangs is not found: {e}")),
        }
    }

    /// A part's place on the board, for its present life.
    pub(super) fn board_place(&self, part: Part) -> BoardPlace {
        BoardPlace { slot: part.board_slot(), generation: self.places.get(&part).map_or(0, |place| place.generation) }
    }

    /// Ends the children that hang; their deaths do the rest.
    pub(super) fn look_at_hearts(&mut self) {
        if let Some(own) = &self.hearts.own {
            own.beat();
        }
        let now_ns = monotonic_ns();
        if now_ns.saturating_sub(self.hearts.looked_ns) > nanos(4 * LOOK_EVERY) {
            // This process was stopped itself, and whoever had something to tell it has waited since.
            self.hearts.awake_since_ns = now_ns;
        }
        self.hearts.looked_ns = now_ns;
        for (part, silent) in self.silent_parts(now_ns) {
            self.cut_off(part, &format!("it hangs: no sign of life for {:.1} s", silent.as_secs_f64()));
        }
        for (part, taken, length) in self.endless_jobs() {
            let text = format!("it has worked on {:.1} s of speech for {} s", length.as_secs_f64(), taken.as_secs());
            self.cut_off(part, &text);
        }
    }

    /// Children whose hearts stand still, and for how long.
    fn silent_parts(&self, now_ns: u64) -> Vec<(Part, Duration)> {
        let Some(board) = &self.hearts.board else { return Vec::new() };
        let silent = |(part, place): (&Part, &Place)| {
            let child = place.child.as_ref()?;
            let beat_ns = board.beat_ns(part.board_slot() as usize, child.pid, child.generation.into());
            let (shown_ns, patience) = match place.life.state() {
                State::Starting => {
                    let started_ns = now_ns.saturating_sub(nanos(child.uptime()));
                    (beat_ns.unwrap_or(started_ns), STARTS_WITHIN)
                }
                // Without any beat it has no place on the board: nothing can be said of it.
                State::Ready { .. } | State::Running => (beat_ns?, HANGS_AFTER),
                // Who is about to end is killed when his time is over.
                _ => return None,
            };
            let silent_ns = now_ns.saturating_sub(shown_ns.max(self.hearts.awake_since_ns));
            (silent_ns > nanos(patience)).then_some((*part, Duration::from_nanos(silent_ns)))
        };
        self.places.iter().filter_map(silent).collect()
    }

    /// Workers that have had the same job for too long: the job's time, and the length of its speech.
    fn endless_jobs(&self) -> Vec<(Part, Duration, Duration)> {
        let rate = self.plan.sample_rate_hz;
        let endless = |part: &Part| {
            let Part::Worker(worker) = *part else { return None };
            let (job, since) = self.queue.at_work(worker)?;
            let length = Duration::from_secs_f64(FrameIndex(job.to.since(job.from)).seconds(rate));
            let taken = since.elapsed();
            (taken > WORK_MIN + length * WORK_PER_LENGTH).then_some((*part, taken, length))
        };
        self.places.keys().filter_map(endless).collect()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
