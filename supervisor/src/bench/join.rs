//! Recordings joined by pauses into one file, in an order that a seed decides.

use super::recordings::{Recording, WordTime};
use super::sound::{RATE_HZ, heard, power, seconds};
use std::io::{self, Write};
use std::ops::Range;

/// Silence before the first recording: until then the processes have begun.
const LEAD_S: f64 = 3.0;
/// Pauses between recordings.
const PAUSES_S: Range<f64> = 0.8..2.0;
/// From the last word until the machine has nothing more to do.
pub(super) const SETTLE_S: f64 = 3.0;

/// One recording in the file. All times are seconds of the file.
#[derive(Debug, Clone)]
pub(super) struct Clip {
    /// What is said.
    pub transcript: String,
    /// Where something of it is heard.
    pub sound_s: Range<f64>,
    /// When each word is heard, where that is known.
    pub times: Option<Vec<WordTime>>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Joined {
    /// Its samples.
    pub samples: Vec<i16>,
    /// The recordings, in their order.
    pub clips: Vec<Clip>,
}

/// How the file is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Decides order, pauses and noise.
    pub seed: u64,
    /// Noise all over, so many dB below the speech.
    pub noise_db: Option<f64>,
    /// Silence at the end, in which nothing is to be done.
    pub quiet_s: f64,
}

/// Joins recordings and their samples. Those in which nothing is heard are left out.
pub(super) fn join(mut parts: Vec<(&Recording, Vec<i16>)>, plan: Plan) -> Joined {
    let mut chance = Chance::new(plan.seed);
    chance.shuffle(&mut parts);
    let mut samples = Vec::new();
    let mut clips = Vec::new();
    let mut powers = Vec::new();
    chance.pause(&mut samples, LEAD_S);
    for (recording, own) in parts {
        let Some(sound) = heard(&own) else { continue };
        if !clips.is_empty() {
            let pause_s = PAUSES_S.start + chance.fraction() * (PAUSES_S.end - PAUSES_S.start);
            chance.pause(&mut samples, pause_s);
        }
        let begin_s = seconds(samples.len());
        powers.push(power(&own[sound.clone()]));
        samples.extend_from_slice(&own);
        let later = |time: &WordTime| WordTime {
            start_s: time.start_s + begin_s,
            end_s: time.end_s + begin_s,
            word: time.word.clone(),
        };
        clips.push(Clip {
            transcript: recording.transcript.clone(),
            sound_s: begin_s + seconds(sound.start)..begin_s + seconds(sound.end),
            times: recording.times.as_ref().map(|times| times.iter().map(later).collect()),
        });
    }
    chance.pause(&mut samples, SETTLE_S + plan.quiet_s);
    if let Some(noise_db) = plan.noise_db
        && !powers.is_empty()
    {
        #[expect(clippy::cast_precision_loss, reason = "a few recordings")]
        let speech = powers.iter().sum::<f64>() / powers.len() as f64;
        chance.add_noise(&mut samples, speech / 10_f64.powf(noise_db / 10.0));
    }
    Joined { samples, clips }
}

/// Recordings in an order that a seed decides, so that those that are played are not all of one speaker.
pub(super) fn shuffled(mut recordings: Vec<Recording>, seed: u64) -> Vec<Recording> {
    Chance::new(seed).shuffle(&mut recordings);
    recordings
}

impl Joined {
    /// Its length.
    pub(super) fn seconds(&self) -> f64 {
        seconds(self.samples.len())
    }

    /// All that is said.
    pub(super) fn transcript(&self) -> String {
        self.clips.iter().map(|clip| clip.transcript.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// How long something is heard.
    pub(super) fn speech_s(&self) -> f64 {
        self.clips.iter().map(|clip| clip.sound_s.end - clip.sound_s.start).sum()
    }

    /// From the first sound to the last.
    pub(super) fn spoken_s(&self) -> Range<f64> {
        let begin = self.clips.first().map_or(0.0, |clip| clip.sound_s.start);
        begin..self.clips.last().map_or(begin, |clip| clip.sound_s.end)
    }

    /// The recording in which, or after which, this moment lies.
    pub(super) fn clip_at(&self, at_s: f64) -> usize {
        self.clips.iter().rposition(|clip| clip.sound_s.start <= at_s).unwrap_or(0)
    }

    /// Writes it as WAV: 16 bit, one channel.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write_wav(&self, mut out: impl Write) -> io::Result<()> {
        let bytes =
            u32::try_from(2 * self.samples.len()).map_err(|_| io::Error::other("more than a WAV file can hold"))?;
        out.write_all(b"RIFF")?;
        out.write_all(&bytes.saturating_add(36).to_le_bytes())?;
        out.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0")?;
        out.write_all(&RATE_HZ.to_le_bytes())?;
        out.write_all(&(2 * RATE_HZ).to_le_bytes())?;
        out.write_all(b"\x02\0\x10\0data")?;
        out.write_all(&bytes.to_le_bytes())?;
        self.samples.iter().try_for_each(|sample| out.write_all(&sample.to_le_bytes()))?;
        out.flush()
    }
}

/// xorshift64*: the same numbers for the same seed, everywhere.
struct Chance(u64);

impl Chance {
    /// Seeds that lie beside each other begin far from each other (the step is splitmix64's).
    fn new(seed: u64) -> Self {
        let mut this = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            this.next();
        }
        this
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to, and without, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "below the length of a list")]
            let other = (self.next() % (end as u64 + 1)) as usize;
            list.swap(end, other);
        }
    }

    /// Noise 80 dB below full scale, as a quiet room has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds, 0 to 6")]
    fn pause(&mut self, samples: &mut Vec<i16>, pause_s: f64) {
        let frames = (pause_s * f64::from(RATE_HZ)) as usize;
        samples.extend((0..frames).map(|_| (self.next() % 7) as i16 - 3));
    }

    /// White noise of this mean power.
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    fn add_noise(&mut self, samples: &mut [i16], power: f64) {
        // Of numbers spread evenly over -a..a the mean square is a²/3.
        let most = (3.0 * power).sqrt();
        for sample in samples {
            let noisy = f64::from(*sample) + most * (2.0 * self.fraction() - 1.0);
            *sample = noisy.round().clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(word: &str) -> Recording {
        let times = vec![WordTime { word: word.into(), start_s: 0.25, end_s: 0.75 }];
        Recording { path: word.into(), transcript: word.into(), times: Some(times) }
    }

    /// A second, of which the middle half is loud.
    fn loud() -> Vec<i16> {
        (0..16_000)
            .map(|n| {
                if !(4_000..12_000).contains(&n) {
                    0
                } else if n % 2 == 0 {
                    9_000
                } else {
                    -9_000
                }
            })
            .collect()
    }

    fn joined(seed: u64, noise_db: Option<f64>) -> Joined {
        let words = ["a", "b", "c", "d", "silent"].map(recording);
        let parts = words.iter().map(|word| (word, if word.transcript == "silent" { vec![0; 99] } else { loud() }));
        join(parts.collect(), Plan { seed, noise_db, quiet_s: 5.0 })
    }

    #[test]
    fn recordings_lie_where_it_is_said() {
        let joined = joined(1, None);
        assert_eq!(joined.clips.len(), 4, "what is silent is left out");
        assert!((joined.speech_s() - 2.0).abs() < 1e-6, "{}", joined.speech_s());
        let mut before_s = 0.0;
        for (n, clip) in joined.clips.iter().enumerate() {
            let pause_s = clip.sound_s.start - 0.25 - before_s;
            assert!(if n == 0 { (pause_s - LEAD_S).abs() < 1e-3 } else { PAUSES_S.contains(&pause_s) }, "{pause_s}");
            before_s = clip.sound_s.end + 0.25;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the file")]
            let at = |s: f64| (s * 16_000.0).round() as usize;
            let sound = &joined.samples[at(clip.sound_s.start)..at(clip.sound_s.end)];
            assert!(sound.iter().all(|sample| sample.unsigned_abs() == 9_000));
            let time = &clip.times.as_ref().expect("times")[0];
            assert_eq!(time.word, clip.transcript);
            assert!((time.start_s - clip.sound_s.start).abs() < 1e-6 && (time.end_s - clip.sound_s.end).abs() < 1e-6);
            assert_eq!(joined.clip_at(clip.sound_s.end + 0.1), n);
        }
        assert!((joined.seconds() - before_s - SETTLE_S - 5.0).abs() < 1e-3);
        assert_eq!(joined.clip_at(0.0), 0);
    }

    #[test]
    fn a_seed_decides_all() {
        let order = |joined: &Joined| joined.clips.iter().map(|clip| clip.transcript.clone()).collect::<String>();
        assert_eq!(joined(7, Some(10.0)).samples, joined(7, Some(10.0)).samples);
        let orders: std::collections::BTreeSet<_> = (0..20).map(|seed| order(&joined(seed, None))).collect();
        assert!(orders.len() > 8, "{orders:?}");
    }

    #[test]
    fn noise_is_as_loud_as_was_asked_for() {
        let noisy = joined(3, Some(10.0));
        let ratio_db = 10.0 * (9_000_f64.powi(2) / power(&noisy.samples[..16_000])).log10();
        assert!((ratio_db - 10.0).abs() < 0.2, "{ratio_db}");
    }

    #[test]
    fn the_file_is_a_wav() {
        let mut bytes = Vec::new();
        let joined = joined(1, None);
        joined.write_wav(&mut bytes).expect("memory");
        assert_eq!(bytes.len(), 44 + 2 * joined.samples.len());
        let length = u32::try_from(bytes.len() - 8).expect("short").to_le_bytes();
        assert_eq!(bytes[..16], [b"RIFF", &length[..], b"WAVEfmt "].concat());
        assert_eq!(bytes[44..46], joined.samples[0].to_le_bytes());
    }
}
