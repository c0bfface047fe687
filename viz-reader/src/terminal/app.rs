//! What is shown and how, and the keys that change it.

use super::layout::Scene;
use super::paint::Paint;
use super::spectrum::Lobe;
use super::stream::Stream;
use crate::cli::{Channels, Look, Range, View};
use audio_dsp::{ColourMap, FrequencyAxis, FrequencyScale, STFT_FRAMES, Stft, StftError, Window};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Instant;

/// Seconds that a picture may be long.
pub(super) const SPANS_S: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
const SPAN_FIRST: usize = 8;
/// A wave is drawn so many times as high.
const GAINS: [f32; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// What a key changes the range's ends by.
const RANGE_STEP_DB: f32 = 5.0;
const RANGE_DB: (f32, f32) = (-140.0, 40.0);
/// A logarithmic frequency axis begins where hearing does.
const LOG_LOW_HZ: f64 = 20.0;

/// What comes after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Quit,
    Suspend,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct App {
    pub(super) streams: Vec<Stream>,
    pub(super) scene: Scene,
    pub(super) window: Window,
    pub(super) fft: usize,
    hop: Option<u32>,
    pub(super) range: Range,
    pub(super) colours: ColourMap,
    pub(super) scale: FrequencyScale,
    span: usize,
    gain: usize,
    channels: Option<Channels>,
    pub(super) focus: usize,
    pub(super) only: bool,
    pub(super) paused: bool,
    /// How far a picture that stands still was moved into the past.
    pub(super) back_s: f64,
    pub(super) help: bool,
    /// Pictures drawn in the last second.
    pub(super) drawn_a_second: u32,
    pub(super) paint: Paint,
    pub(super) stft: Stft,
    pub(super) lobe: Lobe,
    pub(super) drawn_at: Option<Instant>,
}

impl App {
    /// Of rings of which the fastest is of this rate.
    pub(super) fn new(look: &Look, rate_hz: u32, paint: Paint) -> Result<Self, StftError> {
        let fft = look.fft_frames(rate_hz);
        Ok(Self {
            streams: Vec::new(),
            scene: match look.view {
                View::All => Scene::All,
                View::Waveform => Scene::Waveform,
                View::Spectrogram => Scene::Spectrogram,
                View::Spectrum => Scene::Spectrum,
            },
            window: look.window,
            fft,
            hop: look.hop,
            range: look.range,
            colours: look.colours,
            scale: look.scale,
            span: SPAN_FIRST,
            gain: 0,
            channels: look.channels.clone(),
            focus: 0,
            only: false,
            paused: false,
            back_s: 0.0,
            help: false,
            drawn_a_second: 0,
            paint,
            stft: Stft::new(look.window, fft)?,
            lobe: Lobe::new(look.window),
            drawn_at: None,
        })
    }

    /// Stream and channel of each lane.
    pub(super) fn lanes(&self) -> Vec<(usize, usize)> {
        let wanted = |channel: &usize| self.channels.as_ref().is_none_or(|list| list.0.contains(channel));
        let streams = self.streams.iter().enumerate();
        streams.flat_map(|(at, s)| (0..s.shape.channels).filter(wanted).map(move |channel| (at, channel))).collect()
    }

    pub(super) fn span_s(&self) -> f64 {
        SPANS_S[self.span]
    }

    pub(super) fn gain(&self) -> f32 {
        GAINS[self.gain]
    }

    pub(super) fn hop_frames(&self) -> u64 {
        self.hop.map_or(self.fft as u64 / 4, u64::from)
    }

    /// The axis of a stream's frequencies.
    pub(super) fn axis(&self, rate_hz: u32) -> FrequencyAxis {
        let low_hz = if self.scale == FrequencyScale::Log { LOG_LOW_HZ } else { 0.0 };
        FrequencyAxis { scale: self.scale, low_hz, high_hz: f64::from(rate_hz) / 2.0 }
    }

    /// One past the last frame of a stream's picture. Streams of one session stand side by side by their frame index.
    pub(super) fn edge(&self, stream: usize) -> u64 {
        let own = &self.streams[stream];
        let newest = self.newest(stream);
        let Some(frozen) = own.frozen.filter(|_| self.paused) else { return newest };
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        let back = (self.back_s * f64::from(own.shape.sample_rate_hz)) as i64;
        frozen.saturating_add_signed(-back).clamp(own.store.oldest(), newest.max(own.store.oldest()))
    }

    fn newest(&self, stream: usize) -> u64 {
        let own = &self.streams[stream];
        let same = |other: &&Stream| {
            own.shape.session.is_some()
                && (other.shape.session, other.shape.sample_rate_hz) == (own.shape.session, own.shape.sample_rate_hz)
        };
        self.streams.iter().filter(same).map(|stream| stream.store.end()).fold(own.store.end(), u64::max)
    }

    fn pause(&mut self) {
        let edges: Vec<u64> = (0..self.streams.len()).map(|stream| self.newest(stream)).collect();
        for (stream, edge) in self.streams.iter_mut().zip(edges) {
            stream.frozen = Some(edge);
        }
        (self.paused, self.back_s) = (true, 0.0);
    }

    /// How far back, and forth, a picture that stands still can be moved, in seconds.
    fn reach_s(&self) -> (f64, f64) {
        let (mut back, mut forth) = (0.0_f64, 0.0_f64);
        for (at, stream) in self.streams.iter().enumerate() {
            let frozen = stream.frozen.unwrap_or(stream.store.end());
            back = back.max(stream.seconds(frozen.saturating_sub(stream.store.oldest())));
            forth = forth.max(stream.seconds(self.newest(at).saturating_sub(frozen)));
        }
        (back, forth)
    }

    fn scroll(&mut self, seconds: f64) {
        if !self.paused {
            self.pause();
        }
        let (back, forth) = self.reach_s();
        self.back_s = (self.back_s - seconds).clamp(-forth, back);
    }

    fn transform(&mut self, window: Window, fft: usize) {
        // Of a length that is in range nothing is refused.
        if let Ok(stft) = Stft::new(window, fft) {
            (self.window, self.fft, self.stft, self.lobe) = (window, fft, stft, Lobe::new(window));
        }
    }

    fn change_range(&mut self, low: f32, high: f32) {
        let low = (self.range.low_db + low).max(RANGE_DB.0);
        let high = (self.range.high_db + high).min(RANGE_DB.1);
        if high - low >= 2.0 * RANGE_STEP_DB {
            self.range = Range { low_db: low, high_db: high };
        }
    }

    fn set_colours(&mut self, colours: ColourMap) {
        self.colours = colours;
        self.paint = Paint::new(self.paint.abilities(), colours);
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Then {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let lanes = self.lanes().len().max(1);
        match key.code {
            KeyCode::Char('c') if control => return Then::Quit,
            KeyCode::Char('z') if control => return Then::Suspend,
            KeyCode::Char(_) if control => {}
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Then::Quit,
            KeyCode::Char('?' | 'H') => self.help = !self.help,
            KeyCode::Char(' ') if self.paused => self.paused = false,
            KeyCode::Char(' ') => self.pause(),
            KeyCode::Left => self.scroll(-self.span_s() / 4.0),
            KeyCode::Right => self.scroll(self.span_s() / 4.0),
            KeyCode::PageUp => self.scroll(-self.span_s()),
            KeyCode::PageDown => self.scroll(self.span_s()),
            KeyCode::Home => self.scroll(f64::NEG_INFINITY),
            KeyCode::End => self.paused = false,
            KeyCode::Char('+' | '=') | KeyCode::Up => self.span = self.span.saturating_sub(1),
            KeyCode::Char('-') | KeyCode::Down => self.span = (self.span + 1).min(SPANS_S.len() - 1),
            KeyCode::Tab | KeyCode::Char('n') => self.focus = (self.focus + 1) % lanes,
            KeyCode::BackTab | KeyCode::Char('N') => self.focus = (self.focus + lanes - 1) % lanes,
            KeyCode::Char('o') => self.only = !self.only,
            KeyCode::Char('v') => self.scene = next(&Scene::ALL, self.scene, 1),
            KeyCode::Char('V') => self.scene = next(&Scene::ALL, self.scene, -1),
            KeyCode::Char('w') => self.transform(next(&Window::ALL, self.window, 1), self.fft),
            KeyCode::Char('W') => self.transform(next(&Window::ALL, self.window, -1), self.fft),
            KeyCode::Char('f') => self.transform(self.window, (self.fft * 2).min(*STFT_FRAMES.end())),
            KeyCode::Char('F') => self.transform(self.window, (self.fft / 2).max(*STFT_FRAMES.start())),
            KeyCode::Char('[') => self.change_range(-RANGE_STEP_DB, 0.0),
            KeyCode::Char(']') => self.change_range(RANGE_STEP_DB, 0.0),
            KeyCode::Char('{') => self.change_range(0.0, -RANGE_STEP_DB),
            KeyCode::Char('}') => self.change_range(0.0, RANGE_STEP_DB),
            KeyCode::Char('s') => self.scale = next(&FrequencyScale::ALL, self.scale, 1),
            KeyCode::Char('c') => self.set_colours(next(&ColourMap::ALL, self.colours, 1)),
            KeyCode::Char('C') => self.set_colours(next(&ColourMap::ALL, self.colours, -1)),
            KeyCode::Char('a') => self.gain = (self.gain + 1) % GAINS.len(),
            KeyCode::Char('A') => self.gain = (self.gain + GAINS.len() - 1) % GAINS.len(),
            _ => {}
        }
        Then::GoOn
    }
}

fn next<T: Copy + PartialEq, const N: usize>(all: &[T; N], present: T, step: isize) -> T {
    let at = all.iter().position(|value| *value == present).unwrap_or(0);
    all[(at + N).wrapping_add_signed(step) % N]
}
