//! Word times, fitted to the sound.
//!
//! The alignment says where one word ends and the next begins, and gives a pause to one of the two. Here each word keeps
//! the loud part of its span.

use super::levels::{STEP, noise_and_speech, powers};
use super::tokens::Word;

/// A pause between two loud parts of a span that belong to different words, in steps.
const PAUSE_STEPS: usize = 12;
/// What a span keeps around its loud part, in steps: the soft beginnings and ends of words.
const SOFT_STEPS: usize = 3;
/// How far above the noise, in powers of the distance between noise and speech, a step is loud.
const LOUD: f32 = 0.3;

/// Fits the spans of words to the sound they are in.
pub(super) fn fit(words: &mut [Word], samples: &[f32]) {
    let powers = powers(samples);
    let Some(loud) = threshold(&powers) else { return };
    for word in words {
        let (first, last) = (word.from / STEP, (word.to / STEP).min(powers.len()));
        if let Some((from, to)) = loudest_part(powers.get(first..last).unwrap_or_default(), loud) {
            let from = (first + from).saturating_sub(SOFT_STEPS) * STEP;
            let to = (first + to + SOFT_STEPS) * STEP;
            (word.from, word.to) = (word.from.max(from), word.to.min(to));
        }
    }
}

/// The power above which a step is loud: between noise and speech.
fn threshold(powers: &[f32]) -> Option<f32> {
    let (noise, speech) = noise_and_speech(powers)?;
    Some(noise * (speech / noise).powf(LOUD))
}

/// The part of a span that has most loud steps and no long pause inside.
fn loudest_part(powers: &[f32], loud: f32) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize, usize)> = None;
    let mut part: Option<(usize, usize, usize)> = None;
    for (at, _) in powers.iter().enumerate().filter(|(_, power)| **power >= loud) {
        part = match part {
            Some((from, to, count)) if at - to < PAUSE_STEPS => Some((from, at + 1, count + 1)),
            _ => Some((at, at + 1, 1)),
        };
        if part.map(|part| part.2) > best.map(|best| best.2) {
            best = part;
        }
    }
    best.map(|(from, to, _)| (from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of noise and of speech.
    fn sound(pattern: &[(usize, f32)]) -> Vec<f32> {
        let wave = |at: usize, level: f32| if at.is_multiple_of(2) { level } else { -level };
        pattern.iter().flat_map(|&(steps, level)| (0..steps * STEP).map(move |at| wave(at, level))).collect()
    }

    fn fitted(spans: &[(usize, usize)], samples: &[f32]) -> Vec<(usize, usize)> {
        let word = |&(from, to): &(usize, usize)| Word {
            text: " x".into(),
            from: from * STEP,
            to: to * STEP,
            confidence: 9,
            line: false,
        };
        let mut words: Vec<Word> = spans.iter().map(word).collect();
        fit(&mut words, samples);
        words.iter().map(|word| (word.from / STEP, word.to / STEP)).collect()
    }

    #[test]
    fn a_pause_belongs_to_no_word() {
        let samples = sound(&[(50, 0.001), (30, 0.3), (60, 0.001), (30, 0.2), (50, 0.001)]);
        // The alignment gives the beginning, the pause and the end to the words beside them.
        let spans = fitted(&[(0, 80), (80, 220)], &samples);
        assert_eq!(spans, [(47, 80), (137, 173)]);
    }

    #[test]
    fn words_without_a_pause_stay_as_they_are_aligned() {
        let samples = sound(&[(20, 0.001), (90, 0.3), (20, 0.001)]);
        assert_eq!(fitted(&[(20, 50), (50, 80), (80, 110)], &samples), [(20, 50), (50, 80), (80, 110)]);
        assert_eq!(fitted(&[(3, 9)], &sound(&[(10, 0.0)])), [(3, 9)], "where all is silent nothing is known better");
    }
}
