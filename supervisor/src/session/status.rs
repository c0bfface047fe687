//! What `status` shows.

use super::{Part, Session};
use crate::decibels::dbfs;
use crate::policy::State;
use serde_json::{Value, json};

/// Readings that levels are shown of: a tenth of a second.
const LEVEL_READINGS: u64 = 6;

impl Session<'_> {
    pub(super) fn status(&self) -> Value {
        let rate = self.plan.sample_rate_hz;
        let own = json!({
            "role": "supervisor", "pid": std::process::id(), "state": "running", "restarts": 0,
            "uptime_s": self.started.elapsed().as_secs_f64(),
        });
        let children = self.places.iter().map(|(part, place)| {
            let state = match place.life.state() {
                State::Idle => "ended",
                State::Starting => "starting",
                State::Ready { .. } | State::Running => "running",
                State::Stopping { .. } => "stopping",
                State::Waiting { .. } => "restarting",
                State::Failed { .. } => "failed",
            };
            let mut row = json!({
                "role": part.role(), "pid": place.child.as_ref().map(|child| child.pid), "state": state,
                "restarts": place.restarts(),
                "uptime_s": place.child.as_ref().map_or(0.0, |child| child.uptime().as_secs_f64()),
            });
            if let Some(child) = &place.child {
                let age = self.hearts.age(*part, child.pid, child.generation);
                row["heartbeat_s"] = json!(age.map(|age| age.as_secs_f64()));
            }
            if let Part::Worker(worker) = part {
                row["worker"] = json!(worker);
                row["busy"] = json!(self.queue.is_busy(*worker));
            }
            if let Some(last) = &place.last_exit {
                row["last_exit"] = last.json();
            }
            if let Some(reason) = &place.failed {
                row["reason"] = json!(reason);
            }
            row
        });
        let processes: Vec<_> = std::iter::once(own).chain(children).collect();
        let meters = self.hearts.meters();
        let streams: Vec<_> = self
            .streams
            .iter()
            .map(|(name, stream)| {
                let ring = self.rings.of(name);
                let committed = ring.map(shm_layout::RingWarden::commit);
                let meter = meters.iter().find(|meter| meter.stream() == name.as_str());
                let level = meter.and_then(|meter| meter.recent(LEVEL_READINGS));
                let words = self.words_lag(name);
                let (exit, reason) = stream.failure.as_ref().map(|(exit, reason)| (exit.code(), reason)).unzip();
                let lag = committed.map(|commit| commit.since(stream.position)).filter(|_| !stream.finished);
                json!({
                    "stream": name, "uri": stream.uri, "description": stream.description,
                    "state": stream.shown_state(), "reason": reason, "exit": exit, "mend": self.mend_of(name, stream),
                    "live": stream.live,
                    "language": stream.language,
                    "model": self.plan.models.of(name).display().to_string(),
                    "paused": stream.is_paused(),
                    "epoch": ring.map(|ring| ring.info().epoch),
                    "committed_frame": committed, "position_frame": stream.position,
                    "position_s": stream.position.seconds(rate),
                    "lag_s": lag.map(|frames| shm_layout::FrameIndex(frames).seconds(rate)),
                    "words_lag_s": words.behind_frames.map(|frames| shm_layout::FrameIndex(frames).seconds(rate)),
                    "utterances": words.utterances, "kept": words.kept, "pace": stream.lag.pace(),
                    "gap_frames": ring.map(shm_layout::RingWarden::gap_frames),
                    "peak_dbfs": level.map(|level| dbfs(level.loudest.peak)),
                    "rms_dbfs": level.map(|level| dbfs(level.loudest.rms)),
                    "clips": level.map(|level| level.clips),
                    "lost_frames": self.outcome.lost_frames.get(name).copied().unwrap_or(0),
                })
            })
            .collect();
        json!({
            "session": self.id.to_string(),
            "sample_rate_hz": rate,
            "leader": self.leader,
            "real_time": self.real_time,
            "model": self.plan.models.first().display().to_string(),
            "processes": processes,
            "streams": streams,
            "outputs": self.output_rows(),
            "queue": self.queue.counts(),
            "largest_message_bytes": control_link::largest_message_bytes(),
        })
    }
}
