//! What a page asks of the past: frames, and the overview of a long time.

use super::catalogue::Catalogue;
use super::wire::{self, Head, Kind, Span, Why};
use crate::rings::{AnyRing, Position, RingView};
use audio_dsp::Peaks;
use shm_layout::{Extent, FrameIndex, OverviewInfo};

/// Samples of one answer at the most: 8 MiB.
pub(super) const SAMPLES_MAX: u64 = 1 << 21;
/// Columns of one overview at the most.
pub(super) const COLUMNS_MAX: u32 = 4_096;
/// Frames that are read at once for an overview.
const PIECE_FRAMES: u64 = 16_384;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub stream: String,
    pub from: u64,
    pub to: u64,
    /// Bit `c` is channel `c`.
    pub channels: u64,
    pub request: u32,
}

/// Frames `from..to`, of the stream's life that is going on and of those before it that are still there.
///
/// # Errors
/// What to say to who asked.
pub(super) fn frames(catalogue: &Catalogue, asked: &Asked) -> Result<Vec<u8>, String> {
    let place = catalogue.place(&asked.stream).ok_or_else(|| format!("there is no stream \"{}\"", asked.stream))?;
    let mut view = RingView::open(&place, Position::Newest).map_err(|refusal| refusal.to_string())?;
    let (rate, all, epoch) = (view.shape().sample_rate_hz, view.shape().channels, view.shape().epoch);
    let wished: Vec<usize> = wire::chosen(asked.channels, all).collect();
    let frames = asked.to.checked_sub(asked.from).filter(|frames| *frames > 0);
    let Some(frames) = frames else { return Err(format!("{}..{} are no frames", asked.from, asked.to)) };
    if frames.saturating_mul(all as u64) > SAMPLES_MAX {
        return Err(format!(
            "{frames} frames of {all} channels are too many at once; {SAMPLES_MAX} samples are the most"
        ));
    }
    let mut planar = Vec::new();
    let stretches = view.history(FrameIndex(asked.from), FrameIndex(asked.to), &mut planar);
    let spans: Vec<Span> = stretches
        .iter()
        .filter_map(|stretch| Some(Span { from: stretch.from.0, to: stretch.to.0, why: Why::of(stretch.what)? }))
        .collect();
    let count = usize::try_from(frames).unwrap_or(0);
    let head = Head {
        kind: Kind::Frames,
        stream: catalogue.id(&asked.stream),
        epoch,
        first_frame: asked.from,
        frames: u32::try_from(frames).unwrap_or(0),
        sample_rate_hz: rate,
        channels: mask(&wished),
        written_us: 0,
        request: asked.request,
        span_frames: frames,
    };
    let mut bytes = wire::begin(&head, &spans, count * wished.len());
    for channel in wished {
        wire::add(&mut bytes, &planar[channel * count..(channel + 1) * count]);
    }
    Ok(bytes)
}

/// The least and the greatest sample of so many columns of frames `from..to`: two numbers each, the least above the greatest
/// where there is nothing. A column's edges may be off by a bin of the ring's own overview (256 frames).
///
/// # Errors
/// What to say to who asked.
pub(super) fn overview(catalogue: &Catalogue, asked: &Asked, columns: u32) -> Result<Vec<u8>, String> {
    let place = catalogue.place(&asked.stream).ok_or_else(|| format!("there is no stream \"{}\"", asked.stream))?;
    let mut ring = AnyRing::attach(&place.path).map_err(|error| error.to_string())?;
    if asked.to <= asked.from || !(1..=COLUMNS_MAX).contains(&columns) {
        return Err(format!("{columns} columns of frames {}..{} are no overview", asked.from, asked.to));
    }
    let wished: Vec<usize> = wire::chosen(asked.channels, ring.shape().channels).collect();
    let span_frames = asked.to - asked.from;
    let own = ring.version_2().and_then(|ring| ring.info().overview);
    let edge = |column: u64| {
        let offset = u128::from(column) * u128::from(span_frames) / u128::from(columns);
        asked.from + u64::try_from(offset).unwrap_or(span_frames)
    };
    let mut peaks = vec![Peaks::NONE; wished.len() * columns as usize];
    match own.filter(|own| span_frames / u64::from(columns) >= own.bin_frames) {
        Some(own) => of_overview(&ring, own, &wished, columns, edge, &mut peaks),
        None => of_samples(&mut ring, &wished, columns, edge, &mut peaks),
    }
    let head = Head {
        kind: Kind::Overview,
        stream: catalogue.id(&asked.stream),
        epoch: ring.shape().epoch,
        first_frame: asked.from,
        frames: columns,
        sample_rate_hz: ring.shape().sample_rate_hz,
        channels: mask(&wished),
        written_us: 0,
        request: asked.request,
        span_frames,
    };
    let spans: Vec<Span> = ring
        .gaps(FrameIndex(asked.from), FrameIndex(asked.to))
        .iter()
        .map(|gap| Span { from: gap.from.0, to: gap.to.0, why: Why::Gap })
        .collect();
    let mut bytes = wire::begin(&head, &spans, peaks.len() * 2);
    for peaks in peaks {
        wire::add(&mut bytes, &[peaks.min, peaks.max]);
    }
    Ok(bytes)
}

fn mask(channels: &[usize]) -> u64 {
    channels.iter().fold(0, |mask, channel| mask | 1 << channel)
}

/// From the minima and maxima that the writer keeps.
fn of_overview(
    ring: &AnyRing,
    own: OverviewInfo,
    wished: &[usize],
    columns: u32,
    edge: impl Fn(u64) -> u64,
    peaks: &mut [Peaks],
) {
    let Some(reader) = ring.version_2() else { return };
    let mut extents = Vec::new();
    for (channel, row) in wished.iter().zip(peaks.chunks_exact_mut(columns as usize)) {
        for (column, peaks) in (0..).zip(row) {
            let (from, to) = (edge(column).max(ring.oldest().0), edge(column + 1).min(ring.newest().0));
            if from >= to {
                continue;
            }
            let (first, end) = (from / own.bin_frames, to.div_ceil(own.bin_frames));
            extents.resize(usize::try_from(end - first).unwrap_or(0), Extent { min: 0.0, max: 0.0 });
            if reader.read_overview(*channel, first, &mut extents).is_ok() {
                *peaks = extents
                    .iter()
                    .fold(Peaks::NONE, |all, extent| all.with(Peaks { min: extent.min, max: extent.max }));
            }
        }
    }
}

/// From the samples: there is no overview, or columns are finer than it.
fn of_samples(ring: &mut AnyRing, wished: &[usize], columns: u32, edge: impl Fn(u64) -> u64, peaks: &mut [Peaks]) {
    let channels = ring.shape().channels;
    let mut piece = Vec::new();
    for column in 0..u64::from(columns) {
        let (mut from, to) = (edge(column).max(ring.oldest().0), edge(column + 1).min(ring.newest().0));
        while from < to {
            let frames = (to - from).min(PIECE_FRAMES);
            let count = usize::try_from(frames).unwrap_or(0);
            piece.resize(count * channels, 0.0);
            if ring.read(FrameIndex(from), &mut piece, count).is_ok() {
                for (row, channel) in wished.iter().enumerate() {
                    let place = row * columns as usize + usize::try_from(column).unwrap_or(0);
                    peaks[place] = peaks[place].with(Peaks::of(&piece[channel * count..(channel + 1) * count]));
                }
            }
            from += frames;
        }
    }
}
