//! A channel's spectrogram, column by column, each computed once.

use super::store::Store;
use audio_dsp::{FLOOR_DB, FrequencyAxis, Rows, Stft};
use std::collections::HashMap;
use std::time::Instant;

/// What columns were computed for; another one makes them worthless.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Form {
    /// Frames of a column.
    pub(super) width: u64,
    /// Frames from one transform to the next.
    pub(super) hop: u64,
    pub(super) window: audio_dsp::Window,
    pub(super) fft: usize,
    pub(super) axis: FrequencyAxis,
    /// Pixels from the lowest frequency to the highest.
    pub(super) rows: usize,
    pub(super) rate_hz: u32,
}

/// A column: the greatest level that each pixel's frequencies had in it.
#[derive(Debug)]
struct Column {
    levels_db: Vec<f32>,
    /// Where its next transform is centred.
    next: u64,
    /// Whether any transform is in it.
    known: bool,
    done: bool,
}

/// The columns of a channel.
#[derive(Debug, Default)]
pub(super) struct Columns {
    form: Option<(Form, Rows)>,
    columns: HashMap<u64, Column>,
    samples: Vec<f32>,
    bins: Vec<f32>,
    pixels: Vec<f32>,
}

impl Columns {
    /// Forgets columns of another form, and such as are far from these.
    pub(super) fn prepare(&mut self, form: Form, from: u64, to: u64) {
        if self.form.as_ref().is_none_or(|(own, _)| *own != form) {
            let bins = form.fft / 2 + 1;
            self.form = Some((form, Rows::new(form.axis, form.rows, bins, form.rate_hz)));
            self.columns.clear();
            self.samples = vec![0.0; form.fft];
            self.bins = vec![FLOOR_DB; bins];
            self.pixels = vec![FLOOR_DB; form.rows];
        }
        let spare = to.saturating_sub(from);
        if self.columns.len() as u64 > 4 * spare + 64 {
            self.columns.retain(|column, _| *column + spare >= from && *column <= to + spare);
        }
    }

    /// Forgets all: frames begin anew.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
    }

    /// Computes what a column lacks, until a deadline; whether it has come as far as there are samples.
    pub(super) fn compute(
        &mut self,
        column: u64,
        store: &Store,
        channel: usize,
        stft: &mut Stft,
        deadline: Instant,
    ) -> bool {
        let Some((form, rows)) = &self.form else { return true };
        let (begin, end) = (column * form.width, (column + 1) * form.width);
        let own = self.columns.entry(column).or_insert_with(|| Column {
            levels_db: vec![FLOOR_DB; form.rows],
            // Of columns shorter than a hop each has one transform, in its middle.
            next: if form.width < form.hop { begin + form.width / 2 } else { begin.next_multiple_of(form.hop) },
            known: false,
            done: false,
        });
        let half = form.fft as u64 / 2;
        while !own.done {
            if own.next >= end {
                own.done = true;
                break;
            }
            let to = own.next + half;
            if to > store.end() {
                return true;
            }
            // A window that reaches into what is missing would show its edge as a click.
            if own.next >= half && store.is_whole(own.next - half, to) {
                if Instant::now() >= deadline {
                    return false;
                }
                store.copy(channel, own.next - half, &mut self.samples);
                stft.levels_db(&self.samples, &mut self.bins);
                rows.apply(&self.bins, &mut self.pixels);
                for (most, level) in own.levels_db.iter_mut().zip(&self.pixels) {
                    *most = most.max(*level);
                }
                own.known = true;
            }
            own.next += if form.width < form.hop { form.width.max(1) } else { form.hop };
        }
        true
    }

    /// A column's levels in dBFS, the lowest frequency first; none where nothing is known.
    pub(super) fn levels(&self, column: u64) -> Option<&[f32]> {
        self.columns.get(&column).filter(|column| column.known).map(|column| column.levels_db.as_slice())
    }
}
