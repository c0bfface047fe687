//! The harness of the system tests: real processes, private folders, watchdogs.
//!
//! What it does: starts the built programs (`cargo build --release` first) in folders of their own, reads
//! their output as it comes, kills their processes, counts word errors, and ends whatever it started.
//! What it never does: look inside a program (all it knows is the output contract and the rings), measure
//! a run time as a verdict (a wait ends by a watchdog of ten times the promise), or skip.
//!
//! ```no_run
//! use system_tests::{Setup, watchdog};
//! let mut instance = Setup::run(&["test:tone"]).start()?;
//! instance.wait_event("started", watchdog(5.0), |event| event.is("started"))?;
//! instance.interrupt()?;
//! instance.wait_exit(watchdog(2.0))?;
//! instance.assert_clean()?;
//! # Ok::<(), anyhow::Error>(())
//! ```

mod bare_home;
mod chance;
pub mod code;
mod counted;
mod event;
mod finished;
mod flood;
mod folders;
pub mod golden;
mod instance;
mod live_text;
mod load;
mod lost;
mod machine;
mod mirror;
mod mute_switch;
mod near;
mod paced;
mod pattern;
mod picture;
mod played;
mod processes;
mod programs;
mod pulse;
pub mod ramp;
mod reader_probe;
mod reference;
mod small_disk;
mod sounds;
mod speech;
mod status;
mod table;
mod terminal;
mod tones;
mod undisturbed;
mod viewer;
mod watch;
mod words;

pub use bare_home::{BareHome, PROXIES, TINY_FILE, VAD_FILE, vad};
pub use chance::Chance;
pub use counted::Counted;
pub use event::{Event, EventLog};
pub use finished::{Finished, run_to_end};
pub use flood::{Flood, Flooded};
pub use folders::Folders;
pub use instance::{Instance, Setup};
pub use live_text::assert_live_text;
pub use load::Burn;
pub use lost::{TimedWord, lost_in_a_row, lost_words};
pub use machine::{BASE_SPEECH, long, scaled};
pub use mirror::{Answer, Asked, Mirror};
pub use mute_switch::{MixChange, MuteSwitch};
pub use near::near;
pub use paced::{monotonic_s, paced_sample, sounded_at};
pub use pattern::{pattern_gap, pattern_gaps, pattern_sample};
pub use picture::{Picture, level_of};
pub use played::{Played, beside_tone_db};
pub use processes::{Process, end_process, processes_of};
pub use programs::{cache_home, direct, model, program, transcribe, tympan, workspace_root};
pub use pulse::Pulse;
pub use reader_probe::{Attacher, Following, Language, ReaderEvent, Readers, bindings, run_reader};
pub use reference::{numbers, python};
pub use small_disk::{OnSmallDisk, on_small_disk};
pub use sounds::{SOUNDS_RATE_HZ, Sound};
pub use speech::{CLIPS, Clip, Speech, clip_file};
pub use status::{ProcessStatus, Queue, Status, StreamStatus};
pub use table::Table;
pub use terminal::Terminal;
pub use tones::{ToneWriter, Tones};
pub use undisturbed::{Said, assert_no_word_lost, end_of, short, timed_words, undisturbed, words_in, words_of};
pub use viewer::Viewer;
pub use watch::{wait_until, watchdog};
pub use words::{WordErrors, align, errors_of, normalise};
