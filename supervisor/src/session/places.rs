//! The places of the children: filled, emptied by death, filled again.

use super::{Phase, Session};
use crate::child::{Child, Recipe};
use crate::event::{Order, Part};
use crate::last_exit::LastExit;
use crate::policy::{Death, Decision, RestartPolicy};
use crate::refusal::Refusal;
use crate::report::Report;
use anyhow::Result;
use control_protocol::{Exit, ToEngine, ToListener, ToWorker};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

/// One place.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Who has it.
    pub child: Option<Child>,
    /// How many have had it.
    pub generation: u32,
    /// When it is filled again.
    pub restart_at: Option<Instant>,
    /// Given up, and why.
    pub failed: Option<String>,
    /// Why we ended its child ourselves.
    blame: Option<String>,
    /// How its last child ended that should not have.
    pub last_exit: Option<LastExit>,
    policy: RestartPolicy,
}

impl Place {
    /// How often it was filled again.
    pub(super) const fn restarts(&self) -> u32 {
        self.generation.saturating_sub(1)
    }
}

impl Session<'_> {
    /// Fills a place: the first start and every restart.
    pub(super) fn start(&mut self, part: Part) -> Result<()> {
        let Some(place) = self.places.get_mut(&part) else { return Ok(()) };
        place.generation += 1;
        place.restart_at = None;
        place.blame = None;
        let siblings = &self.plan.siblings;
        let (program, args): (_, &[&str]) = match part {
            Part::Engine => (&siblings.engine, &["run"]),
            Part::Listener => (&siblings.transcriber, &["--role", "listener"]),
            Part::Worker(_) => (&siblings.transcriber, &["--role", "worker"]),
        };
        let recipe = Recipe {
            part,
            generation: place.generation,
            program,
            args,
            runtime: &self.plan.folders.runtime,
            stdin: part == Part::Engine && self.plan.sources.iter().any(|(_, uri)| uri.starts_with("stdin:")),
            verbose: self.plan.verbose,
            log: &self.plan.log,
        };
        let child = Child::spawn(&recipe, &self.events)?;
        let pid = child.pid;
        place.child = Some(child);
        self.report_process(part, pid, "starting", None);
        match part {
            Part::Engine => self.configure_engine(),
            Part::Listener => self.configure_listener(),
            Part::Worker(worker) => self.configure_worker(worker),
        }
        Ok(())
    }

    pub(super) fn send(&self, part: Part, order: Order) {
        // To a dead child nothing is sent: its next life is configured from scratch.
        if let Some(child) = self.places.get(&part).and_then(|place| place.child.as_ref()) {
            child.send(order);
        }
    }

    pub(super) fn tell_engine(&self, message: ToEngine) {
        self.send(Part::Engine, Order::Engine(message));
    }

    pub(super) fn tell_listener(&self, message: ToListener) {
        self.send(Part::Listener, Order::Listener(message));
    }

    pub(super) fn tell_worker(&self, worker: u32, message: ToWorker) {
        self.send(Part::Worker(worker), Order::Worker(message));
    }

    pub(super) fn is_ready(&self, part: Part) -> bool {
        self.places.get(&part).and_then(|place| place.child.as_ref()).is_some_and(|child| child.ready)
    }

    pub(super) fn mark_ready(&mut self, part: Part) {
        let Some(child) = self.places.get_mut(&part).and_then(|place| place.child.as_mut()) else { return };
        if !child.ready {
            child.ready = true;
            let pid = child.pid;
            self.report_process(part, pid, "ready", None);
        }
    }

    /// A child says why it is about to end. Its exit code then says whether another try is of use.
    pub(super) fn blame(&mut self, part: Part, why: String) {
        if let Some(place) = self.places.get_mut(&part) {
            place.blame.get_or_insert(why);
        }
    }

    /// Ends a child that broke the rules; its death does the rest.
    pub(super) fn cut_off(&mut self, part: Part, why: &str) {
        if let Some(place) = self.places.get_mut(&part)
            && let Some(child) = &place.child
        {
            place.blame.get_or_insert_with(|| why.to_owned());
            child.kill();
        }
    }

    pub(super) fn died(&mut self, part: Part, status: ExitStatus) {
        let Some(place) = self.places.get_mut(&part) else { return };
        let Some(child) = place.child.take() else { return };
        let blame = place.blame.take();
        let (death, mut reason) = judge(status);
        let death = if let Some(why) = blame {
            reason = why;
            if matches!(death, Death::Refused(_)) { death } else { Death::OwnFault }
        } else {
            death
        };
        let last_exit = LastExit::new(&reason, death == Death::FromOutside, child.last_words());
        if death == Death::OwnFault {
            // Lines of a healthy child say nothing about a kill from outside.
            if let Some(last) = child.last_words().last() {
                reason = format!("{reason}; its last words: {last}");
            }
        }
        let expected = self.is_expected(part);
        let decision = if expected {
            None
        } else {
            self.places.entry(part).or_default().last_exit = Some(last_exit);
            self.places.get_mut(&part).map(|p| p.policy.after(death, child.ready, child.uptime()))
        };
        self.report_process(part, child.pid, "exited", (!expected).then_some(&reason));
        match part {
            Part::Engine => self.engine_died(),
            Part::Listener => {}
            Part::Worker(worker) => self.queue.worker_died(worker, death == Death::OwnFault && !expected, &reason),
        }
        match decision {
            None => {}
            Some(Decision::Restart(after)) => {
                if let Some(place) = self.places.get_mut(&part) {
                    place.restart_at = Some(Instant::now() + after);
                }
            }
            Some(Decision::GiveUp) => {
                let exit = if let Death::Refused(exit) = death { exit } else { Exit::Fault };
                self.give_up(part, child.pid, exit, reason);
            }
        }
    }

    fn give_up(&mut self, part: Part, pid: u32, exit: Exit, reason: String) {
        self.report_process(part, pid, "failed", Some(&reason));
        if let Some(place) = self.places.get_mut(&part) {
            place.failed = Some(reason.clone());
        }
        let workers_left = self.places.iter().any(|(p, place)| matches!(p, Part::Worker(_)) && place.failed.is_none());
        if !matches!(part, Part::Worker(_)) || !workers_left {
            let text = format!("the {} cannot work: {reason}", part.role());
            self.outcome.error.get_or_insert_with(|| Refusal::new(exit, text.clone()));
            self.end(&text);
        }
    }

    /// Whether a part may end now without anything being wrong.
    fn is_expected(&self, part: Part) -> bool {
        match &self.phase {
            Phase::Running => part == Part::Engine && self.rings.stopped,
            // What is left to write down needs listener and workers, but no engine.
            Phase::Draining { .. } => part == Part::Engine,
            Phase::Spilling { .. } | Phase::Stopping { .. } | Phase::Over => true,
        }
    }

    pub(super) fn restart_due(&mut self) {
        let now = Instant::now();
        let due = |place: &Place| place.restart_at.is_some_and(|at| at <= now);
        let parts: Vec<_> = self.places.iter().filter(|(_, place)| due(place)).map(|(part, _)| *part).collect();
        for part in parts {
            if let Err(e) = self.start(part) {
                self.give_up(part, 0, Exit::Fault, format!("{e:#}"));
            }
        }
    }

    pub(super) fn report_process(&mut self, part: Part, pid: u32, state: &'static str, reason: Option<&str>) {
        let generation = self.places.get(&part).map_or(0, |place| place.generation);
        let reason = reason.map(str::to_owned);
        let worker = part.worker();
        self.reporter.report(Report::Process { role: part.role(), worker, pid, state, generation, reason });
    }
}

/// How a child died, for the policy and for people.
fn judge(status: ExitStatus) -> (Death, String) {
    use nix::sys::signal::Signal;
    if let Some(number) = status.signal() {
        let name = Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned());
        let outside = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
        let death = if outside.iter().any(|s| *s as i32 == number) { Death::FromOutside } else { Death::OwnFault };
        return (death, format!("ended by {name}"));
    }
    match status.code().and_then(Exit::from_code) {
        Some(exit) if exit.is_final() => (Death::Refused(exit), "it refused to start".to_owned()),
        _ => (Death::OwnFault, format!("ended with code {}", status.code().unwrap_or(-1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_faults_of_its_own_count_against_a_child() {
        let signal = |number| judge(ExitStatus::from_raw(number)).0;
        assert_eq!(signal(9), Death::FromOutside);
        assert_eq!(signal(15), Death::FromOutside);
        assert_eq!(signal(11), Death::OwnFault);
        assert_eq!(signal(6), Death::OwnFault);
        let code = |code: i32| judge(ExitStatus::from_raw(code << 8)).0;
        assert_eq!(code(101), Death::OwnFault);
        for exit in [Exit::Refused, Exit::NoRoom, Exit::CpuUnfit, Exit::BadModel] {
            assert_eq!(code(i32::from(exit.code())), Death::Refused(exit));
        }
        assert_eq!(code(0), Death::OwnFault, "nobody asked it to end");
    }
}
