//! Pure signal processing.
//!
//! | what for | who |
//! |---|---|
//! | a source's rate is another one | [`RateConverter`], with exact frame counts |
//! | a source's clock is another one | [`DriftLoop`] steers a [`VariableResampler`] |
//! | before the fader | [`Chain`]: [`HighPass`], [`Gate`], [`Equaliser`], [`Compressor`] |
//! | into a sum | [`Strip`]: fader, mute, pan, channel rules ([`Routing`]); [`mix_into`] is the bare sum |
//! | after the sum | [`Limiter`] |
//! | to look at | [`Meters`], [`Loudness`], [`TruePeak`], [`PhaseCorrelation`] |
//! | to draw | [`Stft`] with a [`Window`], [`Rows`] of a [`FrequencyAxis`], [`ColourMap`]; [`Peaks`], [`Pyramid`] |
//! | tests | [`SignalSource`] |
//!
//! What it does: arithmetic on memory the caller owns. What it never does: I/O, threads, clocks,
//! and (once constructed, into room that suffices) allocation. It knows no other crate of the project.
//!
//! What is set while a signal runs glides to its new value. A sample that is no finite number counts as silence and
//! leaves nothing behind. How a signal is cut into blocks does not show: only a [`VariableResampler`] glides by blocks.
//!
//! Shapes: *planar* is `[channels][frames]` in one slice, *interleaved* is `[frames][channels]`.
//!
//! ```
//! use audio_dsp::RateConverter;
//! let mut converter = RateConverter::new(48_000, 16_000, 1)?;
//! let mut out = vec![Vec::with_capacity(converter.out_frames_max(1_000))];
//! converter.process(&[0.0; 1_000], 1_000, &mut out);
//! converter.finish(&mut out);
//! assert_eq!(out[0].len(), 334); // 1000 / 3, rounded up
//! # Ok::<(), audio_dsp::RateError>(())
//! ```

mod biquad;
mod chain;
mod colour_map;
mod compressor;
mod correlation;
mod drift;
mod equaliser;
mod frequency_scale;
mod gain;
mod gate;
mod high_pass;
mod layout;
mod limiter;
mod loudness;
mod meter;
mod mix;
mod pan;
mod peaks;
mod pyramid;
mod rate;
mod sample;
mod signal;
mod sinc;
mod source_clock;
mod split;
mod stft;
mod strip;
mod true_peak;
mod vari;
mod window;

pub use biquad::{Biquad, Coefficients};
pub use chain::Chain;
pub use colour_map::{ColourMap, UnknownColourMap};
pub use compressor::{Compression, Compressor};
pub use correlation::PhaseCorrelation;
pub use drift::{CORRECTION_PPM_MAX, DriftLoop};
pub use equaliser::{BAND_DB_MAX, Bands, Equaliser};
pub use frequency_scale::{FrequencyAxis, FrequencyScale, Rows, UnknownScale};
pub use gain::{Decibels, Ramp};
pub use gate::{Gate, Gating};
pub use high_pass::{HighPass, Slope};
pub use layout::{NAMED_CHANNELS_MAX, Routing, Speaker, speakers};
pub use limiter::{CEILING, LOOK_AHEAD_SECONDS, Limiter, RELEASE_SECONDS};
pub use loudness::Loudness;
pub use meter::{Meters, Reading};
pub use mix::{downmix_to_mono, mix_into};
pub use pan::balance;
pub use peaks::{Peaks, peaks_in_columns};
pub use pyramid::{FINEST_FRAMES, Pyramid};
pub use rate::{RATE_HZ_MAX, RATE_HZ_MIN, RateConverter, RateError};
pub use signal::{COUNT_MODULUS, SIGNAL_PEAK, Signal, SignalSource, decode_count, is_impulse};
pub use source_clock::{MEMORY_SECONDS, SourceClock};
pub use stft::{FLOOR_DB, STFT_FRAMES, Stft, StftError, decibels_of_power};
pub use strip::{GLIDE_SECONDS, Strip};
pub use true_peak::TruePeak;
pub use vari::{Quality, VariableResampler};
pub use window::{UnknownWindow, Window};
