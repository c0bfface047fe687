//! What users order while it runs: more workers, fewer, another life for a part.

use super::{Part, Phase, Session};
use crate::settings::keys::{Kind, WORKERS};
use control_protocol::Role;
use serde_json::{Value, json};

impl Session<'_> {
    /// Has so many workers from now on. Those that go finish the sentence they have in work.
    ///
    /// # Errors
    /// In words.
    pub(super) fn scale(&mut self, workers: u32) -> Result<Value, String> {
        self.is_running()?;
        let Kind::Count(min, max) = WORKERS.kind else { return Err("workers are not counted".into()) };
        if !(min..=max).contains(&workers) {
            return Err(format!("{workers} workers: {min} to {max} are possible"));
        }
        self.workers_wanted = workers;
        for worker in 0..workers {
            self.begin(Part::Worker(worker));
        }
        let beyond = |part: &Part| matches!(part, Part::Worker(worker) if *worker >= workers);
        for part in self.places.keys().copied().filter(beyond).collect::<Vec<_>>() {
            self.let_go(part);
        }
        Ok(json!({"ok": true, "workers": workers}))
    }

    /// Replaces the children of a role.
    ///
    /// # Errors
    /// In words.
    pub(super) fn restart(&mut self, role: Option<Role>, worker: Option<u32>) -> Result<Value, String> {
        self.is_running()?;
        let is_meant = |part: &Part| match (role, worker, part) {
            (Some(Role::Worker), Some(number), Part::Worker(own)) => number == *own,
            (Some(role), None, part) => part.role() == role,
            (None, None, _) => true,
            _ => false,
        };
        let parts: Vec<_> = self.places.keys().copied().filter(is_meant).collect();
        if parts.is_empty() {
            return Err(match (role, worker) {
                (Some(Role::Supervisor), _) => "the supervisor is not restarted; `tympan stop` ends it".into(),
                (Some(Role::Worker), Some(number)) => {
                    format!("there is no worker {number}; `tympan status` shows those there are")
                }
                _ => "only workers have numbers".into(),
            });
        }
        for &part in &parts {
            self.replace(part);
        }
        Ok(json!({"ok": true, "restarted": parts.len()}))
    }

    pub(super) fn is_running(&self) -> Result<(), String> {
        if self.phase == Phase::Running { Ok(()) } else { Err("this run is ending".into()) }
    }
}
