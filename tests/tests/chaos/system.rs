//! The system that is struck: one place, in which sessions follow each other over the same two files of speech.

use crate::account::{Account, RATE_HZ, Told, Utterance};
use crate::clients;
use crate::clock::WallClock;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use shm_layout::{AttachError, RingReader};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use system_tests::*;

/// From its start until everybody is ready.
const START_S: f64 = 3.0;
/// Until nobody is left of a supervisor that was killed, or asked to end.
pub(crate) const END_S: f64 = 2.0;
/// The clips of the first file; the second has them in another order.
const SENTENCES: [&str; 4] = ["librivox_0880.wav", "librivox_0890.wav", "librivox_0930.wav", "librivox_0920.wav"];
/// A device that never ends, and so neither does a session by itself.
const ENDLESS: &str = "hum=virtual:tone?drift_ppm=50&xrun_every_s=5";

/// How a session comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGKILL to the supervisor.
    Killed,
    /// SIGTERM to the supervisor.
    Asked,
    /// The same, after both files had come to their ends and all was written down.
    AllSaid,
}

/// A stream of speech.
struct Spoken {
    name: &'static str,
    speech: Speech,
    /// What is said when nobody disturbs it.
    undisturbed: Vec<Utterance>,
}

/// Descriptors and threads of a supervisor.
type Held = (usize, usize);

/// See the module's head.
pub(crate) struct System {
    streams: [Spoken; 2],
    programs: PathBuf,
    pub(crate) clock: WallClock,
    folders: Option<Folders>,
    instance: Option<Instance>,
    /// Of the present session: the frame its files began at, and what its supervisor held with so many workers.
    first_frame: u64,
    held: BTreeMap<usize, Held>,
    pub(crate) workers: usize,
    /// Over all sessions.
    pub(crate) account: Account,
    pub(crate) sessions: usize,
    kept: usize,
}

impl System {
    /// Listens to the speech once undisturbed, as fast as it goes, and starts the first session.
    ///
    /// # Errors
    /// When it does not come.
    pub(crate) fn start(room: &Path) -> Result<Self> {
        let programs = room.join("programs");
        std::fs::create_dir(&programs)?;
        for name in ["audio-engine", "transcriber-worker"] {
            symlink(program(name)?, programs.join(name))?;
        }
        let mut system = Self {
            streams: undisturbed()?,
            programs,
            clock: WallClock::make(room)?,
            folders: Some(Folders::new()?),
            instance: None,
            first_frame: 0,
            held: BTreeMap::new(),
            workers: 2,
            account: Account::default(),
            sessions: 0,
            kept: 0,
        };
        system.begin()?;
        Ok(system)
    }

    pub(crate) fn instance(&self) -> Result<&Instance> {
        self.instance.as_ref().context("no session runs")
    }

    pub(crate) fn runtime(&self) -> Result<PathBuf> {
        Ok(self.instance()?.folders().runtime())
    }

    /// Where a program of the system is.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// One more session in the same place.
    pub(crate) fn begin(&mut self) -> Result<()> {
        let folders = self.folders.take().context("a session runs already")?;
        let mut setup = Setup::run(&[]).folders(folders);
        for spoken in &self.streams {
            setup = setup.arg(spoken.source());
        }
        setup = setup.arg(ENDLESS);
        setup = setup.arg("--workers").arg(self.workers.to_string()).env("TYMPAN_LIBEXEC", &self.programs);
        for (name, value) in self.clock.environment() {
            setup = setup.env(name, value);
        }
        let instance = setup.start()?;
        instance.wait_event("the start", watchdog(START_S), |e| e.is("started"))?;
        // All rings of an engine begin together.
        self.first_frame = instance.ring(self.streams[0].name)?.info().first_frame.0;
        self.instance = Some(instance);
        self.sessions += 1;
        self.held.clear();
        self.whole(START_S, &[])?;
        self.kept += kept_of_killed(&self.instance()?.stderr());
        Ok(())
    }

    /// Waits until everybody runs, and none of those who should be gone; then until the supervisor holds no more than
    /// when it last had so many workers.
    ///
    /// # Errors
    /// When ten times what is promised passes first.
    pub(crate) fn whole(&mut self, within_s: f64, gone: &[Process]) -> Result<Status> {
        let runtime = self.runtime()?;
        let mut last = String::new();
        let status = wait_until("everybody's readiness", watchdog(within_s), || {
            let status = match clients::status(&runtime) {
                Ok(status) => status,
                Err(e) => {
                    last = format!("{e:#}");
                    return Ok(None);
                }
            };
            last = format!("{:?}", status.processes);
            // Of a process that has just ended the supervisor may not know yet.
            let stays = |pid: Option<u32>| gone.iter().any(|process| Some(process.pid) == pid || process.is_alive());
            let mut processes = status.processes.iter();
            let whole = status.processes.len() == 3 + self.workers
                && processes.all(|process| process.state == "running" && !stays(process.pid))
                // A file that is over has no ring after the next start of the engine.
                && status.streams.iter().any(|stream| stream.uri.starts_with("virtual:") && stream.epoch.is_some());
            Ok(whole.then_some(status))
        });
        let status = status.with_context(|| format!("{} workers wanted; last: {last}", self.workers))?;
        self.look_at_what_is_held()?;
        Ok(status)
    }

    fn look_at_what_is_held(&mut self) -> Result<()> {
        let (pid, workers) = (self.instance()?.pid(), self.workers);
        let Some(&before) = self.held.get(&workers) else {
            // What was there for the start only is gone a moment later.
            std::thread::sleep(watchdog(0.02));
            self.held.insert(workers, held(pid)?);
            return Ok(());
        };
        let mut now = before;
        wait_until("the end of what it held", watchdog(1.0), || {
            now = held(pid)?;
            Ok((now.0 <= before.0 && now.1 <= before.1).then_some(()))
        })
        .with_context(|| format!("descriptors and threads: {before:?} before, {now:?} now"))
    }

    /// Processes of a role, as the instance says.
    pub(crate) fn processes(&self, role: &str) -> Result<Vec<Process>> {
        let status = clients::status(&self.runtime()?)?;
        Ok(status.of_role(role).filter_map(|process| Process::of(process.pid?)).collect())
    }

    /// How far each file has come.
    fn positions(&self) -> Result<[u64; 2]> {
        let (events, runtime) = (self.instance()?.log().all()?, self.runtime()?);
        let position = |spoken: &Spoken| {
            let gaps = events.iter().filter(|e| e.is("gap") && e.fields["stream"] == spoken.name).map(Event::span);
            let gap_frames: u64 = gaps.map(|gap| gap.map_or(0, |gap| gap.end - gap.start)).sum();
            match RingReader::attach_stream(&runtime, spoken.name) {
                Ok(ring) => Ok(ring.commit().0.saturating_sub(self.first_frame + gap_frames)),
                // Over for so long that it is history.
                Err(AttachError::Missing(_)) => Ok(u64::MAX),
                Err(e) => Err(e),
            }
        };
        Ok([position(&self.streams[0])?, position(&self.streams[1])?])
    }

    /// Whether both files are over, and nothing of them is still to be written down.
    pub(crate) fn all_is_said(&self) -> Result<bool> {
        let status = clients::status(&self.runtime()?)?;
        let files = || status.streams.iter().filter(|stream| stream.uri.starts_with("file:"));
        // Between the end of a file and its last utterance the listener is still busy with it.
        let over = files().all(|stream| stream.state == "ended" && stream.lag_s.is_none());
        Ok(over && status.queue.waiting == 0 && status.queue.running == 0)
    }

    /// Ends a session, and begins the next.
    ///
    /// # Errors
    /// As both.
    pub(crate) fn end_and_begin(&mut self, signal: Signal, how: End) -> Result<()> {
        self.end(signal, how)?;
        self.begin()
    }

    /// Ends a session and counts where its words went. Its folders are there for the next one.
    ///
    /// # Errors
    /// When it does not end, leaves something that it should not, or a word is nowhere.
    pub(crate) fn end(&mut self, signal: Signal, how: End) -> Result<()> {
        let come_to = self.positions()?;
        ensure!(end_process(self.instance()?.pid(), signal), "the supervisor ended by itself");
        let mut instance = self.instance.take().context("no session runs")?;
        let kept = wait_end(&mut instance, how)?;
        let events = instance.log().all()?;
        let mut account = Account::default();
        for (spoken, come_to) in self.streams.iter().zip(come_to) {
            let told = Told::of(&events, spoken.name, self.first_frame)?;
            let until = match how {
                // Texts leave in their order: what came before the last one had its turn.
                End::Killed => told.heard.last().map_or(0, |last| last.span.start),
                // What was about to end is cut there, as the user wished.
                End::Asked => come_to.saturating_sub(RATE_HZ),
                End::AllSaid => u64::MAX,
            };
            let of_this = told.compare(&spoken.undisturbed, until, kept - account.kept);
            account += of_this.inspect_err(|_| show(&events)).with_context(|| spoken.name)?;
        }
        eprintln!("  session {} ended ({how:?}): {account:?}", self.sessions);
        self.account += account;
        self.kept += kept;
        self.folders = Some(instance.into_folders());
        Ok(())
    }

    /// What was kept as sound is there, and nothing is left of what ended.
    ///
    /// # Errors
    /// What is not so.
    pub(crate) fn census_at_the_end(&self) -> Result<()> {
        let folders = self.folders.as_ref().context("a session runs")?;
        folders.assert_clean()?;
        let files = |dir: &Path| std::fs::read_dir(dir).map_or(0, Iterator::count);
        let (pending, spills) = (files(&folders.data().join("pending")), files(&folders.data().join("spill")));
        ensure!(pending == self.kept, "{pending} files are pending, {} were told of", self.kept);
        ensure!(spills == 0, "{spills} spill folders are left");
        Ok(())
    }

    /// While a session runs: its processes, no more, and no zombie.
    ///
    /// # Errors
    /// What is not so.
    pub(crate) fn census(&self) -> Result<()> {
        let (supervisor, there) = (self.instance()?.pid(), processes_of(&self.runtime()?));
        ensure!(there.len() == 3 + self.workers, "{} workers wanted: {there:?}", self.workers);
        let children = children_of(supervisor)?;
        ensure!(children.len() == 2 + self.workers, "its children: {children:?}");
        ensure!(children.iter().all(|(_, state)| *state != 'Z'), "a zombie: {children:?}");
        Ok(())
    }
}

impl Spoken {
    fn new(name: &'static str, sentences: &[&str]) -> Result<Self> {
        Ok(Self { name, speech: Speech::join(sentences)?, undisturbed: Vec::new() })
    }

    /// Name and URI.
    fn source(&self) -> String {
        format!("{}={}", self.name, self.speech.uri())
    }
}

/// Both files, and what their words are when nobody disturbs them.
fn undisturbed() -> Result<[Spoken; 2]> {
    let mut backwards = SENTENCES;
    backwards.reverse();
    // The longest sentence is not the first one there either.
    backwards.rotate_left(1);
    let mut streams = [Spoken::new("one", &SENTENCES)?, Spoken::new("two", &backwards)?];
    let mut instance = Setup::run(&[&streams[0].source(), &streams[1].source()]).arg("--fast").start()?;
    let most_s = streams[0].speech.seconds() + streams[1].speech.seconds();
    instance.wait_event("stopped", watchdog(most_s), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(END_S))?;
    for spoken in &mut streams {
        spoken.undisturbed = Told::of(&instance.log().all()?, spoken.name, 0)?.heard;
        ensure!(spoken.undisturbed.len() >= SENTENCES.len(), "{:?}", spoken.undisturbed);
    }
    Ok(streams)
}

/// Waits for a session's end; how many utterances it says it has kept as sound.
fn wait_end(instance: &mut Instance, how: End) -> Result<usize> {
    let runtime = instance.folders().runtime();
    if how == End::Killed {
        let orphans = || Ok(processes_of(&runtime).is_empty().then_some(()));
        wait_until("the end of all orphans", watchdog(END_S), orphans)?;
        return Ok(0);
    }
    let exit = instance.wait_exit(watchdog(END_S))?;
    let events = instance.log().all()?;
    let lost = events.iter().any(|e| e.is("lost"));
    ensure!(exit.code() == Some(if lost { 5 } else { 0 }), "{exit}: {}", instance.stderr());
    let last = events.last().filter(|e| e.is("stopped")).context("no `stopped`")?;
    instance.assert_clean()?;
    Ok(usize::try_from(last.whole("pending")?)?)
}

/// How many utterances of killed instances a start says it has kept.
fn kept_of_killed(stderr: &str) -> usize {
    let says = |line: &str| {
        let (before, _) = line.split_once(" utterances of an instance that was killed are kept")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    };
    stderr.lines().filter_map(says).sum()
}

fn held(pid: u32) -> Result<Held> {
    let count = |what: &str| Ok::<_, anyhow::Error>(std::fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
    Ok((count("fd")?, count("task")?))
}

/// Processes with this parent, and their states.
fn children_of(parent: u32) -> Result<Vec<(u32, char)>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in brackets, may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next()).context("a state")?;
        if fields.next().and_then(|ppid| ppid.parse().ok()) == Some(parent) {
            children.push((pid, state));
        }
    }
    Ok(children)
}

/// All events but the partial texts, a short line each, for whoever looks for a mistake.
fn show(events: &[Event]) {
    for event in events.iter().filter(|event| !event.is("partial")) {
        let fields = event.fields.as_object().into_iter().flatten();
        let told =
            fields.filter(|(name, _)| !["words", "emitted_s", "start_frame", "end_frame"].contains(&name.as_str()));
        eprintln!("  {}", told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "));
    }
}
