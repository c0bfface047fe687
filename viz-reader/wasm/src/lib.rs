//! What the browser page computes, as a WebAssembly module: histories of channels, columns of pictures, levels.
//!
//! The arithmetic is `audio-dsp`'s; here is only what must be remembered between two messages, and the door. The page writes
//! samples to [`tv_input`], calls a function, and reads its results at [`tv_output`]. Frames are numbers of 64 bits
//! (`BigInt` would cost an allocation each; up to 2^53 they are exact). Lanes and pairs are called by the numbers that
//! [`tv_lane_new`] and [`tv_pair_new`] gave. Nothing here panics on a wrong number: it does nothing and returns 0.
//!
//! Without `wasm-bindgen`: these few functions need none of its glue.
#![expect(unsafe_code, reason = "an exported name is unsafe: it must be there once. Nothing else here is")]

mod history;
mod lane;

pub use history::{History, Missing};
pub use lane::{Lane, Look, Tone, WaveColumn, tones};

use audio_dsp::{ColourMap, FrequencyScale, PhaseCorrelation, Window};
use std::cell::RefCell;

#[derive(Default)]
struct Module {
    look: Option<Look>,
    lanes: Vec<Option<Lane>>,
    pairs: Vec<PhaseCorrelation>,
    input: Vec<f32>,
    floats: Vec<f32>,
    bytes: Vec<u8>,
}

thread_local! {
    static MODULE: RefCell<Module> = RefCell::default();
}

impl Module {
    fn lane(&mut self, lane: u32) -> Option<&mut Lane> {
        self.lanes.get_mut(lane as usize)?.as_mut()
    }

    /// Lane and look at once.
    fn drawing(&mut self, lane: u32) -> Option<(&mut Lane, &mut Look)> {
        if self.look.is_none() {
            self.look = Look::new();
        }
        Some((self.lanes.get_mut(lane as usize)?.as_mut()?, self.look.as_mut()?))
    }
}

fn with<R>(act: impl FnOnce(&mut Module) -> R) -> R {
    MODULE.with_borrow_mut(act)
}

/// A frame from a number; what is none is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn frame(number: f64) -> u64 {
    number as u64
}

/// What is returned of a frame.
const fn number(frame: u64) -> f64 {
    frame as f64
}

/// Room for so many samples; where the page writes them. What was there before is kept, as far as it fits. Moves memory:
/// views must be made anew.
#[unsafe(no_mangle)]
pub extern "C" fn tv_input(samples: u32) -> *mut f32 {
    with(|module| {
        if module.input.len() < samples as usize {
            module.input.resize(samples as usize, 0.0);
        }
        module.input.as_mut_ptr()
    })
}

/// Where the last function's numbers are.
#[unsafe(no_mangle)]
pub extern "C" fn tv_output() -> *const f32 {
    with(|module| module.floats.as_ptr())
}

/// Where the last function's bytes are.
#[unsafe(no_mangle)]
pub extern "C" fn tv_output_bytes() -> *const u8 {
    with(|module| module.bytes.as_ptr())
}

/// A new lane: its number.
#[unsafe(no_mangle)]
pub extern "C" fn tv_lane_new(rate_hz: u32, history_frames: u32) -> u32 {
    with(|module| {
        let lane = Some(Lane::new(rate_hz.max(1), history_frames as usize));
        let free = module.lanes.iter().position(Option::is_none).unwrap_or(module.lanes.len());
        match module.lanes.get_mut(free) {
            Some(place) => *place = lane,
            None => module.lanes.push(lane),
        }
        u32::try_from(free).unwrap_or(u32::MAX)
    })
}

/// Frees a lane.
#[unsafe(no_mangle)]
pub extern "C" fn tv_lane_free(lane: u32) {
    with(|module| {
        if let Some(place) = module.lanes.get_mut(lane as usize) {
            *place = None;
        }
    });
}

/// Gives `frames` samples of the input, from its sample `offset` on, to a lane; the first is frame `from`. Meters hear them
/// where `live` is not 0.
#[unsafe(no_mangle)]
pub extern "C" fn tv_put(lane: u32, from: f64, offset: u32, frames: u32, live: u32) {
    with(|module| {
        let input = std::mem::take(&mut module.input);
        let end = (offset as usize).saturating_add(frames as usize);
        if let (Some(lane), Some(samples)) = (module.lane(lane), input.get(offset as usize..end)) {
            lane.put(frame(from), samples, live != 0);
        }
        module.input = input;
    });
}

/// Frames that are missing, with the number of a [`Missing`].
#[unsafe(no_mangle)]
pub extern "C" fn tv_miss(lane: u32, from: f64, to: f64, why: u32) {
    with(|module| {
        if let Some(lane) = module.lane(lane) {
            lane.history.miss(frame(from), frame(to), Missing::of(why));
        }
    });
}

/// Forgets a lane's frames.
#[unsafe(no_mangle)]
pub extern "C" fn tv_clear(lane: u32) {
    with(|module| {
        if let Some(lane) = module.lane(lane) {
            lane.history.clear();
        }
    });
}

/// The oldest frame of a lane.
#[unsafe(no_mangle)]
pub extern "C" fn tv_first(lane: u32) -> f64 {
    with(|module| module.lane(lane).map_or(0.0, |lane| number(lane.history.first())))
}

/// One past a lane's newest frame.
#[unsafe(no_mangle)]
pub extern "C" fn tv_end(lane: u32) -> f64 {
    with(|module| module.lane(lane).map_or(0.0, |lane| number(lane.history.end())))
}

/// Sets the transform (`window` as in `Window::ALL`); 0 where there is no such one.
#[unsafe(no_mangle)]
pub extern "C" fn tv_transform(window: u32, frames: u32, hop: u32) -> u32 {
    with(|module| {
        if module.look.is_none() {
            module.look = Look::new();
        }
        let (Some(look), Some(&window)) = (module.look.as_mut(), Window::ALL.get(window as usize)) else { return 0 };
        let done = look.transform(window, frames as usize);
        if look.hop != u64::from(hop.max(1)) {
            look.hop = u64::from(hop.max(1));
            look.changed();
        }
        u32::from(done)
    })
}

/// Sets the rows of a column: the frequency axis (`scale` as in `FrequencyScale::ALL`) and the levels of the darkest and the
/// brightest colour.
#[unsafe(no_mangle)]
pub extern "C" fn tv_rows(scale: u32, low_hz: f64, high_hz: f64, rows: u32, low_db: f32, high_db: f32) -> u32 {
    with(|module| {
        if module.look.is_none() {
            module.look = Look::new();
        }
        let (Some(look), Some(&scale)) = (module.look.as_mut(), FrequencyScale::ALL.get(scale as usize)) else {
            return 0;
        };
        (look.scale, look.low_hz, look.high_hz, look.rows) = (scale, low_hz, high_hz, rows.min(4_096) as usize);
        (look.low_db, look.high_db) = (low_db, high_db);
        look.changed();
        1
    })
}

/// Columns of the wave from `first` on, `width` frames each, until `count` or what is not written yet: how many. Of each there
/// are the least sample, the greatest, and the root mean square, and in the bytes what is missing (0: nothing).
#[unsafe(no_mangle)]
pub extern "C" fn tv_wave(lane: u32, first: f64, count: u32, width: u32) -> u32 {
    with(|module| {
        let (mut floats, mut bytes) = (std::mem::take(&mut module.floats), std::mem::take(&mut module.bytes));
        floats.clear();
        bytes.clear();
        if let Some(lane) = module.lane(lane) {
            for column in 0..u64::from(count) {
                let Some(column) = lane.wave(frame(first) + column, u64::from(width.max(1))) else { break };
                floats.extend([column.peaks.min, column.peaks.max, column.rms]);
                bytes.push(column.missing.map_or(0, |why| why as u8));
            }
        }
        (module.floats, module.bytes) = (floats, bytes);
        u32::try_from(module.bytes.len()).unwrap_or(0)
    })
}

/// Columns of the spectrogram, as [`tv_wave`]: bytes, one a row, the lowest frequency first, 0 the darkest colour. In the
/// numbers is why a column has none, 0 where it has.
#[unsafe(no_mangle)]
pub extern "C" fn tv_colours(lane: u32, first: f64, count: u32, width: u32) -> u32 {
    with(|module| {
        let (mut floats, mut bytes) = (std::mem::take(&mut module.floats), std::mem::take(&mut module.bytes));
        floats.clear();
        bytes.clear();
        let mut done = 0;
        if let Some((lane, look)) = module.drawing(lane) {
            while done < count {
                let begin = bytes.len();
                bytes.resize(begin + look.rows, 0);
                let column = frame(first) + u64::from(done);
                let shown = lane.colours(look, column, u64::from(width.max(1)), &mut bytes[begin..]);
                let Some(shown) = shown else { break };
                floats.push(shown.err().map_or(0.0, |why| f32::from(why as u8)));
                done += 1;
            }
        }
        (module.floats, module.bytes) = (floats, bytes);
        done
    })
}

/// The levels in dBFS of the frequencies around a frame, whole transform: how many.
#[unsafe(no_mangle)]
pub extern "C" fn tv_spectrum(lane: u32, centre: f64) -> u32 {
    with(|module| {
        let mut floats = std::mem::take(&mut module.floats);
        floats.clear();
        if let Some((lane, look)) = module.drawing(lane) {
            floats.extend_from_slice(look.spectrum(&lane.history, frame(centre)));
        }
        module.floats = floats;
        u32::try_from(module.floats.len()).unwrap_or(0)
    })
}

/// The loudest tones around a frame, at most so many: how many. Of each there are its frequency and its level.
#[unsafe(no_mangle)]
pub extern "C" fn tv_tones(lane: u32, centre: f64, floor_db: f32, most: u32) -> u32 {
    with(|module| {
        let mut floats = std::mem::take(&mut module.floats);
        floats.clear();
        if let Some((lane, look)) = module.drawing(lane) {
            let rate_hz = lane.rate_hz();
            let levels = look.spectrum(&lane.history, frame(centre));
            floats.extend(
                tones(levels, rate_hz, floor_db, most as usize).iter().flat_map(|tone| [tone.hz, tone.level_db]),
            );
        }
        module.floats = floats;
        u32::try_from(module.floats.len() / 2).unwrap_or(0)
    })
}

/// A lane's peak, root mean square and held peak since the last time (factors of full scale), and clips so far.
#[unsafe(no_mangle)]
pub extern "C" fn tv_meter(lane: u32) -> u32 {
    with(|module| {
        let Some(reading) = module.lane(lane).map(Lane::meter) else { return 0 };
        module.floats.clear();
        module.floats.extend([reading.peak, reading.rms, reading.held_peak, reading.clips as f32]);
        4
    })
}

/// A new pair of channels whose correlation is measured: its number.
#[unsafe(no_mangle)]
pub extern "C" fn tv_pair_new(rate_hz: u32) -> u32 {
    with(|module| {
        module.pairs.push(PhaseCorrelation::new(rate_hz.max(1), PhaseCorrelation::SECONDS));
        u32::try_from(module.pairs.len() - 1).unwrap_or(u32::MAX)
    })
}

/// Forgets all pairs: their numbers are given anew.
#[unsafe(no_mangle)]
pub extern "C" fn tv_pairs_clear() {
    with(|module| module.pairs.clear());
}

/// Gives both channels of a pair as many samples of the input; the correlation then.
#[unsafe(no_mangle)]
pub extern "C" fn tv_pair(pair: u32, left_offset: u32, right_offset: u32, frames: u32) -> f32 {
    with(|module| {
        let part = |offset: u32| offset as usize..(offset as usize).saturating_add(frames as usize);
        let (left, right) = (module.input.get(part(left_offset)), module.input.get(part(right_offset)));
        let (Some(pair), Some(left), Some(right)) = (module.pairs.get_mut(pair as usize), left, right) else {
            return 0.0;
        };
        pair.push(left, right);
        pair.value()
    })
}

/// Copies a lane's frames to the output; zeros where they are missing. How many.
#[unsafe(no_mangle)]
pub extern "C" fn tv_samples(lane: u32, from: f64, frames: u32) -> u32 {
    with(|module| {
        let mut floats = std::mem::take(&mut module.floats);
        floats.clear();
        if let Some(lane) = module.lane(lane) {
            floats.resize(frames as usize, 0.0);
            lane.history.copy(i64::try_from(frame(from)).unwrap_or(i64::MAX), &mut floats);
        }
        module.floats = floats;
        u32::try_from(module.floats.len()).unwrap_or(0)
    })
}

/// What is missing in frames of a lane, as the number of a [`Missing`]; 0: nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tv_missing(lane: u32, from: f64, to: f64) -> u32 {
    with(|module| {
        let missing = module.lane(lane).map(|lane| lane.history.missing(frame(from), frame(to)));
        missing.map_or(Missing::Absent as u32, |missing| missing.map_or(0, |why| why as u32))
    })
}

/// The 256 colours of a map (as in `ColourMap::ALL`) into the bytes: red, green, blue, 255 of each. How many bytes.
#[unsafe(no_mangle)]
pub extern "C" fn tv_colour_map(map: u32) -> u32 {
    with(|module| {
        let Some(map) = ColourMap::ALL.get(map as usize) else { return 0 };
        module.bytes.clear();
        for index in 0..=255 {
            let [red, green, blue] = map.entry(index);
            module.bytes.extend([red, green, blue, 255]);
        }
        1_024
    })
}

/// Where a frequency lies on the axis from 0 to 1, at this rate.
#[unsafe(no_mangle)]
pub extern "C" fn tv_position(scale: u32, hz: f64, low_hz: f64, high_hz: f64) -> f64 {
    FrequencyScale::ALL.get(scale as usize).map_or(0.0, |scale| scale.position(hz, low_hz, high_hz))
}

/// The frequency at a position from 0 to 1.
#[unsafe(no_mangle)]
pub extern "C" fn tv_hz(scale: u32, position: f64, low_hz: f64, high_hz: f64) -> f64 {
    FrequencyScale::ALL.get(scale as usize).map_or(0.0, |scale| scale.hz_at(position, low_hz, high_hz))
}
