//! A change of the mixer, from its request on the control socket to the mix ring.

use crate::{Instance, watchdog};
use anyhow::{Context, Result, ensure};
use shm_layout::{FrameIndex, RingReader};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often it looks how far the mix ring is: much more often than that moves, and without keeping a processor busy.
const LOOK_EVERY: Duration = Duration::from_micros(50);
/// So long nothing more changes when a change is over: twice as long as a block.
const AT_REST_FRAMES: usize = 960;

/// Mutes the only stream of an instance and lets it be heard again, over one connection, as a program of the user would.
#[derive(Debug)]
pub struct MuteSwitch {
    stream: String,
    socket: BufReader<UnixStream>,
    own: RingReader,
    mix: RingReader,
    muted: bool,
}

/// How soon a change was in the mix ring, from before its request was written.
#[derive(Debug, Clone, Copy)]
pub struct MixChange {
    /// Until the first frame that is not as before was committed.
    pub first: Duration,
    /// Until the first frame was committed from which on all are as they were to be.
    pub whole: Duration,
    /// From the one to the other.
    pub glide_frames: u64,
}

impl MuteSwitch {
    /// Of a stream that sounds, at unity, and is the only one: then the mix is the stream's ring, bit by bit.
    ///
    /// # Errors
    /// When there is no such ring, or no control socket.
    pub fn of(instance: &Instance, stream: &str) -> Result<Self> {
        let socket = UnixStream::connect(instance.folders().runtime().join("control.sock"))?;
        socket.set_read_timeout(Some(watchdog(1.0)))?;
        let (own, mix) = (instance.ring(stream)?, instance.ring("mix")?);
        Ok(Self { stream: stream.into(), socket: BufReader::new(socket), own, mix, muted: false })
    }

    /// Switches, and watches the mix ring until nothing changes any more.
    ///
    /// # Errors
    /// When that takes longer than `limit`, or the request is refused.
    pub fn turn(&mut self, limit: Duration) -> Result<MixChange> {
        self.muted = !self.muted;
        let wish = serde_json::json!({"command": "mix_set", "stream": self.stream, "wish": {"mute": self.muted}});
        let line = format!("{wish}\n");
        let mut at = self.mix.commit();
        let (mut first, mut whole, mut rest) = (None, None, 0);
        let begin = Instant::now();
        self.socket.get_mut().write_all(line.as_bytes())?;
        while rest < AT_REST_FRAMES {
            std::thread::sleep(LOOK_EVERY);
            let (commit, now) = (self.mix.commit(), begin.elapsed());
            for (is_old, is_new) in self.compared(at, commit)? {
                if !is_old {
                    first.get_or_insert((now, at));
                }
                if !is_new {
                    (whole, rest) = (None, 0);
                } else if first.is_some() {
                    whole.get_or_insert((now, at));
                    rest += 1;
                }
                at = at.plus(1);
            }
            ensure!(now < limit, "watchdog: the mix was not as it was to be within {limit:?}: {first:?}, {whole:?}");
        }
        let mut answer = String::new();
        self.socket.read_line(&mut answer)?;
        ensure!(answer.contains("\"ok\":true"), "{line} was answered with {answer}");
        let ((first, from), (whole, to)) = first.zip(whole).context("a change")?;
        Ok(MixChange { first, whole, glide_frames: to.since(from) })
    }

    /// Of each frame, whether it is as it was before the switch, and whether it is as it is to be. A zero is both.
    fn compared(&self, from: FrameIndex, to: FrameIndex) -> Result<Vec<(bool, bool)>> {
        let frames = usize::try_from(to.since(from))?;
        let mix = first_channel(&self.mix, from, frames)?;
        let own = first_channel(&self.own, from, frames)?;
        let of_frame = |(mix, own): (f32, f32)| {
            let (open, closed) = (mix.to_bits() == own.to_bits(), mix == 0.0);
            if self.muted { (open || own == 0.0, closed) } else { (closed, open || own == 0.0) }
        };
        Ok(mix.into_iter().zip(own).map(of_frame).collect())
    }
}

fn first_channel(ring: &RingReader, from: FrameIndex, frames: usize) -> Result<Vec<f32>> {
    let mut planar = vec![0.0; frames * ring.info().channels as usize];
    ring.read(from, &mut planar, frames)?;
    planar.truncate(frames);
    Ok(planar)
}
