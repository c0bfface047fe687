//! Frames of a ring, or a spill file, as 16 kHz mono samples.

use crate::vad::SAMPLE_RATE_HZ;
use audio_dsp::{RateConverter, RateError, downmix_to_mono};
use shm_layout::{FrameIndex, ReadError, RingReader};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there are no samples.
#[derive(Debug, Error)]
pub enum SamplesError {
    /// Frames of a ring are not there (any more).
    #[error(transparent)]
    Ring(#[from] ReadError),
    /// The ring has a rate that cannot be converted.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// A WAV file cannot be read or written.
    #[error("{path}: {reason}", path = path.display())]
    Wav {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Turns frames of any rate and channel count into 16 kHz mono, piece by piece.
pub struct ToMono {
    converter: RateConverter,
    channels: usize,
    mono: Vec<f32>,
    out: [Vec<f32>; 1],
}

impl ToMono {
    /// For a listener, who is to hear soon: samples come some 15 ms after their frames.
    ///
    /// # Errors
    /// [`RateError`] for a rate that is out of range.
    pub fn prompt(sample_rate_hz: u32, channels: u32) -> Result<Self, RateError> {
        Ok(Self::with(RateConverter::new(sample_rate_hz, SAMPLE_RATE_HZ, 1)?, channels))
    }

    /// For a recogniser, who has all frames already and reads the last kilohertz of the band, too.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn full_band(sample_rate_hz: u32, channels: u32) -> Result<Self, RateError> {
        Ok(Self::with(RateConverter::full_band(sample_rate_hz, SAMPLE_RATE_HZ, 1)?, channels))
    }

    fn with(converter: RateConverter, channels: u32) -> Self {
        Self { converter, channels: channels as usize, mono: Vec::new(), out: [Vec::new()] }
    }

    /// Takes `[channels][frames]`.
    ///
    /// # Panics
    /// When `planar` is not `channels * frames` long.
    pub fn push(&mut self, planar: &[f32], frames: usize) {
        self.mono.clear();
        downmix_to_mono(planar, self.channels, frames, &mut self.mono);
        self.converter.process(&self.mono, frames, &mut self.out);
    }

    /// No more frames follow: the rest of the samples is there, `ceil(frames * 16000 / rate)` in all.
    pub fn finish(&mut self) {
        self.converter.finish(&mut self.out);
    }

    /// The samples that nobody has taken yet.
    pub fn samples(&mut self) -> &mut Vec<f32> {
        &mut self.out[0]
    }
}

/// Frames `from..to` of a ring as 16 kHz mono; frames before `readable` are zeros.
///
/// # Errors
/// [`SamplesError::Ring`] when frames from `readable` on are overwritten or not yet written.
pub fn read_ring(
    ring: &RingReader,
    from: FrameIndex,
    to: FrameIndex,
    readable: FrameIndex,
) -> Result<Vec<f32>, SamplesError> {
    let info = ring.info();
    let mut mono = ToMono::full_band(info.sample_rate_hz, info.channels)?;
    let step = (info.capacity_frames / 4).clamp(1, u64::from(info.sample_rate_hz));
    let mut planar = Vec::new();
    let mut position = from;
    while position < to {
        let end = if position < readable { readable.min(to) } else { to };
        let frames = usize::try_from(end.since(position).min(step)).unwrap_or(usize::MAX);
        planar.clear();
        planar.resize(frames * info.channels as usize, 0.0);
        if position >= readable {
            ring.read(position, &mut planar, frames)?;
        }
        mono.push(&planar, frames);
        position = position.plus(frames as u64);
    }
    mono.finish();
    Ok(std::mem::take(mono.samples()))
}

/// The samples of a 16 kHz mono WAV file, of integers or floats.
///
/// # Errors
/// [`SamplesError::Wav`].
pub fn read_wav(path: &Path) -> Result<Vec<f32>, SamplesError> {
    let refuse = |reason: String| SamplesError::Wav { path: path.to_owned(), reason };
    let reader = hound::WavReader::open(path).map_err(|e| refuse(e.to_string()))?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels) != (SAMPLE_RATE_HZ, 1) {
        return Err(refuse(format!("{} Hz and {} channels, 16000 Hz mono is needed", spec.sample_rate, spec.channels)));
    }
    #[expect(clippy::cast_precision_loss, reason = "the scale of an integer sample is a power of two")]
    let scale = (1_u64 << (spec.bits_per_sample - 1)) as f32;
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit; below that the ear hears nothing")]
    let samples: Result<Vec<f32>, _> = match spec.sample_format {
        hound::SampleFormat::Float => reader.into_samples::<f32>().collect(),
        hound::SampleFormat::Int => reader.into_samples::<i32>().map(|s| s.map(|s| s as f32 / scale)).collect(),
    };
    samples.map_err(|e| refuse(e.to_string()))
}

/// Writes 16 kHz mono samples as a WAV file of floats, readable for this user only, whole or not at all.
///
/// # Errors
/// [`SamplesError::Wav`]: the folder is full or cannot be written.
pub fn write_wav(path: &Path, samples: &[f32]) -> Result<(), SamplesError> {
    let refuse = |reason: String| SamplesError::Wav { path: path.to_owned(), reason };
    let partial = path.with_extension("wav.part");
    let write = || -> Result<(), String> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE_HZ,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        let file = io::BufWriter::new(file.map_err(|e| e.to_string())?);
        let mut writer = hound::WavWriter::new(file, spec).map_err(|e| e.to_string())?;
        samples.iter().try_for_each(|&s| writer.write_sample(s)).map_err(|e| e.to_string())?;
        writer.finalize().map_err(|e| e.to_string())?;
        fs::rename(&partial, path).map_err(|e| e.to_string())
    };
    write().map_err(|reason| {
        let _ = fs::remove_file(&partial); // what is left of it is of no use
        refuse(reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_spill_file_gives_back_its_samples_and_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.wav");
        let samples: Vec<f32> = (0..1_000_u16).map(|i| f32::from(i) / 1_000.0 - 0.5).collect();
        write_wav(&path, &samples).expect("written");
        assert_eq!(read_wav(&path).expect("read"), samples);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing half-written is left");
    }

    #[test]
    fn a_file_that_is_no_wav_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let refused = read_wav(file.path()).expect_err("an empty file is no WAV").to_string();
        assert!(refused.contains(&*file.path().to_string_lossy()), "{refused}");
    }
}
