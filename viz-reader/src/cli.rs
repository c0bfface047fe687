//! The command line of `tympan viz`.

use crate::file::When;
use audio_dsp::{ColourMap, FrequencyScale, STFT_FRAMES, Window};
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, Parser, ValueEnum};
use std::path::PathBuf;

/// Shows sound: waveform, spectrogram, spectrum, meters.
#[derive(Debug, Clone, Parser)]
#[command(name = "tympan viz", bin_name = "tympan viz", version, max_term_width = 100, after_help = HELP)]
pub struct Arguments {
    /// Rings, as `tympan rings` shows them, or recordings (with --png or --csv, one); without any, all rings
    #[arg(value_name = "RING|FILE")]
    pub names: Vec<String>,
    /// How it is shown.
    #[command(flatten)]
    pub look: Look,
    /// Where it goes, when it is a file.
    #[command(flatten)]
    pub files: Files,
    /// What goes to a browser.
    #[command(flatten)]
    pub web: Web,
    /// What is drawn in a terminal.
    #[command(flatten)]
    pub terminal: Terminal,
}

const HELP: &str = "\
Examples:
  tympan viz
  tympan viz mic mix
  tympan viz --png talk.png talk.wav
  tympan viz --png mic.png --csv mic.csv --from -10s mic
  tympan viz --web";

/// What is drawn, and how. The same in a terminal, a browser and a file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Drawing")]
pub struct Look {
    /// What is shown
    #[arg(long, value_enum, default_value_t = View::All)]
    pub view: View,
    /// Channels, counted from 1, such as 1,3-5 [default: all]
    #[arg(long, value_name = "LIST", value_parser = channels)]
    pub channels: Option<Channels>,
    /// Window of the transform
    #[arg(long, default_value_t = Window::Hann, value_parser = named(Window::ALL, Window::name))]
    pub window: Window,
    /// Frames of a transform, a power of two from 64 to 16384 [default: 40 ms or somewhat more, 512 to 8192; in a browser 2048]
    #[arg(long, value_name = "FRAMES", value_parser = transform)]
    pub fft: Option<usize>,
    /// Frames from one transform to the next [default: a quarter of the transform's, and in a picture no more than a column]
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub hop: Option<u32>,
    /// Levels from the darkest colour to the brightest, in dBFS
    #[arg(long, value_name = "LOW..HIGH", default_value = "-90..0", allow_hyphen_values = true, value_parser = range)]
    pub range: Range,
    /// Colour map
    #[arg(long, value_name = "MAP", default_value_t = ColourMap::Viridis, value_parser = named(ColourMap::ALL, ColourMap::name))]
    pub colours: ColourMap,
    /// How frequencies lie on their axis
    #[arg(long, default_value_t = FrequencyScale::Log, value_parser = named(FrequencyScale::ALL, FrequencyScale::name))]
    pub scale: FrequencyScale,
}

impl Look {
    /// Frames of a transform of sound at this rate.
    #[must_use]
    pub fn fft_frames(&self, rate_hz: u32) -> usize {
        // Of speech 40 to 80 ms show both the voice's harmonics and the sounds, one by one.
        let usual = (rate_hz / 25).next_power_of_two().clamp(512, 8_192);
        self.fft.unwrap_or(usual as usize)
    }

    /// Frames from one transform of so many to the next.
    #[must_use]
    pub fn hop_frames(&self, fft: usize) -> u64 {
        self.hop.map_or(fft as u64 / 4, u64::from)
    }
}

/// Where pictures go that are files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files")]
pub struct Files {
    /// Draw into this file
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Write the numbers into this file; - is standard output, of a picture too
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Begin there: 12.5s or 1:30 from the beginning, -10s from the end or from now [default: the beginning]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<When>,
    /// End there, or at now [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<When>,
    /// Pixels of the picture [default: 1600x900, higher for many channels]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub size: Option<Size>,
}

/// Pixels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: usize,
    /// From top to bottom.
    pub height: usize,
}

/// What goes to a browser.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Browser")]
pub struct Web {
    /// Show it in a browser
    #[arg(long, conflicts_with_all = ["png", "csv"])]
    pub web: bool,
    /// The port of the page's address; 0: any that is free
    #[arg(long, default_value_t = 0, requires = "web")]
    pub port: u16,
    /// The interface it is served on. On any but the loopback interface the page's address has a token that it cannot be seen without
    #[arg(long, default_value = "127.0.0.1", requires = "web")]
    pub host: String,
    /// Do not open a browser
    #[arg(long, requires = "web")]
    pub no_open: bool,
}

/// What is drawn in a terminal: without `--web`, `--png` and `--csv`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Terminal")]
pub struct Terminal {
    /// Pictures a second at the most
    #[arg(long, value_name = "RATE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fps: u32,
    /// No pictures, but levels as a line of JSON a second and stream
    #[arg(long, conflicts_with_all = ["png", "csv", "web"])]
    pub json: bool,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Samples over time
    Waveform,
    /// Frequencies over time
    Spectrogram,
    /// Levels of the frequencies
    Spectrum,
    /// All of them
    All,
}

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `--png`, `--csv`.
    Files,
    /// `--web`.
    Browser,
    /// Otherwise.
    Terminal,
}

impl Arguments {
    /// Where it is to be shown.
    #[must_use]
    pub const fn target(&self) -> Target {
        if self.files.png.is_some() || self.files.csv.is_some() {
            Target::Files
        } else if self.web.web {
            Target::Browser
        } else {
            Target::Terminal
        }
    }
}

/// Levels from the darkest to the brightest colour, in dBFS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The darkest one's.
    pub low_db: f32,
    /// The brightest one's.
    pub high_db: f32,
}

impl Range {
    /// A level's place, 0 at the darkest colour and 1 at the brightest; beyond, below 0 or above 1.
    #[must_use]
    pub fn part(&self, level_db: f32) -> f32 {
        (level_db - self.low_db) / (self.high_db - self.low_db)
    }
}

/// Some channels, counted from 0, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels(pub Vec<usize>);

/// Channels that any stream may have.
const CHANNELS_MAX: usize = 64;

fn channels(text: &str) -> Result<Channels, String> {
    let number = |text: &str| text.parse().ok().filter(|n| (1..=CHANNELS_MAX).contains(n));
    let mut list = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Some(from), Some(to)) = (number(from), number(to)) else {
            return Err(format!("\"{part}\" is no channel from 1 to {CHANNELS_MAX}, and no range such as 3-5"));
        };
        if from > to {
            return Err(format!("\"{part}\" ends before it begins"));
        }
        list.extend(from - 1..to);
    }
    list.sort_unstable();
    list.dedup();
    Ok(Channels(list))
}

fn transform(text: &str) -> Result<usize, String> {
    let fits = |frames: &usize| STFT_FRAMES.contains(frames) && frames.is_power_of_two();
    text.parse().ok().filter(fits).ok_or_else(|| {
        format!("a power of two from {} to {} is needed, such as 2048", STFT_FRAMES.start(), STFT_FRAMES.end())
    })
}

/// Pixels that a picture has at the least, and at the most on each side.
const WIDTHS: std::ops::RangeInclusive<usize> = 400..=16_384;
const HEIGHTS: std::ops::RangeInclusive<usize> = 200..=16_384;

fn size(text: &str) -> Result<Size, String> {
    let sides =
        text.split_once(['x', '×']).and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let fits = |(width, height): &(usize, usize)| WIDTHS.contains(width) && HEIGHTS.contains(height);
    sides.filter(fits).map(|(width, height)| Size { width, height }).ok_or_else(|| {
        format!(
            "a width from {} to {} and a height from {} to {} are needed, as in 1600x900",
            WIDTHS.start(),
            WIDTHS.end(),
            HEIGHTS.start(),
            HEIGHTS.end()
        )
    })
}

fn range(text: &str) -> Result<Range, String> {
    let db = |text: &str| text.trim().parse().ok().filter(|db| (-140.0..=180.0).contains(db));
    let ends = text.split_once("..").and_then(|(low, high)| Some((db(low)?, db(high)?)));
    match ends {
        Some((low_db, high_db)) if high_db - low_db >= 1.0 => Ok(Range { low_db, high_db }),
        Some(_) => Err("the first level must be at least 1 dB below the second one, as in -90..0".into()),
        None => Err("two levels from -140 to 180 dBFS are needed, as in -90..0".into()),
    }
}

fn named<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(name))
        .try_map(move |text| all.into_iter().find(|value| name(*value) == text).ok_or("no such name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let arguments = Arguments::parse_from(["viz", "mic", "--colours", "magma", "--range", "-60..-6"]);
        assert_eq!(arguments.target(), Target::Terminal);
        assert_eq!(arguments.look.colours, ColourMap::Magma);
        assert!((arguments.look.range.part(-33.0) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_transform_is_as_long_as_its_rate_needs() {
        let look = |more: &[&str]| Arguments::parse_from([&["viz", "mic"], more].concat()).look;
        let rates = [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 768_000];
        let frames = rates.map(|rate_hz| look(&[]).fft_frames(rate_hz));
        assert_eq!(frames, [512, 1_024, 1_024, 2_048, 2_048, 4_096, 8_192, 8_192]);
        assert_eq!(look(&["--fft", "64"]).fft_frames(48_000), 64);
        assert_eq!((look(&[]).hop_frames(2_048), look(&["--hop", "7"]).hop_frames(2_048)), (512, 7));
    }

    #[test]
    fn channels_are_counted_from_one() {
        assert_eq!(channels("3-5,1,4"), Ok(Channels(vec![0, 2, 3, 4])));
        for wrong in ["", "0", "65", "a", "1-", "5-3", "1,,2"] {
            assert!(channels(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [["--fft", "1000"], ["--range", "0..-90"], ["--range", "x"], ["--colours", "jet"], ["--hop", "0"]]
        {
            assert!(Arguments::try_parse_from(["viz", "mic"].into_iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }
}
