//! The callback of an output: what the player has made ready goes to the device, in its format.
//!
//! It allocates nothing, takes no lock, logs nothing and makes no system call, but for its first call, which says on
//! what thread it is.

use crate::locked::Locked;
use crate::queue::touched;
use crate::rt::{self, CallbackThread};
use cpal::{Data, FromSample, SampleFormat, SizedSample};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What callback, player and keeper of one opened output know of each other.
#[derive(Debug, Default)]
pub struct Play {
    /// Callbacks so far: while it grows, the device lives.
    pub periods: AtomicU64,
    /// The longest period so far, in frames.
    pub period_frames_max: AtomicU64,
    /// The device has said that it is gone.
    pub gone: AtomicBool,
    /// Glitches that the device itself has reported.
    pub xruns: AtomicU64,
    /// The player delivers: to run dry now is a fault.
    pub playing: AtomicBool,
    /// Periods in which the queue ran dry while the player delivered…
    pub underruns: AtomicU64,
    /// …and the frames of silence that were played instead.
    pub underrun_frames: AtomicU64,
    /// On what thread it is called.
    pub thread: CallbackThread,
    /// The output is given up: the callback is silent, the player ends.
    pub stop: AtomicBool,
}

/// A callback has asked for frames: when, and how many there were with these, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// On `CLOCK_MONOTONIC`, in nanoseconds.
    pub at_ns: u64,
    /// Frames that were asked for so far.
    pub frames: u64,
    /// Frames of them that were silence, as the queue had none.
    pub silent: u64,
}

/// The state of one output's callback.
#[derive(Debug)]
pub struct Playback {
    /// Before the queues: it goes before their memory.
    _locked: [Option<Locked>; 2],
    samples: Consumer<f32>,
    asked: Producer<Asked>,
    channels: usize,
    total: u64,
    silent: u64,
    play: Arc<Play>,
}

/// More callbacks than come between two looks of the player. Totals are told, so that one that finds no room is
/// made up for by the next.
const ASKED_MAX: usize = 256;

/// A queue of so many frames between a player, which has the first two, and a callback.
#[must_use]
pub fn playback(channels: usize, frames: usize, play: &Arc<Play>) -> (Producer<f32>, Consumer<Asked>, Playback) {
    let (samples_in, samples, samples_locked) = touched(frames * channels, 0.0);
    let (asked, asked_out, asked_locked) = touched(ASKED_MAX, Asked { at_ns: 0, frames: 0, silent: 0 });
    let _locked = [samples_locked, asked_locked];
    let callback = Playback { _locked, samples, asked, channels, total: 0, silent: 0, play: Arc::clone(play) };
    (samples_in, asked_out, callback)
}

impl Playback {
    /// Fills one period; an incomplete frame at its end stays silent.
    ///
    /// # Real time
    /// Wait-free; see [`CallbackThread::is_this`] for the first call.
    pub fn on_period(&mut self, period: &mut Data) {
        self.on_period_at(rt::now_ns(), period);
    }

    /// The same, called at this time on `CLOCK_MONOTONIC`.
    #[cfg_attr(rtsan, sanitize(realtime = "nonblocking"))]
    pub fn on_period_at(&mut self, at_ns: u64, period: &mut Data) {
        self.play.thread.is_this();
        match period.sample_format() {
            SampleFormat::F32 => self.fill::<f32>(at_ns, period),
            SampleFormat::F64 => self.fill::<f64>(at_ns, period),
            SampleFormat::I8 => self.fill::<i8>(at_ns, period),
            SampleFormat::I16 => self.fill::<i16>(at_ns, period),
            SampleFormat::I24 => self.fill::<cpal::I24>(at_ns, period),
            SampleFormat::I32 => self.fill::<i32>(at_ns, period),
            SampleFormat::I64 => self.fill::<i64>(at_ns, period),
            SampleFormat::U8 => self.fill::<u8>(at_ns, period),
            SampleFormat::U16 => self.fill::<u16>(at_ns, period),
            SampleFormat::U24 => self.fill::<cpal::U24>(at_ns, period),
            SampleFormat::U32 => self.fill::<u32>(at_ns, period),
            SampleFormat::U64 => self.fill::<u64>(at_ns, period),
            // DSD is refused when the stream is opened.
            _ => {}
        }
    }

    fn fill<T: SizedSample + FromSample<f32>>(&mut self, at_ns: u64, period: &mut Data) {
        let Some(samples) = period.as_slice_mut::<T>() else { return };
        let frames = samples.len() / self.channels;
        let ready = if self.play.stop.load(Ordering::Relaxed) { 0 } else { self.samples.slots() / self.channels };
        let taken = frames.min(ready);
        let (sound, silence) = samples.split_at_mut(taken * self.channels);
        if let Ok(chunk) = self.samples.read_chunk(sound.len()) {
            let (first, second) = chunk.as_slices();
            let from = first.iter().chain(second);
            sound.iter_mut().zip(from).for_each(|(to, from)| *to = T::from_sample(*from));
            chunk.commit_all();
        }
        silence.fill(T::EQUILIBRIUM);
        self.note(at_ns, frames as u64, (frames - taken) as u64);
    }

    fn note(&mut self, at_ns: u64, frames: u64, silent: u64) {
        self.total += frames;
        self.silent += silent;
        // Full while nobody looks, as after the player's end.
        let _ = self.asked.push(Asked { at_ns, frames: self.total, silent: self.silent });
        if silent > 0 && self.play.playing.load(Ordering::Relaxed) {
            self.play.underruns.fetch_add(1, Ordering::Relaxed);
            self.play.underrun_frames.fetch_add(silent, Ordering::Relaxed);
        }
        self.play.period_frames_max.fetch_max(frames, Ordering::Relaxed);
        self.play.periods.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(unsafe_code, reason = "samples by raw pointer, as a device gives them")]

    use super::*;

    fn period<T: SizedSample>(callback: &mut Playback, samples: &mut [T]) {
        // SAFETY: the slice holds this many initialised values of the format, and is borrowed for the whole call.
        let mut data = unsafe { Data::from_parts(samples.as_mut_ptr().cast(), samples.len(), T::FORMAT) };
        callback.on_period(&mut data);
    }

    #[test]
    fn what_is_ready_is_played_and_what_is_missing_is_silence_and_counted() {
        let play = Arc::new(Play::default());
        let (mut samples, mut asked, mut callback) = playback(2, 8, &play);
        [0.5_f32, -0.5, 1.0, -1.0, 0.25, 0.0].into_iter().for_each(|s| samples.push(s).unwrap());
        let mut first = [9_i16; 4];
        period(&mut callback, &mut first);
        assert_eq!(first, [16_384, -16_384, i16::MAX, i16::MIN]);
        // Not playing yet: silence, and no fault.
        let mut second = [9_i16; 4];
        period(&mut callback, &mut second);
        assert_eq!(second, [8_192, 0, 0, 0]);
        assert_eq!(play.underrun_frames.load(Ordering::Relaxed), 0);
        play.playing.store(true, Ordering::Relaxed);
        let mut third = [9_u8; 4];
        period(&mut callback, &mut third);
        assert_eq!(third, [128; 4]);
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        assert_eq!([count(&play.underruns), count(&play.underrun_frames), count(&play.periods)], [1, 2, 3]);
        let told: Vec<_> = std::iter::from_fn(|| asked.pop().ok()).map(|asked| (asked.frames, asked.silent)).collect();
        assert_eq!(told, [(2, 0), (4, 1), (6, 3)]);
    }

    #[test]
    fn one_that_is_given_up_is_silent() {
        let play = Arc::new(Play::default());
        let (mut samples, _asked, mut callback) = playback(1, 8, &play);
        samples.push(1.0).unwrap();
        play.stop.store(true, Ordering::Relaxed);
        let mut heard = [9.0_f32];
        period(&mut callback, &mut heard);
        assert_eq!(heard, [0.0]);
    }
}
