//! Audio files, decoded by symphonia: WAV, FLAC, MP3, Ogg Vorbis, M4A and more, without the codec's padding.

use crate::frames::Frames;
use crate::limits::{CHANNELS, SAMPLE_RATES_HZ};
use std::io::ErrorKind;
use std::path::Path;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use thiserror::Error as ThisError;

/// The clip that is always there: eleven seconds of a speech, 16 kHz, mono.
pub const DEMO_CLIP: &[u8] = include_bytes!("../../speech/jfk.wav");

/// Why a file cannot be opened.
#[derive(Debug, ThisError)]
pub enum DecodeError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No format that is known, or a broken one.
    #[error("{name}: not an audio file that can be read ({reason}); WAV, FLAC, MP3, Ogg Vorbis and M4A can")]
    Format {
        /// Which file.
        name: String,
        /// Why.
        reason: String,
    },
    /// More than the engine takes.
    #[error("{name}: {channels} channels at {sample_rate_hz} Hz; 1 to 64 channels at 8,000 to 192,000 Hz can be read")]
    Shape {
        /// Which file.
        name: String,
        /// Its channels.
        channels: usize,
        /// Its rate.
        sample_rate_hz: u32,
    },
}

/// A file that is being decoded.
pub struct Decoded {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// The first packet's frames: some formats tell their channels only there.
    first: Vec<Vec<f32>>,
    first_result: Option<Result<bool, String>>,
    decoded_frames: u64,
    name: String,
    /// Frames a second.
    pub sample_rate_hz: u32,
    /// Channels.
    pub channels: usize,
    /// Its frames, where the format says so.
    pub total_frames: Option<u64>,
    /// Name of the format, for people.
    pub format: String,
}

impl Decoded {
    /// Opens a file.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        let io = |source| DecodeError::Io { path: path.display().to_string(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Err(io(ErrorKind::IsADirectory.into()));
        }
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Self::read(Box::new(file), &hint, name)
    }

    /// Opens the clip inside this program.
    ///
    /// # Errors
    /// [`DecodeError`], should the clip be broken.
    pub fn demo() -> Result<Self, DecodeError> {
        Self::read(Box::new(std::io::Cursor::new(DEMO_CLIP)), &Hint::new(), "demo clip (jfk.wav)".into())
    }

    fn read(source: Box<dyn MediaSource>, hint: &Hint, name: String) -> Result<Self, DecodeError> {
        let refuse = |reason: String| DecodeError::Format { name: name.clone(), reason };
        let stream = MediaSourceStream::new(source, symphonia::core::io::MediaSourceStreamOptions::default());
        let reader = symphonia::default::get_probe()
            .probe(hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|e| refuse(e.to_string()))?;
        let track = reader.default_track(TrackType::Audio).ok_or_else(|| refuse("it has no sound".into()))?;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio());
        let parameters = parameters.ok_or_else(|| refuse("its coding is unknown".into()))?;
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(|e| refuse(e.to_string()))?;
        let mut this = Self {
            track: track.id,
            total_frames: track.num_frames,
            sample_rate_hz: parameters.sample_rate.unwrap_or(0),
            channels: parameters.channels.as_ref().map_or(0, symphonia::core::audio::Channels::count),
            format: format_name(reader.format_info().short_name),
            reader,
            decoder,
            first: Vec::new(),
            first_result: None,
            decoded_frames: 0,
            name: name.clone(),
        };
        let mut first = Vec::new();
        let result = this.packet(&mut first);
        if first.is_empty() && (this.channels == 0 || this.sample_rate_hz == 0) {
            return Err(refuse(result.err().unwrap_or_else(|| "it is empty".into())));
        }
        this.first = first;
        this.first_result = Some(result);
        if !CHANNELS.contains(&u32::try_from(this.channels).unwrap_or(u32::MAX))
            || !SAMPLE_RATES_HZ.contains(&this.sample_rate_hz)
        {
            let Self { channels, sample_rate_hz, .. } = this;
            return Err(DecodeError::Shape { name, channels, sample_rate_hz });
        }
        Ok(this)
    }

    /// For people: name, format, rate, channels, length.
    #[must_use]
    pub fn description(&self) -> String {
        let mut text = format!(
            "{}: {}, {} kHz, {}",
            self.name,
            self.format,
            f64::from(self.sample_rate_hz) / 1_000.0,
            channels_text(self.channels)
        );
        if let Some(frames) = self.total_frames {
            #[expect(clippy::cast_precision_loss, reason = "for people")]
            let seconds = frames as f64 / f64::from(self.sample_rate_hz);
            text.push_str(&format!(", {seconds:.1} s"));
        }
        text
    }

    /// Decodes packets until one gives frames; these replace what is in `planar`.
    fn packet(&mut self, planar: &mut Vec<Vec<f32>>) -> Result<bool, String> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.at_end(),
                Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => {
                    return self.at_end().and(Err(self.cut_off()));
                }
                Err(Error::ResetRequired) => return self.at_end(),
                Err(e) => return Err(format!("{}: broken after {:.1} s: {e}", self.name, self.seconds())),
            };
            if packet.track_id != self.track {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(sound) if sound.frames() == 0 => {}
                Ok(sound) => {
                    let (channels, rate) = (sound.spec().channels().count(), sound.spec().rate());
                    if self.decoded_frames == 0 {
                        (self.channels, self.sample_rate_hz) = (channels, rate);
                    } else if (self.channels, self.sample_rate_hz) != (channels, rate) {
                        return Err(format!("{}: its form changes after {:.1} s", self.name, self.seconds()));
                    }
                    sound.copy_to_vecs_planar(planar);
                    self.decoded_frames += sound.frames() as u64;
                    return Ok(true);
                }
                // One packet that cannot be decoded is left out, as players do; symphonia recovers at the next.
                Err(Error::DecodeError(_)) => {}
                Err(Error::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => return Err(self.cut_off()),
                Err(e) => return Err(format!("{}: broken after {:.1} s: {e}", self.name, self.seconds())),
            }
        }
    }

    /// The end is an error where the format promised more. Only some formats promise: an MP3's length is often a guess.
    fn at_end(&self) -> Result<bool, String> {
        let promises = matches!(self.reader.format_info().short_name, "wave" | "flac" | "aiff" | "caf");
        match self.total_frames {
            Some(total) if promises && self.decoded_frames < total => Err(self.cut_off()),
            _ => Ok(false),
        }
    }

    fn cut_off(&self) -> String {
        format!("{}: cut off after {:.1} s", self.name, self.seconds())
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn seconds(&self) -> f64 {
        self.decoded_frames as f64 / f64::from(self.sample_rate_hz.max(1))
    }
}

impl Frames for Decoded {
    fn next(&mut self, planar: &mut [Vec<f32>]) -> Result<bool, String> {
        let mut own = std::mem::take(&mut self.first);
        let result = match self.first_result.take() {
            Some(result) => result,
            None => self.packet(&mut own),
        };
        if matches!(result, Ok(true)) {
            planar.iter_mut().zip(&own).for_each(|(to, from)| to.extend_from_slice(from));
        }
        if self.first_result.is_none() {
            own.iter_mut().for_each(Vec::clear);
        }
        result
    }
}

/// The name people know a format by.
fn format_name(short: &str) -> String {
    match short {
        "wave" => "WAV".into(),
        "ogg" => "Ogg".into(),
        "isomp4" => "MP4".into(),
        "matroska" | "mkv" => "Matroska".into(),
        other => other.to_uppercase(),
    }
}

/// "mono", "stereo" or a number.
#[must_use]
pub fn channels_text(channels: usize) -> String {
    match channels {
        1 => "mono".into(),
        2 => "stereo".into(),
        n => format!("{n} channels"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut file: Decoded) -> (Vec<Vec<f32>>, Result<bool, String>) {
        let mut planar = vec![Vec::new(); file.channels];
        loop {
            match file.next(&mut planar) {
                Ok(true) => {}
                end => return (planar, end),
            }
        }
    }

    #[test]
    fn the_demo_clip_is_whole_and_exact() {
        let clip = Decoded::demo().unwrap();
        assert_eq!((clip.sample_rate_hz, clip.channels, clip.total_frames), (16_000, 1, Some(176_000)));
        assert!(clip.description().starts_with("demo clip (jfk.wav): "), "{}", clip.description());
        assert!(clip.description().ends_with("16 kHz, mono, 11.0 s"), "{}", clip.description());
        let (planar, end) = all(clip);
        assert_eq!(end, Ok(false));
        let expected: Vec<f32> = hound::WavReader::new(DEMO_CLIP)
            .unwrap()
            .into_samples::<i16>()
            .map(|s| f32::from(s.unwrap()) / 32_768.0)
            .collect();
        assert_eq!(planar[0], expected);
    }

    #[test]
    fn a_file_cut_off_gives_what_it_has_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torn.wav");
        std::fs::write(&path, &DEMO_CLIP[..100_001]).unwrap();
        let (planar, end) = all(Decoded::open(&path).unwrap());
        assert!(end.unwrap_err().contains("cut off after 3.1 s"));
        assert!((49_900..50_000).contains(&planar[0].len()), "{}", planar[0].len());
    }

    #[test]
    fn what_is_no_sound_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let text = |path: &Path| Decoded::open(path).err().unwrap().to_string();
        let path = folder.path().join("letter.wav");
        std::fs::write(&path, "Dear Sir or Madam, this is not a sound at all.").unwrap();
        assert!(text(&path).contains("not an audio file"));
        assert!(text(&folder.path().join("none.wav")).contains("none.wav"));
        assert!(text(folder.path()).contains("directory"));
        std::fs::write(&path, "").unwrap();
        assert!(text(&path).contains("not an audio file"));
    }
}
