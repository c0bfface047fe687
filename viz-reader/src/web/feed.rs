//! Reads each stream that somebody looks at, once, for all who do.
//!
//! A feed is a thread that follows a ring and gives its blocks to a channel of bounded length. Who takes them too slowly
//! misses the oldest and is told how many; nobody else notices. It ends when nobody listens any more.

use super::catalogue::Catalogue;
use super::wire::{Span, Why};
use crate::rings::{News, Position, RingView, Shape};
use shm_layout::RingState;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// Blocks that a client may be behind: more than a second of them.
const BLOCKS: usize = 128;
/// Frames are gathered for so long at the least, so that heads stay small beside samples.
const GATHER_MS: u64 = 8;
/// Frames of a block at the most, in milliseconds.
const BLOCK_MS_MAX: u64 = 200;
/// How long a feed sleeps where nothing comes.
const IDLE: Duration = Duration::from_millis(100);
/// How long it stays when nobody listens: a page that is loaded anew comes back.
const LINGER: Duration = Duration::from_secs(2);

/// What happened in a stream.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    /// New frames.
    Block(Arc<Block>),
    /// The ring ended; a next one may follow.
    Ended { state: RingState, at: u64 },
    /// It cannot be read.
    Failed(Arc<str>),
}

/// A ring that a feed follows: what it is, and how the feed came to it.
#[derive(Debug)]
pub(super) struct Life {
    pub shape: Shape,
    /// Device and inode of its file.
    pub file: Option<(u64, u64)>,
    /// The frame that the feed began at.
    pub entered: u64,
    /// The ring that was followed before, and one past the last frame that was read of it.
    pub left: Option<(Weak<Self>, u64)>,
}

impl Life {
    /// Whether frames of both are counted from the same beginning. Without a session only a ring's own are.
    pub(super) fn is_counted_as(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other) || (self.shape.session.is_some() && self.shape.session == other.shape.session)
    }
}

/// Frames, and what is missing in and before them.
#[derive(Debug)]
pub(super) struct Block {
    pub life: Arc<Life>,
    pub first_frame: u64,
    pub frames: usize,
    pub spans: Vec<Span>,
    /// In microseconds since 1970.
    pub written_us: u64,
    /// `[channels][frames]`.
    pub planar: Vec<f32>,
}

impl Block {
    /// One past the last frame.
    pub(super) const fn end_frame(&self) -> u64 {
        self.first_frame + self.frames as u64
    }

    /// That its ring has come so far, and no frames.
    fn its_end(&self) -> Self {
        let (life, written_us) = (Arc::clone(&self.life), self.written_us);
        Self { life, first_frame: self.end_frame(), frames: 0, spans: Vec::new(), written_us, planar: Vec::new() }
    }
}

/// All feeds of a server.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    running: Mutex<BTreeMap<String, Arc<Voice>>>,
}

/// What a feed says, and to whom.
#[derive(Debug)]
struct Voice {
    sender: broadcast::Sender<Happened>,
    /// What it has come to: who begins to listen is told at once, for nothing may come for long.
    now: Mutex<Vec<Happened>>,
}

impl Voice {
    fn new() -> Self {
        Self { sender: broadcast::channel(BLOCKS).0, now: Mutex::default() }
    }

    /// Says it. Where nobody listens, nobody misses it.
    fn say(&self, happened: Happened) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match &happened {
            Happened::Block(block) => *now = vec![Happened::Block(Arc::new(block.its_end()))],
            Happened::Ended { .. } | Happened::Failed(_) => now.push(happened.clone()),
        }
        let _ = self.sender.send(happened);
    }

    fn listen(&self) -> Listener {
        // Nothing is said between the two.
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        Listener { first: now.clone().into(), next: self.sender.subscribe() }
    }
}

/// Hears what a feed says: first of all what it has come to.
#[derive(Debug)]
pub(super) struct Listener {
    first: VecDeque<Happened>,
    next: broadcast::Receiver<Happened>,
}

impl Listener {
    /// The next that is there, as [`broadcast::Receiver::try_recv`].
    pub(super) fn try_recv(&mut self) -> Result<Happened, broadcast::error::TryRecvError> {
        self.first.pop_front().map_or_else(|| self.next.try_recv(), Ok)
    }

    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Voice::new().listen()
    }
}

impl Feeds {
    /// Listens to a stream. `None`: there is no such stream now, or no thread for it.
    pub(super) fn listen(self: &Arc<Self>, catalogue: &Catalogue, stream: &str) -> Option<Listener> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(voice) = running.get(stream) {
            return Some(voice.listen());
        }
        let place = catalogue.place(stream)?;
        let voice = Arc::new(Voice::new());
        let listener = voice.listen();
        let (feeds, own, name) = (Arc::clone(self), Arc::clone(&voice), stream.to_owned());
        let thread = std::thread::Builder::new().name(format!("feed {stream}"));
        thread
            .spawn(move || {
                match RingView::open(&place, Position::Newest) {
                    Ok(view) => follow(view, &own, || feeds.leave(&name)),
                    Err(refusal) => own.say(Happened::Failed(refusal.to_string().into())),
                }
                feeds.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            })
            .ok()?;
        running.insert(stream.to_owned(), voice);
        Some(listener)
    }

    /// Takes a feed off the list if nobody listens: nobody can come between.
    fn leave(&self, stream: &str) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let unheard = running.get(stream).is_none_or(|voice| voice.sender.receiver_count() == 0);
        if unheard {
            running.remove(stream);
        }
        unheard
    }
}

fn follow(mut view: RingView, voice: &Voice, leave: impl Fn() -> bool) {
    let mut life = enter(&mut view, None);
    let mut planar = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    let mut heard_at = Instant::now();
    let mut read_to = view.position().0;
    // What the ring is, at once: nothing may come for long.
    let at = view.position().0;
    give(voice, block(&mut view, &life, at, 0, Vec::new(), Vec::new()));
    loop {
        if voice.sender.receiver_count() > 0 {
            heard_at = Instant::now();
        } else if heard_at.elapsed() > LINGER && leave() {
            return;
        }
        let most = usize::try_from(u64::from(life.shape.sample_rate_hz) * BLOCK_MS_MAX / 1_000).unwrap_or(1).max(64);
        match view.news(&mut planar, most) {
            News::Frames { from, frames, gaps } => {
                spans.extend(gaps.iter().map(|(from, to)| Span { from: from.0, to: to.0, why: Why::Gap }));
                let block = block(&mut view, &life, from.0, frames, std::mem::take(&mut spans), planar.clone());
                read_to = block.end_frame();
                give(voice, block);
            }
            News::Lost { from, to } => spans.push(Span { from: from.0, to: to.0, why: Why::Lost }),
            News::Entered { gap, .. } => {
                read_to = told_losses(voice, &mut view, &life, &mut spans).unwrap_or(read_to);
                life = enter(&mut view, Some((Arc::downgrade(&life), read_to)));
                spans.extend(gap.map(|(from, to)| Span { from: from.0, to: to.0, why: Why::Gap }));
                read_to = view.position().0;
                give(voice, block(&mut view, &life, read_to, 0, std::mem::take(&mut spans), Vec::new()));
            }
            News::Ended { state, at } => {
                read_to = told_losses(voice, &mut view, &life, &mut spans).unwrap_or(read_to);
                voice.say(Happened::Ended { state, at: at.0 });
            }
            News::Nothing => wait(&mut view, &life.shape),
        }
    }
}

/// The ring that the view has come to.
fn enter(view: &mut RingView, left: Option<(Weak<Life>, u64)>) -> Arc<Life> {
    let (shape, entered) = (view.shape().clone(), view.position().0);
    Arc::new(Life { shape, file: view.ring().file(), entered, left })
}

/// Gives losses that no frames follow in this ring: in the next one they would stand for other frames. Where they end.
fn told_losses(voice: &Voice, view: &mut RingView, life: &Arc<Life>, spans: &mut Vec<Span>) -> Option<u64> {
    let to = spans.iter().map(|span| span.to).max()?;
    give(voice, block(view, life, to, 0, std::mem::take(spans), Vec::new()));
    Some(to)
}

fn give(voice: &Voice, block: Block) {
    voice.say(Happened::Block(Arc::new(block)));
}

fn block(
    view: &mut RingView,
    life: &Arc<Life>,
    first_frame: u64,
    frames: usize,
    spans: Vec<Span>,
    planar: Vec<f32>,
) -> Block {
    Block { life: Arc::clone(life), first_frame, frames, spans, written_us: written_us(view), planar }
}

/// Sleeps until there is enough for a block.
fn wait(view: &mut RingView, shape: &Shape) {
    let position = view.position();
    let frames = (u64::from(shape.sample_rate_hz) * GATHER_MS / 1_000).max(1);
    let live = view.ring().state() == RingState::Live;
    match view.ring().version_2() {
        Some(ring) if live => {
            let _ = ring.wait_for(position, frames, IDLE);
        }
        Some(_) => std::thread::sleep(IDLE),
        // Version 1 has nothing to wait at.
        None => std::thread::sleep(Duration::from_millis(GATHER_MS)),
    }
}

/// When the newest frames were written, on the clock of the wall: that is what a page can read.
fn written_us(view: &mut RingView) -> u64 {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros());
    let now_us = u64::try_from(now_us).unwrap_or(0);
    let Some(ring) = view.ring().version_2() else { return now_us };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now_ns = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    now_us.saturating_sub(now_ns.saturating_sub(ring.commit_time_ns()) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm_layout::FrameIndex;

    fn block(first_frame: u64, frames: usize) -> Happened {
        let shape = Shape {
            version: 1,
            session: None,
            epoch: 0,
            sample_rate_hz: 8_000,
            channels: 1,
            capacity_frames: 1_000,
            first_frame: FrameIndex(0),
            labels: Vec::new(),
        };
        let life = Arc::new(Life { shape, file: None, entered: 0, left: None });
        let spans = vec![Span { from: 0, to: first_frame, why: Why::Lost }];
        let block = Block { life, first_frame, frames, spans, written_us: 1, planar: vec![0.5; frames] };
        Happened::Block(Arc::new(block))
    }

    /// First frame, frames and spans of blocks; the state where the ring ended.
    fn heard(listener: &mut Listener) -> Vec<String> {
        let told = |happened| match happened {
            Happened::Block(block) => format!("{} {} {}", block.first_frame, block.frames, block.spans.len()),
            Happened::Ended { state, at } => format!("{} {at}", state.as_str()),
            Happened::Failed(error) => error.to_string(),
        };
        std::iter::from_fn(|| listener.try_recv().ok()).map(told).collect()
    }

    #[test]
    fn who_comes_late_is_told_what_the_ring_has_come_to() {
        let voice = Voice::new();
        let mut early = voice.listen();
        voice.say(block(100, 20));
        let mut late = voice.listen();
        assert_eq!(heard(&mut late), ["120 0 0"], "where it is, and nothing of what was before");
        voice.say(block(120, 5));
        voice.say(Happened::Ended { state: RingState::Closed, at: 125 });
        assert_eq!(heard(&mut early), ["100 20 1", "120 5 1", "closed 125"]);
        assert_eq!(heard(&mut late), ["120 5 1", "closed 125"]);
        assert_eq!(heard(&mut voice.listen()), ["125 0 0", "closed 125"]);
        // Another ring has followed.
        voice.say(block(7, 0));
        assert_eq!(heard(&mut voice.listen()), ["7 0 0"]);
    }
}
