//! A device that has come back in another form than it had: its frames in the form of the queue that is read.
//!
//! A source keeps its rate and its channels for as long as it has a ring. A device may not: somebody has set it to another
//! rate, or another one has taken its place. Its callbacks then fill a queue of its own form, from which a thread beside
//! them takes, converts, and fills the queue that the tick knows. What it loses is lost at its place, for as long.

use crate::queue::{Inlet, Outlet, Run};
use crate::rt;
use audio_dsp::{RateConverter, RateError, Routing};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Frames that are taken at a time, and how long it rests when there are none.
const STEP_FRAMES: usize = 256;
const REST: Duration = Duration::from_millis(1);

/// From a device's queue to the one that is read.
pub(crate) struct Adapter {
    outlet: Outlet,
    inlet: Inlet,
    converter: RateConverter,
    rates_hz: (u32, u32),
    /// `[there][here]`.
    gains: Vec<f32>,
    /// `[channels][STEP_FRAMES]` of the device.
    input: Vec<f32>,
    /// What was converted, one `Vec` a channel of the device.
    output: Vec<Vec<f32>>,
    /// What a loss leaves over, in frames of the device times the rate of the queue.
    lost_rest: u64,
}

impl Adapter {
    /// From a queue of the first rate to one of the second; channels are those of the queues.
    ///
    /// # Errors
    /// [`RateError`] for a rate out of range.
    pub(crate) fn new(outlet: Outlet, inlet: Inlet, rates_hz: (u32, u32)) -> Result<Self, RateError> {
        let channels = outlet.channels();
        Ok(Self {
            converter: RateConverter::new(rates_hz.0, rates_hz.1, channels)?,
            gains: Routing::new(channels, inlet.channels(), 0.0).gains().to_vec(),
            input: vec![0.0; channels * STEP_FRAMES],
            output: vec![Vec::new(); channels],
            lost_rest: 0,
            outlet,
            inlet,
            rates_hz,
        })
    }

    /// Works on a thread of its own until this is set, and what has come until then is through.
    ///
    /// # Errors
    /// When there is no thread.
    pub(crate) fn start(mut self, retired: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("device adapter".into()).spawn(move || {
            rt::promote(rt::PRIORITY_PLAYER);
            // Pairs with the Release store of who retires it: what came before is seen in the last turn.
            while !retired.load(Ordering::Acquire) {
                self.turn(rt::now_ns());
                std::thread::sleep(REST);
            }
            self.turn(rt::now_ns());
            self.converter.finish(&mut self.output);
            self.push(rt::now_ns());
        })
    }

    /// Takes what is there. Never waits.
    fn turn(&mut self, now_ns: u64) {
        let channels = self.outlet.channels();
        self.outlet.refresh();
        loop {
            match self.outlet.take(&mut self.input, STEP_FRAMES, 0, STEP_FRAMES) {
                Run::Sound(frames) => {
                    crate::feed::pack(&mut self.input, STEP_FRAMES, frames);
                    self.converter.process(&self.input[..channels * frames], frames, &mut self.output);
                }
                Run::Lost(frames, cause) => {
                    // What came before it stands before it.
                    self.push(now_ns);
                    let scaled = frames as u64 * u64::from(self.rates_hz.1) + self.lost_rest;
                    self.lost_rest = scaled % u64::from(self.rates_hz.0);
                    self.inlet.lose(scaled / u64::from(self.rates_hz.0), cause);
                }
                Run::Dry => break,
            }
        }
        self.push(now_ns);
    }

    fn push(&mut self, now_ns: u64) {
        let (output, gains, channels) = (&self.output, &self.gains, self.output.len());
        let frames = output.first().map_or(0, Vec::len);
        if frames == 0 {
            return;
        }
        let there = self.inlet.channels();
        let samples = (0..frames * there).map(|at| {
            let routed = gains[at % there * channels..][..channels].iter().zip(output);
            routed.map(|(gain, plane)| gain * plane[at / there]).sum::<f32>()
        });
        self.inlet.push_at(now_ns, frames, samples);
        self.output.iter_mut().for_each(Vec::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Health, queue};
    use control_protocol::GapCause;

    #[test]
    fn another_rate_and_other_channels_are_converted_and_a_loss_keeps_its_place_and_length() {
        let health = Arc::new(Health::default());
        let (mut device, outlet) = queue(2, 88_200, &health);
        let (inlet, mut read) = queue(1, 96_000, &health);
        let adapter = Adapter::new(outlet, inlet, (44_100, 48_000)).unwrap();
        let retired = Arc::new(AtomicBool::new(false));
        // Left and right differ, and are one in the middle.
        let second = |device: &mut Inlet| {
            (0..100).for_each(|_| device.push(441, [0.75, 0.25].into_iter().cycle().take(882)));
        };
        second(&mut device);
        device.lose(4_410, GapCause::Xrun);
        device.lose(441, GapCause::Xrun);
        second(&mut device);
        retired.store(true, Ordering::Release);
        adapter.start(retired).unwrap().join().unwrap();
        read.refresh();
        let (mut planar, mut runs) = (vec![0.0; 480], Vec::new());
        loop {
            match read.take(&mut planar, 480, 0, 480) {
                Run::Sound(frames) => {
                    // But for the edges, where the converter begins and ends.
                    let level = planar[..frames].iter().sum::<f32>() / frames as f32;
                    runs.push((frames, Some(level)));
                }
                Run::Lost(frames, cause) => {
                    assert_eq!(cause, GapCause::Xrun);
                    runs.push((frames, None));
                }
                Run::Dry => break,
            }
        }
        let lost: usize = runs.iter().filter(|(_, level)| level.is_none()).map(|(frames, _)| frames).sum();
        let heard: usize = runs.iter().filter(|(_, level)| level.is_some()).map(|(frames, _)| frames).sum();
        assert_eq!((heard, lost), (96_000, 5_280));
        let before = runs.iter().take_while(|(_, level)| level.is_some()).map(|(frames, _)| frames).sum::<usize>();
        assert!((47_000..=48_000).contains(&before), "{before} frames before the loss");
        let loud = runs.iter().filter(|(_, level)| level.is_some_and(|level| (level - 0.5).abs() < 0.01)).count();
        assert!(loud > 195, "{loud} of {} runs are as loud as they should be", runs.len());
    }
}
