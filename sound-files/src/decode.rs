//! Audio files, decoded by symphonia: WAV, FLAC, MP3, Ogg Vorbis, M4A and more, without the codec's padding.

use crate::container::{self, Corrected, End, Structure};
use crate::limits::ShapeError;
use crate::{Frames, mpeg};
use control_protocol::{Exit, SourceError};
use std::io::{ErrorKind, Seek};
use std::path::{Path, PathBuf};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use thiserror::Error as ThisError;

/// The clip that is always there: eleven seconds of a speech, 16 kHz, mono.
pub const DEMO_CLIP: &[u8] = include_bytes!("../../speech/jfk.wav");

const NO_INDEX: &str = "its index (moov) is missing, because the recording was not finished; the program that recorded it \
                        may be able to repair it";
const CUT_OFF_EARLY: &str = "it is cut off, and what is there holds no sound that can be read";

/// Why a file cannot be opened.
#[derive(Debug, ThisError)]
pub enum DecodeError {
    /// The file system refused.
    #[error("{path}: {}", said(source))]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// No byte is in it.
    #[error("{name}: it is empty (0 bytes)")]
    Empty {
        /// Which file.
        name: String,
    },
    /// No format that is known, or a broken one.
    #[error(
        "{name}: not an audio file that can be read ({reason}); WAV, FLAC, MP3, Ogg Vorbis and M4A can, and others after: \
         ffmpeg -i FILE new.wav"
    )]
    Format {
        /// Which file.
        name: String,
        /// Why.
        reason: String,
    },
    /// A format that is known, without any sound.
    #[error("{name}: {reason}")]
    NoSound {
        /// Which file.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// More than can be taken.
    #[error("{name}: {shape}")]
    Shape {
        /// Which file.
        name: String,
        /// What is too much.
        shape: ShapeError,
    },
}

impl DecodeError {
    /// What a process ends with that had nothing else to read.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::NoInput,
            Self::Empty { .. } | Self::Format { .. } | Self::NoSound { .. } => Exit::NotAudio,
            Self::Shape { .. } => Exit::BadShape,
        }
    }
}

/// A file system's refusal with what to do about it.
fn said(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::IsADirectory => "it is a folder; name the recording in it".into(),
        ErrorKind::PermissionDenied => "you may not read it; `ls -l` shows who may".into(),
        _ => error.to_string(),
    }
}

/// A file that is being decoded.
pub struct Decoded {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// The first packet's frames: some formats tell their channels only there.
    first: Vec<Vec<f32>>,
    first_result: Option<Result<bool, SourceError>>,
    decoded_frames: u64,
    name: String,
    structure: Structure,
    /// `None` for what is not a file.
    path: Option<PathBuf>,
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
        let mut file = std::fs::File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(io(ErrorKind::IsADirectory.into()));
        }
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        if metadata.is_file() && metadata.len() == 0 {
            return Err(DecodeError::Empty { name });
        }
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
            hint.with_extension(extension);
        }
        if !metadata.is_file() {
            // A pipe with a name cannot be looked at twice.
            return Self::read(Box::new(ReadOnlySource::new(file)), &hint, name, Structure::new(End::Unknown), None);
        }
        let structure = container::look(&mut file).map_err(io)?;
        if let Some((channels, sample_rate_hz)) = structure.shape {
            // Symphonia trips over more channels than a mask has bits.
            ShapeError::check(channels, sample_rate_hz)
                .map_err(|shape| DecodeError::Shape { name: name.clone(), shape })?;
        }
        file.rewind().map_err(io)?;
        let corrections = structure.corrections.clone();
        let source = Corrected { file, at: 0, length: metadata.len(), corrections };
        Self::read(Box::new(source), &hint, name, structure, Some(path.to_owned()))
    }

    /// Opens the clip inside this program.
    ///
    /// # Errors
    /// [`DecodeError`], should the clip be broken.
    pub fn demo() -> Result<Self, DecodeError> {
        let (clip, name) = (Box::new(std::io::Cursor::new(DEMO_CLIP)), "demo clip (jfk.wav)".into());
        Self::read(clip, &Hint::new(), name, Structure::new(End::Whole), None)
    }

    fn read(
        source: Box<dyn MediaSource>,
        hint: &Hint,
        name: String,
        structure: Structure,
        path: Option<PathBuf>,
    ) -> Result<Self, DecodeError> {
        let refuse = |reason: String| match structure {
            Structure { lacks_index: true, .. } => DecodeError::NoSound { name: name.clone(), reason: NO_INDEX },
            Structure { end: End::Cut, .. } => DecodeError::NoSound { name: name.clone(), reason: CUT_OFF_EARLY },
            _ => DecodeError::Format { name: name.clone(), reason },
        };
        let stream = MediaSourceStream::new(source, symphonia::core::io::MediaSourceStreamOptions::default());
        let reader = symphonia::default::get_probe()
            .probe(hint, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|e| refuse(e.to_string()))?;
        let (track, decoder) = sound_of(reader.as_ref()).map_err(refuse)?;
        let parameters = decoder.codec_params();
        let mut this = Self {
            track: track.id,
            total_frames: track.num_frames.filter(|&frames| frames > 0),
            sample_rate_hz: parameters.sample_rate.unwrap_or(0),
            channels: parameters.channels.as_ref().map_or(0, symphonia::core::audio::Channels::count),
            format: format_name(reader.format_info().short_name),
            reader,
            decoder,
            first: Vec::new(),
            first_result: None,
            decoded_frames: 0,
            name: name.clone(),
            structure: structure.clone(),
            path,
        };
        let mut first = Vec::new();
        let result = this.packet(&mut first);
        let shape = ShapeError::check(u32::try_from(this.channels).unwrap_or(u32::MAX), this.sample_rate_hz);
        let shape_is_known = this.channels > 0 && this.sample_rate_hz > 0;
        if let Err(shape) = shape
            && shape_is_known
        {
            return Err(DecodeError::Shape { name, shape });
        }
        if first.is_empty() {
            return Err(match result {
                Ok(_) if structure.end != End::Cut => DecodeError::NoSound { name, reason: "it holds no sound (0 s)" },
                result => refuse(result.err().map_or_else(String::new, |error| error.reason)),
            });
        }
        this.first = first;
        this.first_result = Some(result);
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
    fn packet(&mut self, planar: &mut Vec<Vec<f32>>) -> Result<bool, SourceError> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.at_end(false),
                // Another recording follows in the same file.
                Err(Error::ResetRequired) => {
                    let (track, decoder) = sound_of(self.reader.as_ref()).map_err(|e| self.broken(&e))?;
                    self.track = track.id;
                    self.decoder = decoder;
                    continue;
                }
                Err(e) => return self.at_error(&e),
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
                        let reason = format!("{}: its form changes after {:.1} s", self.name, self.seconds());
                        return Err(SourceError { reason, exit: Exit::BadShape });
                    }
                    sound.copy_to_vecs_planar(planar);
                    self.decoded_frames += sound.frames() as u64;
                    return Ok(true);
                }
                // One packet that cannot be decoded is left out, as players do; symphonia recovers at the next.
                Err(Error::DecodeError(_)) => {}
                Err(e) => return self.at_error(&e),
            }
        }
    }

    fn at_error(&self, error: &Error) -> Result<bool, SourceError> {
        match error {
            Error::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => self.at_end(true),
            error if self.ending(false).is_some() => {
                self.at_end(false).and_then(|_| Err(self.broken(&error.to_string())))
            }
            error => Err(self.broken(&error.to_string())),
        }
    }

    fn at_end(&self, is_inside: bool) -> Result<bool, SourceError> {
        match self.ending(is_inside) {
            None => Ok(false),
            Some(of_seconds) => {
                let of = of_seconds.map_or_else(String::new, |seconds| format!(" of {seconds:.1} s"));
                let reason = format!("{}: cut off after {:.1} s{of}", self.name, self.seconds());
                Err(SourceError { reason, exit: Exit::CutOff })
            }
        }
    }

    /// `None` where the file ends where it should; else its whole length in seconds, if it says so. `is_inside`: the
    /// decoder expected more.
    fn ending(&self, is_inside: bool) -> Option<Option<f64>> {
        let name = self.reader.format_info().short_name;
        let is_mpeg = matches!(name, "mp1" | "mp2" | "mp3" | "aac");
        let (is_cut, tells_length) = match self.structure.end {
            End::Whole => (false, false),
            // An Ogg's length is read from its last page.
            End::Cut => (true, name != "ogg"),
            End::Unknown if is_mpeg => {
                let file = self.path.as_ref().and_then(|path| std::fs::File::open(path).ok());
                let ending = file.and_then(|file| mpeg::ending(file).ok());
                ending.map_or((is_inside, false), |ending| (ending.is_cut, ending.promises))
            }
            End::Unknown => match self.total_frames {
                Some(total) if name == "flac" => (self.decoded_frames < total, true),
                _ => (is_inside, false),
            },
        };
        let whole = tells_length.then(|| self.promised_seconds()).flatten();
        is_cut.then_some(whole.filter(|&whole| whole > self.seconds()))
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn promised_seconds(&self) -> Option<f64> {
        let seconds = self.total_frames? as f64 / f64::from(self.sample_rate_hz.max(1));
        let (present, promised) = self.structure.present_of.unwrap_or((1, 1));
        Some(seconds * promised as f64 / present.max(1) as f64)
    }

    /// What is decoded until here is good.
    fn broken(&self, why: &str) -> SourceError {
        let reason = format!("{}: broken after {:.1} s: {why}", self.name, self.seconds());
        SourceError { reason, exit: Exit::CutOff }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn seconds(&self) -> f64 {
        self.decoded_frames as f64 / f64::from(self.sample_rate_hz.max(1))
    }
}

impl Frames for Decoded {
    fn next(&mut self, planar: &mut [Vec<f32>]) -> Result<bool, SourceError> {
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

/// The track that is heard, and its decoder.
fn sound_of(reader: &dyn FormatReader) -> Result<(&Track, Box<dyn AudioDecoder>), String> {
    let track = reader.default_track(TrackType::Audio).ok_or("it has no sound")?;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("its coding is unknown")?;
    let decoder = symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default());
    decoder.map(|decoder| (track, decoder)).map_err(|e| e.to_string())
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

    fn all(mut file: Decoded) -> (Vec<Vec<f32>>, Result<bool, SourceError>) {
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
        let error = end.unwrap_err();
        assert_eq!(error.exit, Exit::CutOff);
        assert!(error.reason.ends_with("torn.wav: cut off after 3.1 s of 11.0 s"), "{error:?}");
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
        assert!(text(folder.path()).contains("is a folder"));
        std::fs::write(&path, "").unwrap();
        assert!(text(&path).contains("letter.wav: it is empty (0 bytes)"));
        std::fs::write(&path, &DEMO_CLIP[..40]).unwrap();
        assert!(text(&path).contains("it is cut off, and"), "{}", text(&path));
    }
}
