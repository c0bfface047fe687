//! The readers in other languages: every frame is read, lost or in a gap, whoever is killed; and no bytes hurt them.

use anyhow::{Context, Result, ensure};
use audio_dsp::{COUNT_MODULUS, decode_count};
use nix::sys::signal::Signal;
use shm_layout::{
    AttachError, Epoch, FrameIndex, ReadError, RingReader, RingSpec, RingState, RingWarden, RingWriter, SessionId,
};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::*;
use tempfile::TempDir;

static READERS: LazyLock<Readers> = LazyLock::new(|| Readers::build().expect("the readers"));

const ALL: [Language; 5] = [Language::C, Language::CSanitized, Language::Cpp, Language::Python, Language::Node];

fn shared_folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?)
}

// ------------------------------------------------------------------------------------------------- live rings

/// A writer of the tests' pattern in a process of its own.
struct Writer(Child);

impl Writer {
    const CAPACITY: u64 = 96_000;
    const BLOCK: u64 = 480;

    fn start(dir: &Path, epoch: u64, first: u64, pause_us: u64) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ring-writer"));
        command
            .arg(dir)
            .arg("pattern")
            .args([epoch, first, Self::CAPACITY, Self::BLOCK, pause_us].map(|n| n.to_string()));
        let writer = Self(command.stdin(Stdio::piped()).spawn()?);
        let ring = dir.join(format!("pattern.{epoch}.ring"));
        wait_until("the ring", watchdog(1.0), || Ok(ring.exists().then_some(())))?;
        Ok(writer)
    }

    /// Lets it end its ring in order.
    fn close(mut self) -> Result<()> {
        self.0.stdin.take().context("piped")?.write_all(b"c")?;
        ensure!(self.0.wait()?.success(), "the writer failed");
        Ok(())
    }

    fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where every frame of a stream went.
#[derive(Debug, Default)]
struct Account {
    next: Option<u64>,
    began: u64,
    read: u64,
    in_table_gaps: u64,
    lost: u64,
    between_epochs: u64,
    epochs: Vec<u64>,
    crashed: Vec<u64>,
    closed: Option<u64>,
    /// Gaps that were told for the frames that come next.
    told: Vec<(u64, u64)>,
}

impl Account {
    /// Nothing is left out and nothing comes twice.
    fn take(
        &mut self,
        event: ReaderEvent,
        look: &mut impl FnMut(u64, &[&[f32]], &[(u64, u64)]) -> Result<()>,
    ) -> Result<()> {
        match event {
            ReaderEvent::Epoch { epoch, first, gap: (from, to) } => {
                ensure!(self.epochs.last().is_none_or(|&last| last < epoch), "epoch {epoch} after {:?}", self.epochs);
                match self.next {
                    Some(next) => {
                        ensure!(from == next && to == first, "the gap {from}..{to} after {next}, before {first}")
                    }
                    None => (self.began, self.next) = (to, Some(to)),
                }
                self.between_epochs += to - from;
                self.epochs.push(epoch);
                self.next = Some(to);
            }
            ReaderEvent::Gap(from, to) => self.told.push((from, to)),
            ReaderEvent::Frames { from, frames, planar } => {
                ensure!(self.next == Some(from), "{:?} was expected, {from} came", self.next);
                let end = from + frames as u64;
                let told: Vec<_> = self.told.drain(..).map(|gap| (gap.0.max(from), gap.1.min(end))).collect();
                ensure!(told.iter().all(|gap| gap.0 < gap.1), "gaps {told:?} of {from}..{end}");
                let channels: Vec<&[f32]> = planar.chunks_exact(frames).collect();
                look(from, &channels, &told)?;
                let gaps: u64 = told.iter().map(|gap| gap.1 - gap.0).sum();
                self.in_table_gaps += gaps;
                self.read += frames as u64 - gaps;
                self.next = Some(end);
            }
            ReaderEvent::Lost(from, to) => {
                ensure!(self.next == Some(from) && to > from, "lost {from}..{to} at {:?}", self.next);
                self.lost += to - from;
                self.next = Some(to);
            }
            ReaderEvent::Closed(at) | ReaderEvent::Crashed(at) => {
                ensure!(self.next == Some(at), "an end at {at}, and {:?} was next", self.next);
                if matches!(event, ReaderEvent::Closed(_)) { self.closed = Some(at) } else { self.crashed.push(at) }
            }
            ReaderEvent::Waiting => {}
        }
        Ok(())
    }

    fn check_sum(&self) -> Result<()> {
        let all = self.closed.context("never closed")? - self.began;
        let sum = self.read + self.in_table_gaps + self.lost + self.between_epochs;
        ensure!(all == sum, "{all} frames, and {sum} accounted for: {self:?}");
        Ok(())
    }
}

/// Every sample is the pattern's, and so are the gaps.
fn look_at_pattern(from: u64, channels: &[&[f32]], told: &[(u64, u64)]) -> Result<()> {
    for (channel, samples) in (0..).zip(channels) {
        for (frame, &sample) in (from..).zip(*samples) {
            let expected = pattern_sample(frame, channel);
            ensure!(
                sample.to_bits() == expected.to_bits(),
                "frame {frame}, channel {channel}: {sample}, not {expected}"
            );
        }
    }
    let expected = pattern_gaps(from, from + channels[0].len() as u64);
    ensure!(joined(told) == joined(&expected), "at {from}: gaps {told:?}, not {expected:?}");
    Ok(())
}

/// Gaps that touch are one: the writer may tell of one in pieces.
fn joined(gaps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for &(from, to) in gaps {
        match all.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => all.push((from, to)),
        }
    }
    all
}

fn accounts_for_every_frame(language: Language) -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    let kills = scaled(100);
    let mut following = READERS.follower(language, dir, "pattern")?;
    let pid = following.pid();
    let collector = std::thread::spawn(move || -> Result<Account> {
        let mut account = Account::default();
        while let Some(event) = following.next(watchdog(6.0))? {
            account.take(event, &mut look_at_pattern)?;
        }
        let status = following.ended()?;
        ensure!(status.success(), "{language:?} ended with {status}: {account:?}");
        Ok(account)
    });
    // Twenty times as fast as sound, so that the ring holds a tenth of a second.
    let mut first = 1_000;
    let mut ends = Vec::new();
    for epoch in 1..=kills {
        let writer = Writer::start(dir, epoch, first, 400)?;
        std::thread::sleep(Duration::from_millis(150 + epoch * 37 % 200));
        if epoch % 3 == 1 {
            // It sleeps for longer than the ring is, so it must be lapped.
            ensure!(end_process(pid, Signal::SIGSTOP), "the reader is gone");
            let ring = RingReader::attach_stream(dir, "pattern")?;
            let lap = ring.commit().0 + 2 * Writer::CAPACITY;
            let lapped = wait_until("a lap", watchdog(2.0), || Ok((ring.commit().0 > lap).then_some(())));
            ensure!(end_process(pid, Signal::SIGCONT), "the reader is gone");
            lapped?;
        }
        writer.kill()?;
        let warden = RingWarden::attach(dir, "pattern", Epoch(epoch))?;
        ends.push(warden.commit().0);
        first = warden.reserve().0 + 1_000;
        // Half of the deaths are told by a supervisor; the other half the reader has to find out.
        if epoch % 2 == 0 {
            warden.mark_crashed();
        }
    }
    let last = Writer::start(dir, kills + 1, first, 400)?;
    std::thread::sleep(Duration::from_millis(300));
    last.close()?;
    let account = collector.join().map_err(|_| anyhow::anyhow!("the collector panicked"))??;
    eprintln!("{language:?}: {account:?}");
    account.check_sum()?;
    ensure!(account.crashed == ends, "crashes at {:?}, not {ends:?}", account.crashed);
    ensure!(account.epochs == (1..=kills + 1).collect::<Vec<_>>(), "epochs {:?}", account.epochs);
    ensure!(account.between_epochs >= kills * 1_000, "the gaps between epochs: {account:?}");
    ensure!(account.lost > 0 && account.in_table_gaps > 0, "neither lapped nor in a gap: {account:?}");
    ensure!(account.read > kills * 10_000, "hardly anything was read: {account:?}");
    Ok(())
}

#[test]
fn c_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::C)
}

#[test]
fn python_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::Python)
}

#[test]
fn node_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::Node)
}

/// In one epoch the count goes on by one a frame, but for gaps.
fn look_at_count(last: &mut Option<(u32, u64)>) -> impl FnMut(u64, &[&[f32]], &[(u64, u64)]) -> Result<()> {
    move |from, channels, gaps| {
        for (frame, &sample) in (from..).zip(channels[0]) {
            let at = usize::try_from(frame - from)?;
            ensure!(channels.iter().all(|c| c[at].to_bits() == sample.to_bits()), "{frame}: the channels differ");
            if gaps.iter().any(|gap| gap.0 <= frame && frame < gap.1) {
                ensure!(sample == 0.0, "{frame} lies in a gap and carries {sample}");
                *last = last.map(|(number, since)| (number, since + 1));
                continue;
            }
            let number =
                decode_count(sample).with_context(|| format!("{frame} carries {sample}, which is no count"))?;
            if let Some((before, gap)) = *last {
                let jump = number.wrapping_sub(before.wrapping_add(1)) % COUNT_MODULUS;
                ensure!(u64::from(jump) <= gap, "{frame}: {number} after {before}, with {gap} frames of gap between");
            }
            *last = Some((number, 0));
        }
        Ok(())
    }
}

#[test]
fn a_live_engine_that_is_killed_is_followed_into_its_next_epoch() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let dir = instance.folders().runtime();
    let collectors: Vec<_> = [Language::C, Language::Python, Language::Node]
        .into_iter()
        .map(|language| {
            let mut following = READERS.follower(language, &dir, "test")?;
            Ok(std::thread::spawn(move || -> Result<(Language, Account)> {
                let (mut account, mut last) = (Account::default(), None);
                while let Some(event) = following.next(watchdog(6.0))? {
                    if matches!(event, ReaderEvent::Epoch { .. } | ReaderEvent::Lost(..)) {
                        last = None;
                    }
                    account.take(event, &mut look_at_count(&mut last)).with_context(|| format!("{language:?}"))?;
                }
                let status = following.ended()?;
                ensure!(status.success(), "{language:?} ended with {status}");
                Ok((language, account))
            }))
        })
        .collect::<Result<_>>()?;
    let ring = instance.ring("test")?;
    instance.wait_captured(&ring, 2.0)?;
    instance.kill_role("engine")?;
    let next = wait_until("the next epoch", watchdog(5.0), || {
        let newest = RingReader::attach_stream(&dir, "test").ok();
        Ok(newest.filter(|newest| newest.info().epoch > ring.info().epoch))
    })?;
    instance.wait_captured(&next, 2.0)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    for collector in collectors {
        let (language, account) = collector.join().map_err(|_| anyhow::anyhow!("a collector panicked"))??;
        eprintln!("{language:?}: {account:?}");
        account.check_sum()?;
        ensure!(account.crashed.len() == 1 && account.epochs.len() == 2, "{language:?}: {account:?}");
        ensure!(account.between_epochs > 0 && account.read > 3 * 48_000, "{language:?}: {account:?}");
    }
    instance.assert_clean()
}

// -------------------------------------------------------------------------------------------------- bad bytes

/// Every number a Node reader can hold exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;
const CHECKSUM: usize = 276;

/// A small ring with two gaps, whose writer is this process; its bytes.
fn ring_bytes(dir: &Path, frames: u64) -> Result<Vec<u8>> {
    let spec = RingSpec {
        stream: "pattern".into(),
        session: SessionId(*b"a session's uuid"),
        epoch: Epoch(3),
        previous_epoch: Some(Epoch(2)),
        sample_rate_hz: 44_100,
        channels: 2,
        capacity_frames: 1_000,
        first_frame: FrameIndex(5_000),
        labels: vec!["links".into(), "für rechts".into()],
        overview: true,
    };
    let mut ring = RingWriter::create(dir, &spec)?;
    for from in (5_000..5_000 + frames).step_by(100) {
        if from % 300 == 200 {
            ring.mark_gap(FrameIndex(from), FrameIndex(from + 7), 2);
        }
        let planar: Vec<f32> = (0..2).flat_map(|c| (from..from + 100).map(move |f| pattern_sample(f, c))).collect();
        ring.write(&planar, 100);
    }
    let path = ring.path().to_owned();
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    std::fs::remove_file(dir.join("pattern.ring"))?;
    Ok(bytes)
}

fn put(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

/// CRC-32 (IEEE), bit by bit: a third way to the same number.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn seal(bytes: &mut [u8]) {
    let crc = crc32(&[&bytes[16..40], &bytes[256..CHECKSUM], &[0; 4], &bytes[CHECKSUM + 4..4096]]);
    bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&crc.to_le_bytes());
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file.write_all(bytes)?)
}

/// What the Rust reader says of a file, in the words of the probes (but for the time of the day).
fn rust_answer(path: &Path) -> Result<String> {
    let ring = match RingReader::attach(path) {
        Ok(ring) => ring,
        Err(error) => {
            return Ok(format!(
                "error {}",
                match error {
                    AttachError::Missing(_) => "missing",
                    AttachError::Io { .. } => "io",
                    AttachError::Untrusted { .. } => "untrusted",
                    AttachError::Version { .. } => "version",
                    AttachError::Feature { .. } => "feature",
                    AttachError::Malformed(_) => "malformed",
                }
            ));
        }
    };
    let info = ring.info();
    let hex = |bytes: &[u8]| match bytes {
        [] => "-".to_owned(),
        bytes => bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    };
    let mut line = format!(
        "ok {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}",
        info.sample_rate_hz,
        info.channels,
        info.capacity_frames,
        info.first_frame,
        info.epoch,
        info.previous_epoch.unwrap_or(Epoch(0)),
        info.writer_pid,
        info.writer_start_time,
        ring.commit(),
        ring.oldest(),
        ring.gap_frames(),
        ring.state().as_str(),
        u8::from(info.overview.is_some()),
        hex(&info.session.0),
        hex(info.stream.as_bytes()),
    );
    if !info.labels.is_empty() {
        let labels: Vec<_> = info.labels.iter().map(|label| hex(label.as_bytes())).collect();
        write!(line, " {}", labels.join(","))?;
    }
    let frames = usize::try_from(info.capacity_frames.min(16))?;
    let mut planar = vec![0.0; frames * info.channels as usize];
    for name in ["oldest", "newest", "first"] {
        let read = match name {
            "oldest" => ring.read(ring.oldest(), &mut planar, frames),
            "newest" => ring.read_newest(&mut planar, frames).map(drop),
            _ => ring.read(info.first_frame, &mut planar, frames),
        };
        match read {
            Ok(()) => {
                let bytes: Vec<u8> = planar.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                write!(line, " {name}:ok:{:08x}", crc32(&[&bytes]))?;
            }
            Err(ReadError::Lost { from, to }) => write!(line, " {name}:lost:{from}:{to}")?,
            Err(ReadError::NotYet { available }) => write!(line, " {name}:not_yet:{available}")?,
            Err(ReadError::BeforeFirst { first }) => write!(line, " {name}:before_first:{first}")?,
        }
    }
    for gap in ring.gaps(FrameIndex(0), FrameIndex(u64::MAX)) {
        write!(line, " gap:{}:{}:{}", gap.from, gap.to, gap.cause)?;
    }
    let time = ring.instant_of(ring.commit()).map_or("-".to_owned(), |ns| ns.to_string());
    write!(line, " monotonic:{time}")?;
    Ok(line)
}

/// All readers, asked together.
struct Everyone(Vec<Attacher>);

impl Everyone {
    fn start() -> Result<Self> {
        Ok(Self(ALL.into_iter().map(|language| READERS.attacher(language)).collect::<Result<_>>()?))
    }

    /// What all of them say, which must be what the Rust reader says.
    fn ask(&mut self, path: &Path) -> Result<String> {
        let expected = rust_answer(path)?;
        let beyond = expected.split([' ', ':']).filter_map(|w| w.parse::<u64>().ok()).any(|n| n > SAFE_MAX);
        let mut walls = Vec::new();
        for attacher in &mut self.0 {
            let language = attacher.language();
            let answer = attacher.ask(path)?;
            let told = if answer.starts_with("error ") {
                answer.split(' ').take(2).collect::<Vec<_>>().join(" ")
            } else {
                let (told, wall) = answer.rsplit_once(" wall:").with_context(|| format!("{language:?}: {answer}"))?;
                walls.push((language, wall.to_owned()));
                told.to_owned()
            };
            // Numbers that no honest file has are not exact in Node; it may refuse them.
            if language == Language::Node && beyond {
                ensure!(told.starts_with("ok ") || told == "error malformed", "Node: {answer}");
                walls.retain(|wall| wall.0 != Language::Node);
                continue;
            }
            ensure!(told == expected, "{language:?} says\n{told}\nand Rust\n{expected}");
        }
        ensure!(walls.windows(2).all(|pair| pair[0].1 == pair[1].1), "times of the day: {walls:?}");
        Ok(expected)
    }

    fn end(self) -> Result<()> {
        self.0.into_iter().try_for_each(Attacher::end)
    }
}

fn command(program: &str, arguments: &[&Path]) -> Result<()> {
    ensure!(Command::new(program).args(arguments).status()?.success(), "{program} failed");
    Ok(())
}

/// A file that belongs to somebody else.
fn foreign(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    write_private(path, bytes)?;
    match std::os::unix::fs::chown(path, Some(65_534), None) {
        Ok(()) => Ok(path.to_owned()),
        // Only root may give a file away; to everybody else, root's files are foreign.
        Err(_) => Ok("/etc/passwd".into()),
    }
}

#[test]
fn files_that_are_no_rings_are_refused_for_their_reason() -> Result<()> {
    let folder = shared_folder()?;
    let path = |name: &str| folder.path().join(name);
    let good = ring_bytes(folder.path(), 2_500)?;
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let sealed = |offset: usize, value: u64| {
        changed(&|bytes| {
            put(bytes, offset, value);
            seal(bytes);
        })
    };
    let contents: [(&str, &str, Vec<u8>); 22] = [
        ("ok", "good", good.clone()),
        ("ok", "unknown optional feature", sealed(288, 3 | 1 << 40)),
        ("ok", "no labels and no overview", sealed(288, 0)),
        ("error feature", "unknown required feature", sealed(280, 1)),
        ("error version", "version 3", sealed(8, 3)),
        ("error version", "version 1", sealed(8, 1)),
        ("error malformed", "empty", Vec::new()),
        ("error malformed", "half a header", good[..2_000].to_vec()),
        ("error malformed", "cut off", good[..good.len() - 4_096].to_vec()),
        ("error malformed", "longer", changed(&|bytes| bytes.extend([0; 4_096]))),
        ("error malformed", "another magic", sealed(0, 1)),
        ("error malformed", "a wrong checksum", changed(&|bytes| bytes[CHECKSUM] ^= 1)),
        ("error malformed", "a flipped bit", changed(&|bytes| bytes[3_000] ^= 4)),
        ("error malformed", "no channels", sealed(24, 0)),
        ("error malformed", "65 channels", sealed(24, 65)),
        ("error malformed", "a capacity beyond the file", sealed(32, 1 << 40)),
        ("error malformed", "a capacity that overflows", sealed(32, u64::MAX / 4 + 2)),
        ("error malformed", "a stride that overflows", sealed(352, 1 << 63)),
        ("error malformed", "a table behind the samples", sealed(368, 1 << 20)),
        ("error malformed", "a name of nothing", sealed(392, 0)),
        ("error malformed", "a name with a slash", sealed(400, u64::from_le_bytes(*b"../../ab"))),
        ("error malformed", "a label that is no UTF-8", sealed(512, 0xff)),
    ];
    let mut everyone = Everyone::start()?;
    for (expected, name, bytes) in &contents {
        write_private(&path(name), bytes)?;
        let said = everyone.ask(&path(name)).with_context(|| (*name).to_owned())?;
        ensure!(said.starts_with(expected), "{name}: {said}");
    }
    let (link, fifo, holes, open) = (path("a link"), path("a fifo"), path("holes"), path("open to others"));
    std::os::unix::fs::symlink(path("good"), &link)?;
    command("mkfifo", &[Path::new("-m600"), &fifo])?;
    write_private(&holes, &good[..4_096])?;
    OpenOptions::new().write(true).open(&holes)?.set_len(good.len() as u64)?;
    write_private(&open, &good)?;
    for mode in [0o644, 0o620, 0o601] {
        std::fs::set_permissions(&open, Permissions::from_mode(mode))?;
        ensure!(everyone.ask(&open)? == "error untrusted", "mode {mode:o}");
    }
    for (expected, path) in [
        ("error missing", path("nothing there")),
        ("error untrusted", link),
        ("error untrusted", fifo),
        ("error untrusted", holes),
        ("error untrusted", foreign(&path("foreign"), &good)?),
        ("error untrusted", folder.path().to_owned()),
        ("error io", path("good").join("below a file")),
    ] {
        let said = everyone.ask(&path)?;
        ensure!(said == expected, "{}: {said}, not {expected}", path.display());
    }
    everyone.end()
}

/// Numbers that look random and are the same at each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("fits")]
    }

    /// Some fields are given values that lie near a border, or bits are flipped; most often the checksum is right.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const WORDS: [usize; 33] = [
            16, 24, 32, 40, 56, 64, 128, 136, 256, 264, 272, 288, 312, 320, 328, 336, 344, 352, 360, 368, 376, 384,
            392, 400, 464, 472, 480, 488, 512, 4_096, 4_112, 4_120, 4_160,
        ];
        for _ in 0..=self.below(3) {
            let offset = self.of(&WORDS);
            let old = u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("8 bytes"));
            let any = self.next();
            let borders = [0, 1, 2, 63, 64, 1 << 31, 1 << 32, 1 << 53, 1 << 63, u64::MAX, u64::MAX / 4, any, any >> 40];
            let near =
                [old.wrapping_add(1), old.wrapping_sub(1), old * 2 % (1 << 60), old / 2, old ^ (1 << (any % 64))];
            let value = if any & 1 == 0 { self.of(&borders) } else { self.of(&near) };
            put(bytes, offset, value);
        }
        if self.below(4) == 0 {
            let at = usize::try_from(self.below(bytes.len() as u64)).expect("fits");
            bytes[at] ^= 1 << self.below(8);
        }
        if self.below(10) > 0 {
            seal(bytes);
        }
        if self.below(20) == 0 {
            let length = self.below(bytes.len() as u64 + 8_192);
            bytes.resize(usize::try_from(length).expect("fits"), 0);
        }
    }
}

#[test]
fn damaged_headers_are_read_as_rust_reads_them_or_refused() -> Result<()> {
    let folder = shared_folder()?;
    let path = folder.path().join("damaged");
    let good = ring_bytes(folder.path(), 2_500)?;
    let mut everyone = Everyone::start()?;
    let (mut dice, mut read, mut refused) = (Dice(1), 0, 0);
    for round in 0..scaled(40_000) {
        let mut bytes = good.clone();
        dice.damage(&mut bytes);
        write_private(&path, &bytes)?;
        let said = everyone.ask(&path).with_context(|| format!("round {round}"))?;
        *(if said.starts_with("ok ") { &mut read } else { &mut refused }) += 1;
    }
    eprintln!("{read} read, {refused} refused");
    ensure!(read > 100 && refused > 100, "{read} read, {refused} refused");
    everyone.end()
}

#[test]
fn bytes_that_change_meanwhile_hurt_nobody() -> Result<()> {
    let folder = shared_folder()?;
    let path = folder.path().join("changing");
    let good = ring_bytes(folder.path(), 900)?;
    write_private(&path, &good)?;
    let ms = 1_000 * scaled(30);
    let running: Vec<_> = ALL
        .into_iter()
        .map(|language| {
            let mut command = READERS.probe(language);
            command.arg("hammer").arg(&path).arg(ms.to_string());
            (language, std::thread::spawn(move || run_reader(&mut command)))
        })
        .collect();
    let file = OpenOptions::new().write(true).open(&path)?;
    let (mut dice, over) = (Dice(2), AtomicBool::new(false));
    let results = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut bytes = good.clone();
                if dice.below(2) == 0 {
                    dice.damage(&mut bytes);
                    // The length stays: a live ring is never cut off.
                    bytes.resize(good.len(), 0);
                }
                file.write_all_at(&bytes[..20_000], 0).expect("the file is there");
                // The good and the bad are both there long enough to be met.
                std::thread::sleep(Duration::from_micros(dice.below(2_000)));
            }
        });
        let results: Vec<_> = running.into_iter().map(|(language, thread)| (language, thread.join())).collect();
        over.store(true, Ordering::Relaxed);
        results
    });
    for (language, result) in results {
        let finished =
            result.map_err(|_| anyhow::anyhow!("{language:?}: panicked"))?.context(format!("{language:?}"))?;
        let counts: Vec<u64> = finished.stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        eprintln!("{language:?}: attached, refused, reads, refused reads: {counts:?}");
        ensure!(counts.len() == 4 && counts.iter().all(|&count| count > 0), "{language:?}: {counts:?}");
    }
    Ok(())
}

// --------------------------------------------------------------------------------------------------- examples

#[test]
fn the_examples_do_what_they_say() -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    let writer = Writer::start(dir, 1, 1_000, 2_000)?;
    let ring = RingReader::attach_stream(dir, "pattern")?;
    wait_until("a second of sound", watchdog(2.0), || Ok((ring.commit().0 > 49_000).then_some(())))?;
    writer.close()?;
    ensure!(ring.state() == RingState::Closed, "{:?}", ring.state());
    let wav = dir.join("last.wav");
    for (bits, step) in [("16", 1.0 / 32_767.0), ("24", 1.0 / 8_388_607.0)] {
        let mut save = READERS.python("examples/save_last.py");
        save.arg(dir).arg("pattern").arg(&wav).args(["--seconds", "0.5", "--bits", bits]);
        run_reader(&mut save)?;
        let mut saved = hound::WavReader::open(&wav)?;
        ensure!((saved.spec().channels, saved.spec().sample_rate) == (2, 48_000), "{:?}", saved.spec());
        ensure!(saved.duration() == 24_000, "{} frames", saved.duration());
        let scale = if bits == "16" { 32_767.0 } else { 8_388_607.0 };
        let begin = ring.commit().0 - 24_000;
        for (at, sample) in (0_u64..).zip(saved.samples::<i32>()) {
            let expected = pattern_sample(begin + at / 2, at % 2);
            let found = f64::from(sample?) / scale;
            ensure!((found - f64::from(expected)).abs() <= step, "{bits} bits, {at}: {found}, not {expected}");
        }
    }
    let newest = dir.join("pattern.ring");
    for mut bench in [READERS.built("bench"), READERS.python("examples/bench.py"), READERS.node("examples/bench.js")] {
        let said = run_reader(bench.arg(&newest))?;
        eprintln!("{}", said.stdout.trim());
        ensure!(said.stdout.contains("p50"), "{said:?}");
    }
    Ok(())
}

/// A second of a stereo sine at half of full scale on the left, and silence on the right.
fn write_tone(dir: &Path, hz: f64) -> Result<()> {
    let spec = RingSpec {
        stream: "tone".into(),
        session: SessionId([7; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 2,
        capacity_frames: 96_000,
        first_frame: FrameIndex(0),
        labels: vec!["left".into(), "right".into()],
        overview: false,
    };
    let mut ring = RingWriter::create(dir, &spec)?;
    for from in (0..48_000_u32).step_by(480) {
        let sine = |n: u32| (0.5 * (std::f64::consts::TAU * hz * f64::from(n) / 48_000.0).sin()) as f32;
        let planar: Vec<f32> = (from..from + 480).map(sine).chain(std::iter::repeat_n(0.0, 480)).collect();
        ring.write(&planar, 480);
    }
    ring.close();
    Ok(())
}

#[test]
fn the_pictures_show_what_is_there() -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    write_tone(dir, 1_000.0)?;
    let meter = run_reader(READERS.built("level-meter").arg(dir).arg("tone"))?;
    let of = |channel: &str| meter.stdout.lines().rfind(|line| line.contains(channel)).context(meter.stdout.clone());
    ensure!(of("left")?.contains("-9.0 dB  peak   -6.0 dBFS"), "{meter:?}");
    ensure!(of("right")?.contains("-100.0 dBFS"), "{meter:?}");
    let spectrum = run_reader(READERS.node("examples/spectrum.js").arg(dir).arg("tone"))?;
    // 79 columns from 40 Hz to 16 kHz, in equal steps of pitch; the highest bar is the tone.
    let column = 79.0 * (1_000.0_f64 / 40.0).ln() / (16_000.0_f64 / 40.0).ln();
    let top = spectrum.stdout.lines().find(|line| line.contains('█')).context("no picture")?;
    let shown = top.chars().position(|c| c == '█').context("no bar")?;
    ensure!((shown as f64 - column).abs() <= 1.5, "the bar is in column {shown}, not {column}:\n{}", spectrum.stdout);
    Ok(())
}
