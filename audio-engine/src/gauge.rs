//! A stream's meter in the tick: sixty readings a second of sound, no sample in none of them and none in two.

use audio_dsp::{Loudness, Meters, TruePeak};
use shm_layout::FrameIndex;
use shm_layout::board::{self, Level, Meter, READING_CHANNELS, Reading};

/// Windows a second: readings, where the sound does not end within one.
const WINDOWS_HZ: u64 = 60;
/// How often a second loudness has another value.
const LOUDNESS_HZ: u64 = 10;

/// Measures a stream as it is written, and shows it on the board.
#[derive(Debug)]
pub struct Gauge(Option<Measuring>);

#[derive(Debug)]
struct Measuring {
    meter: Meter,
    rate_hz: u32,
    levels: Meters,
    programme: Option<Programme>,
    /// The window's first frame, and the next one of the stream.
    from: FrameIndex,
    next: FrameIndex,
    /// From where on is counted and integrated.
    since: FrameIndex,
}

/// What is measured of the mix, too.
#[derive(Debug)]
struct Programme {
    loudness: Loudness,
    true_peak: TruePeak,
    true_peak_max: f32,
    /// The integrated loudness and its range, and for which tenth of a second: they are found in histograms.
    integrated: [f32; 2],
    tenth: u64,
}

impl Gauge {
    /// A gauge for a stream of so many channels; without a meter it does nothing.
    #[must_use]
    pub fn new(meter: Option<Meter>, channels: usize, sample_rate_hz: u32) -> Self {
        Self(meter.map(|meter| Measuring {
            meter,
            rate_hz: sample_rate_hz,
            levels: Meters::new(sample_rate_hz, channels),
            programme: None,
            from: FrameIndex(0),
            next: FrameIndex(0),
            since: FrameIndex(0),
        }))
    }

    /// Measures loudness and true peak, too. Allocates.
    #[must_use]
    pub(crate) fn with_loudness(mut self) -> Self {
        if let Some(Measuring { programme, levels, rate_hz, .. }) = &mut self.0 {
            let channels = levels.readings().count();
            *programme = Some(Programme {
                loudness: Loudness::new(*rate_hz, channels),
                true_peak: TruePeak::new(*rate_hz, channels),
                true_peak_max: 0.0,
                integrated: [f32::NEG_INFINITY, 0.0],
                tenth: 0,
            });
        }
        self
    }

    /// The same, for a stream whose first frame this is.
    #[must_use]
    pub(crate) fn beginning_at(mut self, first_frame: FrameIndex) -> Self {
        if let Some(measuring) = &mut self.0 {
            (measuring.from, measuring.next, measuring.since) = (first_frame, first_frame, first_frame);
        }
        self
    }

    /// Takes the stream's next frames.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub(crate) fn push(&mut self, planar: &[f32], frames: usize) {
        let Some(measuring) = &mut self.0 else { return };
        let mut at = 0;
        while at < frames {
            let end = window_end(measuring.next, measuring.rate_hz);
            let left = usize::try_from(end.since(measuring.next)).unwrap_or(usize::MAX);
            let part = at..frames.min(at.saturating_add(left));
            measuring.levels.push_part(planar, frames, part.clone());
            if let Some(programme) = &mut measuring.programme {
                programme.loudness.push_part(planar, frames, part.clone());
                programme.true_peak.push_part(planar, frames, part.clone());
            }
            measuring.next = measuring.next.plus(part.len() as u64);
            at = part.end;
            if measuring.next == end {
                measuring.show();
            }
        }
    }

    /// Shows what there is of the last window: the stream has ended.
    ///
    /// # Real time
    /// As above.
    pub(crate) fn finish(&mut self) {
        if let Some(measuring) = &mut self.0
            && measuring.next > measuring.from
        {
            measuring.show();
        }
    }
}

impl Measuring {
    fn show(&mut self) {
        let mut reading = Reading {
            from: self.from,
            to: self.next,
            at_ns: 0,
            sample_rate_hz: self.rate_hz,
            channel_count: 0,
            since: self.since,
            clips: 0,
            held_peak: 0.0,
            loudest: Level::default(),
            channels: [Level::default(); READING_CHANNELS],
            loudness: self.programme.as_mut().map(|programme| programme.read(self.rate_hz)),
        };
        for (place, channel) in self.levels.readings().enumerate() {
            reading.channel_count += 1;
            reading.clips += channel.clips;
            reading.held_peak = reading.held_peak.max(channel.held_peak);
            reading.loudest.peak = reading.loudest.peak.max(channel.peak);
            reading.loudest.rms = reading.loudest.rms.max(channel.rms);
            if let Some(level) = reading.channels.get_mut(place) {
                *level = Level { peak: channel.peak, rms: channel.rms };
            }
        }
        self.meter.show(&reading);
        self.levels.begin();
        self.from = self.next;
        if self.meter.is_reset() {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.since = self.next;
        self.levels.reset();
        if let Some(programme) = &mut self.programme {
            programme.loudness.reset();
            (programme.true_peak_max, programme.integrated, programme.tenth) = (0.0, [f32::NEG_INFINITY, 0.0], 0);
        }
    }
}

impl Programme {
    #[expect(clippy::cast_possible_truncation, reason = "a loudness needs no more than f32")]
    fn read(&mut self, rate_hz: u32) -> board::Loudness {
        let tenth = self.loudness.frames() * LOUDNESS_HZ / u64::from(rate_hz);
        if tenth != self.tenth {
            self.tenth = tenth;
            self.integrated = [self.loudness.integrated() as f32, self.loudness.range_lu() as f32];
        }
        let true_peak = self.true_peak.take();
        self.true_peak_max = self.true_peak_max.max(true_peak);
        let [integrated, range_lu] = self.integrated;
        let [momentary_max, short_term_max] = self.loudness.maxima();
        board::Loudness {
            momentary: self.loudness.momentary() as f32,
            short_term: self.loudness.short_term() as f32,
            integrated,
            range_lu,
            momentary_max: momentary_max as f32,
            short_term_max: short_term_max as f32,
            true_peak,
            true_peak_max: self.true_peak_max,
        }
    }
}

/// Where the window of this frame ends: at a sixtieth of a second of the session's index, rounded up to frames.
fn window_end(frame: FrameIndex, rate_hz: u32) -> FrameIndex {
    let rate = u64::from(rate_hz);
    FrameIndex(((frame.0 * WINDOWS_HZ / rate + 1) * rate).div_ceil(WINDOWS_HZ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shm_layout::board::{Board, MeterView};

    struct Rig {
        _folder: tempfile::TempDir,
        board: Board,
        seen: MeterView,
        gauge: Gauge,
    }

    fn rig(rate_hz: u32, channels: usize, first_frame: u64) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let board = Board::create(folder.path()).expect("a board");
        let meter = board::Meters::claim(folder.path()).expect("meters").take("mix");
        let gauge = Gauge::new(meter, channels, rate_hz).with_loudness().beginning_at(FrameIndex(first_frame));
        let seen = board.meters().remove(0);
        Rig { _folder: folder, board, seen, gauge }
    }

    impl Rig {
        /// Pushes these samples, the same in every channel, in blocks; what was shown meanwhile.
        fn push(&mut self, samples: &[f32], channels: usize, block: usize) -> Vec<Reading> {
            let mut readings = Vec::new();
            for part in samples.chunks(block) {
                self.gauge.push(&part.repeat(channels), part.len());
                readings.extend(self.rest());
            }
            readings
        }

        fn rest(&mut self) -> Vec<Reading> {
            let seen = &mut self.seen;
            std::iter::from_fn(|| seen.read_next())
                .inspect(|(_, missed)| assert_eq!(*missed, 0))
                .map(|(r, _)| r)
                .collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn windows_follow_one_another_and_a_click_is_in_one(
            rate_hz in prop::sample::select(vec![8_000_u32, 11_025, 16_000, 44_100, 48_000, 192_000]),
            first in 0_u64..1_000_000_000,
            block in 1_usize..2_500,
            click in 0_usize..9_000,
            frames in 9_000_usize..12_000,
        ) {
            let mut rig = rig(rate_hz, 2, first);
            let mut samples = vec![0.0; frames];
            samples[click] = 0.5;
            let mut readings = rig.push(&samples, 2, block);
            rig.gauge.finish();
            readings.extend(rig.rest());
            prop_assert_eq!(readings[0].from.0, first);
            prop_assert!(readings.windows(2).all(|pair| pair[0].to == pair[1].from));
            prop_assert_eq!(readings[readings.len() - 1].to.0, first + frames as u64);
            for reading in &readings[1..readings.len() - 1] {
                let length = reading.to.since(reading.from);
                prop_assert!(length == u64::from(rate_hz) / 60 || length == u64::from(rate_hz).div_ceil(60));
                prop_assert_eq!(window_end(reading.from, rate_hz), reading.to);
            }
            let at = first + click as u64;
            for reading in &readings {
                let inside = (reading.from.0..reading.to.0).contains(&at);
                prop_assert_eq!(reading.loudest.peak, if inside { 0.5 } else { 0.0 });
                prop_assert_eq!(reading.channels[1], reading.loudest);
                prop_assert_eq!(reading.channel_count, 2);
            }
        }
    }

    #[test]
    fn a_minute_has_3600_readings_at_any_rate() {
        for rate_hz in [8_000, 11_025, 44_100, 48_000] {
            let mut rig = rig(rate_hz, 1, 12_345 * u64::from(rate_hz));
            let readings = rig.push(&vec![0.25; 60 * rate_hz as usize], 1, rate_hz as usize / 100);
            assert_eq!(readings.len(), 3_600, "{rate_hz}");
        }
    }

    #[test]
    fn the_same_window_is_the_same_in_every_stream() {
        let ends = |first: u64| -> Vec<u64> {
            let mut rig = rig(44_100, 1, first);
            rig.push(&[0.1; 44_100], 1, 441).iter().map(|reading| reading.to.0).collect()
        };
        let (early, late) = (ends(1_000), ends(10_000));
        assert!(late.iter().filter(|end| **end <= 45_100).all(|end| early.contains(end)));
    }

    #[test]
    fn levels_and_loudness_of_a_tone() {
        let mut rig = rig(48_000, 2, 480);
        #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
        let tone: Vec<f32> = (0..5 * 48_000)
            .map(|n| (0.5 * (f64::from(n) * 997.0 / 48_000.0 * std::f64::consts::TAU).sin()) as f32)
            .collect();
        let last = rig.push(&tone, 2, 480).pop().expect("a reading");
        let db = |level: f32| 20.0 * level.log10();
        assert!((db(last.loudest.peak) + 6.02).abs() < 0.01 && (db(last.loudest.rms) + 9.03).abs() < 0.1, "{last:?}");
        let loudness = last.loudness.expect("it is measured");
        // Two channels of the same sine: its peak in dBFS is its loudness (Tech 3341).
        for lufs in [loudness.momentary, loudness.short_term, loudness.integrated, loudness.short_term_max] {
            assert!((lufs + 6.02).abs() < 0.1, "{loudness:?}");
        }
        assert!((db(loudness.true_peak_max) + 6.02).abs() < 0.1 && loudness.range_lu < 0.2, "{loudness:?}");
    }

    #[test]
    fn counts_begin_anew_with_the_window_after_the_wish() {
        let mut rig = rig(48_000, 1, 0);
        let before = rig.push(&vec![1.0; 48_000], 1, 480).pop().expect("a reading");
        assert_eq!((before.clips, before.since.0), (1, 0));
        rig.push(&[0.0; 480], 1, 480);
        assert!(rig.board.reset_meter("mix"));
        let readings = rig.push(&vec![0.25; 48_000], 1, 480);
        let (first, last) = (readings[0], readings[readings.len() - 1]);
        assert_eq!(first.held_peak, 1.0, "it is the window of the wish");
        assert_eq!((last.since, last.clips, last.held_peak), (readings[1].from, 0, 0.25));
        assert_eq!(last.loudness.map(|loudness| loudness.true_peak_max < 0.5), Some(true));
    }
}
