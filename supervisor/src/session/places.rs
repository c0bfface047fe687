//! The places of the children: filled, emptied by death, filled again.

use super::Session;
use crate::child::{Child, Recipe};
use crate::event::{Order, Part};
use crate::last_exit::LastExit;
use crate::policy::{Act, Death, Life, Rules, State};
use crate::refusal::Refusal;
use crate::report::Report;
use anyhow::Result;
use control_protocol::{Exit, ToEngine, ToListener, ToWorker};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How long a child may take to end when it is replaced by command. A worker may have a long sentence in work.
const REPLACED_WITHIN: Duration = Duration::from_secs(5);
const WORKER_REPLACED_WITHIN: Duration = Duration::from_secs(60);

/// One place.
#[derive(Debug)]
pub(super) struct Place {
    /// Who has it.
    pub child: Option<Child>,
    /// How many have had it.
    pub generation: u32,
    /// Where it is.
    pub life: Life,
    /// Why it was given up, for as long as it is.
    pub failed: Option<String>,
    /// Whether any child here was ever ready: it can work.
    was_ready: bool,
    /// Why we ended its child ourselves.
    blame: Option<String>,
    /// How its last child ended that should not have.
    pub last_exit: Option<LastExit>,
}

impl Place {
    /// An empty place.
    pub(super) fn new(part: Part) -> Self {
        let seed = u64::from(std::process::id()) << 8 | u64::from(part.board_slot());
        Self {
            child: None,
            generation: 0,
            life: Life::new(Rules::USUAL, seed),
            failed: None,
            was_ready: false,
            blame: None,
            last_exit: None,
        }
    }

    /// How often it was filled again.
    pub(super) const fn restarts(&self) -> u32 {
        self.generation.saturating_sub(1)
    }
}

impl Session<'_> {
    /// The time of all lives.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Fills a place that is empty; where its child is about to end, there will be another.
    pub(super) fn begin(&mut self, part: Part) {
        let act = self.places.entry(part).or_insert_with(|| Place::new(part)).life.begin();
        self.carry_out(part, act, Exit::Fault, String::new());
    }

    /// Asks a part's child to end; then another one is started, or none.
    pub(super) fn stop(&mut self, part: Part, patience: Duration, again: bool) {
        let now = self.now();
        let Some(place) = self.places.get_mut(&part) else { return };
        let act = place.life.stop(now, patience, again);
        self.carry_out(part, act, Exit::Fault, String::new());
    }

    /// Replaces a part's child, or tries again what was given up.
    pub(super) fn replace(&mut self, part: Part) {
        let patience = if matches!(part, Part::Worker(_)) { WORKER_REPLACED_WITHIN } else { REPLACED_WITHIN };
        self.stop(part, patience, true);
    }

    /// Lets a part go that is not wanted any more.
    pub(super) fn let_go(&mut self, part: Part) {
        self.stop(part, WORKER_REPLACED_WITHIN, false);
        self.forget_place(part);
    }

    /// What the time brings to all lives.
    pub(super) fn tick_lives(&mut self) {
        let now = self.now();
        let acts: Vec<_> = self.places.iter_mut().map(|(part, place)| (*part, place.life.tick(now))).collect();
        for (part, act) in acts {
            self.carry_out(part, act, Exit::Fault, String::new());
        }
    }

    /// Does what a life asks for. `exit` and `reason` say why, should it be given up.
    fn carry_out(&mut self, part: Part, mut act: Option<Act>, exit: Exit, mut reason: String) {
        while let Some(wanted) = act.take() {
            match wanted {
                Act::Start => {
                    if let Err(e) = self.spawn(part) {
                        reason = format!("{e:#}");
                        self.notice(format!("the {}: {reason}", part.role()));
                        let now = self.now();
                        act = self.places.get_mut(&part).and_then(|place| place.life.died(now, Death::OwnFault));
                    }
                }
                Act::AskToEnd => self.ask_to_end(part),
                Act::Kill => {
                    if let Some(child) = self.places.get(&part).and_then(|place| place.child.as_ref()) {
                        child.kill();
                    }
                }
                Act::SayFailed => self.failed(part, exit, std::mem::take(&mut reason)),
            }
        }
    }

    /// Starts a child: the first one and every other.
    fn spawn(&mut self, part: Part) -> Result<()> {
        let Some(place) = self.places.get_mut(&part) else { return Ok(()) };
        place.generation += 1;
        place.blame = None;
        place.failed = None;
        let siblings = &self.plan.siblings;
        let (program, args): (_, &[&str]) = match part {
            Part::Engine => (&siblings.engine, &["run"]),
            Part::Listener => (&siblings.transcriber, &["--role", "listener"]),
            Part::Worker(_) => (&siblings.transcriber, &["--role", "worker"]),
        };
        let recipe = Recipe {
            threads: self.plan.threads,
            part,
            generation: place.generation,
            program,
            args,
            runtime: &self.plan.folders.runtime,
            stdin: part == Part::Engine && self.plan.sources.iter().any(|(_, uri)| uri.starts_with("stdin:")),
            voice: self.plan.voice.as_ref(),
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

    /// A worker that was asked to end in the middle of a sentence has finished it.
    pub(super) fn end_if_asked(&mut self, worker: u32) {
        let part = Part::Worker(worker);
        if self.places.get(&part).is_some_and(|place| matches!(place.life.state(), State::Stopping { .. })) {
            self.ask_to_end(part);
        }
    }

    fn ask_to_end(&mut self, part: Part) {
        match part {
            Part::Engine => self.tell_engine(ToEngine::Shutdown),
            Part::Listener => {
                self.tell_all_done();
                self.tell_listener(ToListener::Shutdown);
            }
            // In the middle of a sentence it is asked afterwards.
            Part::Worker(worker) if !self.queue.is_busy(worker) => self.tell_worker(worker, ToWorker::Shutdown),
            Part::Worker(_) => {}
        }
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
        self.places.get(&part).is_some_and(|place| place.life.is_ready())
    }

    pub(super) fn mark_ready(&mut self, part: Part) {
        let now = self.now();
        let Some(place) = self.places.get_mut(&part) else { return };
        let Some(child) = &place.child else { return };
        if place.life.state() == State::Starting {
            place.life.ready(now);
            place.was_ready = true;
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
        let now = self.now();
        let Some(place) = self.places.get_mut(&part) else { return };
        let Some(child) = place.child.take() else { return };
        let blame = place.blame.take();
        let (mut death, exit, mut reason) = judge(status);
        if let Some(why) = blame {
            reason = why;
            if death != Death::Refused {
                death = Death::OwnFault;
            }
        }
        let last_exit = LastExit::new(&reason, death == Death::FromOutside, child.last_words());
        if death == Death::OwnFault {
            // Lines of a healthy child say nothing about a kill from outside.
            if let Some(last) = child.last_words().last() {
                reason = format!("{reason}; its last words: {last}");
            }
        }
        let expected = matches!(place.life.state(), State::Stopping { .. });
        if !expected {
            place.last_exit = Some(last_exit);
        }
        let is_last = part == Part::Engine && self.all_captured();
        let Some(place) = self.places.get_mut(&part) else { return };
        if is_last {
            // Nothing would come of another one.
            let _asked = place.life.stop(now, Duration::ZERO, false);
        }
        let act = place.life.died(now, death);
        self.report_process(part, child.pid, "exited", (!expected).then_some(&reason));
        match part {
            Part::Engine => self.engine_died(),
            Part::Listener => {}
            Part::Worker(worker) => self.queue.worker_died(worker, death == Death::OwnFault && !expected, &reason),
        }
        self.carry_out(part, act, exit, reason);
        self.forget_place(part);
    }

    /// A worker that is not wanted any more leaves no place.
    fn forget_place(&mut self, part: Part) {
        let unwanted = matches!(part, Part::Worker(worker) if worker >= self.workers_wanted);
        if unwanted && self.places.get(&part).is_some_and(|place| place.life.state() == State::Idle) {
            self.places.remove(&part);
        }
    }

    /// A part is given up, for now. The rest goes on, unless nothing can come of it.
    fn failed(&mut self, part: Part, exit: Exit, reason: String) {
        let Some(place) = self.places.get_mut(&part) else { return };
        place.failed = Some(reason.clone());
        self.report_process(part, 0, "failed", Some(&reason));
        let is_worker = |part: &Part| matches!(part, Part::Worker(_));
        let hopeless = |place: &Place| place.failed.is_some() && (self.plan.offline || !place.was_ready);
        let mut like_it =
            self.places.iter().filter(|(other, _)| **other == part || (is_worker(other) && is_worker(&part)));
        if like_it.all(|(_, place)| hopeless(place)) {
            let text = format!("the {} cannot work: {reason}", part.role());
            self.outcome.error.get_or_insert_with(|| Refusal::new(exit, text.clone()));
            self.end(&text);
            return;
        }
        let (role, minutes) = (part.role(), Rules::USUAL.retry_failed_after.as_secs() / 60);
        self.notice(format!(
            "the {role} has failed: {reason}; it is tried again every {minutes} min, and at once by `tympan restart {role}`"
        ));
    }

    pub(super) fn report_process(&mut self, part: Part, pid: u32, state: &'static str, reason: Option<&str>) {
        let generation = self.places.get(&part).map_or(0, |place| place.generation);
        let reason = reason.map(str::to_owned);
        let worker = part.worker();
        self.reporter.report(Report::Process { role: part.role(), worker, pid, state, generation, reason });
    }
}

/// How a child died: for the policy, for whoever asks this process, and for people.
fn judge(status: ExitStatus) -> (Death, Exit, String) {
    use nix::sys::signal::Signal;
    if let Some(number) = status.signal() {
        let name = Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned());
        let outside = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
        let death = if outside.iter().any(|s| *s as i32 == number) { Death::FromOutside } else { Death::OwnFault };
        return (death, Exit::Fault, format!("ended by {name}"));
    }
    match status.code().and_then(Exit::from_code) {
        Some(exit) if exit.is_final() => (Death::Refused, exit, "it refused to start".to_owned()),
        _ => (Death::OwnFault, Exit::Fault, format!("ended with code {}", status.code().unwrap_or(-1))),
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
        assert_eq!(signal(4), Death::OwnFault);
        let code = |code: i32| judge(ExitStatus::from_raw(code << 8));
        assert_eq!(code(101).0, Death::OwnFault);
        for exit in [Exit::Refused, Exit::NoRoom, Exit::CpuUnfit, Exit::BadModel] {
            let (death, said, _) = code(i32::from(exit.code()));
            assert_eq!((death, said), (Death::Refused, exit));
        }
        assert_eq!(code(0).0, Death::OwnFault, "nobody asked it to end");
    }
}
