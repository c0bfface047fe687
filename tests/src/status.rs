//! What `tympan status --json` says, as far as the contract goes.

use serde::Deserialize;

/// The state of an instance.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// The session's name.
    pub session: String,
    /// Whether the engine has real-time priority; none while that is not known.
    pub real_time: Option<bool>,
    /// Every process, the supervisor too.
    pub processes: Vec<ProcessStatus>,
    /// Every stream.
    pub streams: Vec<StreamStatus>,
    /// The jobs.
    pub queue: Queue,
    /// The largest message between two processes so far.
    pub largest_message_bytes: u64,
}

/// One process.
#[derive(Debug, Clone, Deserialize)]
pub struct ProcessStatus {
    /// `supervisor`, `engine`, `listener`, `worker`.
    pub role: String,
    /// Its id; none while it is down.
    pub pid: Option<u32>,
    /// `starting`, `running`, …
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
    /// Since its start.
    pub uptime_s: f64,
    /// Since it last showed that it is at work; a child's only.
    pub heartbeat_s: Option<f64>,
}

/// One stream.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamStatus {
    /// Its name.
    pub stream: String,
    /// Its source.
    pub uri: String,
    /// `opening`, `open`, `away`, `ended`, `failed`.
    pub state: String,
    /// By how much the listener is behind the ring; none when it is done with the stream.
    pub lag_s: Option<f64>,
    /// The epoch of its newest ring; none between two engines.
    pub epoch: Option<u64>,
    /// How far it has been captured or looked at.
    pub position_frame: u64,
    /// The largest sample of the last tenth of a second, once there was one.
    pub peak_dbfs: Option<f64>,
    /// The root mean square over the same time.
    pub rms_dbfs: Option<f64>,
}

/// Counts of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Queue {
    /// Without a worker.
    pub waiting: u64,
    /// At a worker.
    pub running: u64,
    /// Written down.
    pub done: u64,
    /// Given up.
    pub lost: u64,
}

impl Status {
    /// The processes of a role that have an id.
    pub fn of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a ProcessStatus> {
        self.processes.iter().filter(move |process| process.role == role && process.pid.is_some())
    }
}
