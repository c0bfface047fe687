//! Processing in a whole engine: by its own thread, as it is told, on both clocks.

mod rig;

use control_protocol::{ClockKind, Exit, FromEngine, Gain, Processing, Strip, ToEngine};
use rig::{Rig, WATCHDOG, config, contents, name};
use shm_layout::{FrameIndex, RingReader};
use std::time::Instant;

fn high_pass() -> Processing {
    Processing { high_pass: Processing::read_high_pass("500Hz").ok(), ..Processing::default() }
}

impl Rig {
    fn process(&self, stream: &str, processing: Processing) {
        self.tell(ToEngine::SetProcessing { stream: name(stream), processing });
    }

    fn has_lost_some(&self) -> bool {
        self.heard.iter().any(|message| matches!(message, FromEngine::Unprocessed { .. }))
    }
}

/// The largest of the newest 50 ms.
fn peak(ring: &RingReader) -> f32 {
    let mut planar = vec![0.0; 2_400];
    let _ = ring.read_newest(&mut planar, 2_400);
    planar.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < WATCHDOG, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn what_is_set_is_heard_in_the_mix_alone_and_goes_when_it_is_switched_off() {
    // 50 Hz is 80 dB down after a high-pass of 500 Hz.
    let mut rig = Rig::start(config(ClockKind::Monotonic, 48_000), &[("hum", "test:tone?hz=50", 0)]);
    rig.until(|message| matches!(message, FromEngine::RingOpened { stream, .. } if stream.as_str() == "mix"));
    let (own, mix) = (rig.ring("hum"), rig.ring("mix"));
    wait_for("a tone", || peak(&mix) > 0.45);
    for _ in 0..3 {
        rig.process("hum", high_pass());
        wait_for("silence", || peak(&mix) < 0.001);
        assert!(peak(&own) > 0.45, "its own ring has it as it came");
        rig.process("hum", Processing::default());
        wait_for("the tone again", || peak(&mix) > 0.45);
    }
    rig.process("hum", high_pass());
    wait_for("silence", || peak(&mix) < 0.001);
    rig.tell(ToEngine::Close);
    rig.until_stopped();
    assert_eq!((mix.commit(), mix.gap_frames()), (own.commit(), 0), "it has its last block, too");
    assert_eq!(rig.end(), Exit::Clean);
}

#[test]
fn as_fast_as_it_goes_nothing_is_late() {
    let mut rig = Rig::start(config(ClockKind::Virtual, 48_000), &[("talk", "demo:", 0), ("hum", "demo:", 0)]);
    for stream in ["talk", "hum"] {
        // So that the limiter has nothing to do.
        let strip = Strip { gain: Gain::of_factor(0.25).unwrap(), ..Strip::default() };
        rig.tell(ToEngine::SetStrip { stream: name(stream), strip });
    }
    rig.process("talk", Processing { gate: Processing::read_gate("-100dB").ok(), ..Processing::default() });
    rig.until(|message| matches!(message, FromEngine::RingOpened { stream, .. } if stream.as_str() == "mix"));
    let (talk, hum, mix) = (rig.ring("talk"), rig.ring("hum"), rig.ring("mix"));
    rig.tell(ToEngine::Credit { until: FrameIndex(1 << 40) });
    rig.until_stopped();
    assert!(!rig.has_lost_some());
    let [talk, hum, mix] = [&talk, &hum, &mix].map(|ring| contents(ring).remove(0));
    assert!(talk.len() > 48_000 && talk.len() == mix.len());
    // Where the sources were open before they were told of, the gain has glided.
    let differs = (960..mix.len()).find(|&at| mix[at] != 0.25 * talk[at] + 0.25 * hum[at]);
    assert_eq!(differs, None, "an open gate passes every bit");
    assert_eq!(rig.end(), Exit::Clean);
}
