//! The listener: follows rings, finds utterances, and keeps their samples safe until they are written down.
//!
//! Threads, none of which waits for another:
//! - one a stream (`scan`): ring → 16 kHz → voice detection → segments → jobs;
//! - one for safe keeping (`keeper`): reads what would be overwritten before it is done, and writes it to disk. The
//!   disk never holds up the listening;
//! - this one, which takes the supervisor's messages.
//!
//! It never writes to a ring, and never decides what becomes of a job.

mod hold;
mod keeper;
mod pauses;
mod scan;
#[cfg(test)]
mod tests;

use crate::vad::Detector;
use crate::vitals::Vitals;
use control_link::{LinkError, LinkReceiver, LinkSender};
use control_protocol::{Exit, FromListener, ListenerConfig, Mark, Role, StreamName, ToListener};
use hold::Hold;
use keeper::{Errand, Keeper};
use pauses::Pauses;
use scan::Scan;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc;
use std::thread;

/// Where a part of the listener says something to the supervisor.
pub(crate) trait Report: Clone + Send + 'static {
    /// Says it; false when nobody hears it any more.
    fn say(&self, message: FromListener) -> bool;
}

impl Report for LinkSender<FromListener> {
    fn say(&self, message: FromListener) -> bool {
        match self.send(&message) {
            Ok(()) => true,
            Err(LinkError::Codec(e)) => {
                log::error!("a message was not sent: {e}");
                true
            }
            Err(_) => false,
        }
    }
}

/// Runs the listener until the supervisor ends it.
///
/// # Errors
/// [`LinkError`] when the supervisor cannot be reached at all.
pub fn run() -> Result<Exit, LinkError> {
    let (sender, receiver) = control_link::connect(Role::Listener)?;
    Ok(serve(&sender, receiver))
}

fn serve(sender: &LinkSender<FromListener>, mut receiver: LinkReceiver<ToListener>) -> Exit {
    let mut hearing: Option<Hearing<LinkSender<FromListener>>> = None;
    loop {
        match receiver.recv() {
            Ok(ToListener::Configure(config)) if hearing.is_none() => match Hearing::new(config, sender) {
                Ok(new) => {
                    hearing = Some(new);
                    sender.say(FromListener::Ready);
                }
                Err(reason) => {
                    log::error!("{reason}");
                    sender.say(FromListener::Fault(reason));
                    return Exit::Refused;
                }
            },
            Ok(ToListener::Shutdown) => return Exit::Clean,
            Ok(ToListener::Hello(_) | ToListener::Configure(_)) => log::warn!("a second greeting or configuration"),
            Ok(message) => match &mut hearing {
                Some(hearing) => hearing.take(message),
                None => log::warn!("a message before the configuration was ignored"),
            },
            Err(LinkError::Codec(e)) => log::warn!("a message could not be understood: {e}"),
            Err(_) => return Exit::Orphaned,
        }
    }
}

/// A listener that has been configured.
struct Hearing<R> {
    config: Arc<ListenerConfig>,
    detector: Detector,
    vitals: Vitals,
    jobs: Arc<AtomicU32>,
    streams: HashMap<StreamName, Arc<Hold>>,
    /// Of streams that are listened to, and of such as will be.
    pauses: HashMap<StreamName, Arc<Pauses>>,
    errands: mpsc::Sender<Errand>,
    report: R,
}

impl<R: Report> Hearing<R> {
    fn new(config: ListenerConfig, report: &R) -> Result<Self, String> {
        let vitals = Vitals::claim(&config.runtime_dir, config.board);
        let detector = Detector::load(Path::new(&config.vad_model)).map_err(|e| e.to_string())?;
        let (errands, list) = mpsc::channel();
        let keeper = Keeper::new(&config, report.clone()).map_err(|e| {
            format!("the folder for spilled speech {}: {e}; make room or choose another data folder", config.spill_dir)
        })?;
        vital("keeper", move || keeper.run(&list))?;
        Ok(Self {
            vitals,
            config: Arc::new(config),
            detector,
            jobs: Arc::default(),
            streams: HashMap::new(),
            pauses: HashMap::new(),
            errands,
            report: report.clone(),
        })
    }

    fn take(&mut self, message: ToListener) {
        self.forget_left();
        let errand = match message {
            ToListener::Listen { stream, mark } => return self.listen(stream, mark),
            ToListener::Forget { stream } => {
                if let Some(hold) = self.streams.get(&stream) {
                    hold.release();
                }
                return;
            }
            ToListener::Pause { stream, at, paused } => {
                self.pauses.entry(stream).or_default().turn(at, paused);
                return;
            }
            ToListener::Adopt(job) => Errand::Keep(job),
            ToListener::JobDone(id) => Errand::Done(id),
            ToListener::SpillAll => Errand::SpillAll,
            ToListener::SetAside(id) => Errand::SetAside(id),
            ToListener::Hello(_) | ToListener::Configure(_) | ToListener::Shutdown => return,
        };
        // The keeper lives as long as the process: `vital` sees to it.
        let _ = self.errands.send(errand);
    }

    /// Follows a stream. A thread that is still at it goes on into the stream's next epoch by itself.
    fn listen(&mut self, stream: StreamName, mark: Option<Mark>) {
        if self.streams.get(&stream).is_some_and(|hold| hold.renew()) {
            return;
        }
        let hold = Arc::<Hold>::default();
        self.streams.insert(stream.clone(), Arc::clone(&hold));
        let name = format!("scan-{stream}");
        let scan = Scan {
            config: Arc::clone(&self.config),
            pauses: Arc::clone(self.pauses.entry(stream.clone()).or_default()),
            hold,
            stream,
            mark,
            vitals: self.vitals.clone(),
            jobs: Arc::clone(&self.jobs),
            errands: self.errands.clone(),
            report: self.report.clone(),
        };
        let detector = self.detector.sibling();
        if let Err(reason) = vital(&name, move || scan.run(detector)) {
            self.report.say(FromListener::Fault(reason));
        }
    }

    /// Nothing stays of streams whose threads have left.
    fn forget_left(&mut self) {
        let (streams, pauses) = (&mut self.streams, &mut self.pauses);
        streams.retain(|stream, hold| {
            let left = hold.is_left();
            if left {
                pauses.remove(stream);
            }
            !left
        });
    }
}

/// Starts a thread without which the process is of no use: if it panics, the process ends and is restarted.
fn vital(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    struct Vital;
    impl Drop for Vital {
        fn drop(&mut self) {
            if thread::panicking() {
                std::process::exit(Exit::Fault.code().into());
            }
        }
    }
    let body = move || {
        let _vital = Vital;
        work();
    };
    thread::Builder::new().name(name.into()).spawn(body).map(drop).map_err(|e| format!("no thread for {name}: {e}"))
}
