//! Where the marks of an axis stand, and what is written at them.

use audio_dsp::FrequencyAxis;

/// A mark of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// From 0 at the axis's lower end to 1.
    pub position: f64,
    /// What stands there.
    pub text: String,
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Multiples of `step` in `low..=high`.
fn multiples(step: f64, low: f64, high: f64) -> impl Iterator<Item = f64> {
    let slack = step * 1e-6;
    let first = ((low - slack) / step).ceil();
    (0..1_000_u16).map(move |n| (first + f64::from(n)) * step).take_while(move |value| *value <= high + slack)
}

/// With a true minus sign.
pub(super) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = !text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "−") }
}

/// At most `most` marks of a linear axis.
pub(super) fn linear(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let step = round_step((high - low) / most.max(1) as f64);
    let decimals = decimals_of(step);
    let tick = |value: f64| Tick { position: (value - low) / (high - low), text: number(value, decimals) };
    multiples(step, low, high).map(tick).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few digits")]
fn decimals_of(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 9.0) as usize
}

/// Seconds that are written as minutes.
const LONG_SECONDS: f64 = 300.0;

/// At most `most` marks of a time axis in seconds, and what its unit is.
pub(super) fn time(low: f64, high: f64, most: usize) -> (Vec<Tick>, &'static str) {
    if high - low < LONG_SECONDS {
        return (linear(low, high, most), "time (s)");
    }
    let steps = [30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0];
    let least = (high - low) / most.max(1) as f64;
    let step = steps.into_iter().find(|step| *step >= least).unwrap_or_else(|| round_step(least / 86_400.0) * 86_400.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds")]
    let tick = |value: f64| {
        let seconds = value.round() as u64;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        Tick { position: (value - low) / (high - low), text: format!("{hours}:{minutes:02}:{seconds:02}") }
    };
    (multiples(step, low, high).map(tick).collect(), "time (h:min:s)")
}

/// Marks of a frequency axis that are at least `apart` (a part of the axis) from one another.
pub(super) fn frequency(axis: FrequencyAxis, apart: f64) -> Vec<Tick> {
    let decades = (0..6).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)));
    let all: Vec<f64> = match axis.scale {
        audio_dsp::FrequencyScale::Linear => {
            multiples(round_step((axis.high_hz - axis.low_hz) * apart), axis.low_hz, axis.high_hz).collect()
        }
        _ => [0.0].into_iter().chain(decades).filter(|hz| (axis.low_hz..=axis.high_hz).contains(hz)).collect(),
    };
    let mut ticks: Vec<Tick> = Vec::new();
    for hz in all {
        let position = axis.scale.position(hz, axis.low_hz, axis.high_hz);
        if ticks.last().is_none_or(|last| position - last.position >= apart * 0.98) {
            ticks.push(Tick { position, text: hertz(hz) });
        }
    }
    ticks
}

/// A frequency with its unit.
pub(super) fn hertz(hz: f64) -> String {
    if hz < 1_000.0 {
        return format!("{} Hz", number(hz, usize::from(hz.fract() > 1e-6)));
    }
    let khz = hz / 1_000.0;
    format!("{} kHz", number(khz, usize::from((khz - khz.round()).abs() > 1e-6)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use audio_dsp::FrequencyScale;

    fn texts(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(texts(&linear(-90.0, 0.0, 6)), ["−80", "−60", "−40", "−20", "0"]);
        assert_eq!(
            texts(&linear(0.0, 1.1, 12)),
            ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "1.1"]
        );
        for (low, high) in [(0.0, 0.013), (12.3, 12.9), (1e6, 1e6 + 7.0)] {
            for most in 1..30 {
                let ticks = linear(low, high, most);
                assert!(ticks.len() <= most + 1, "{} of {most}", ticks.len());
                assert!(ticks.iter().all(|tick| (-1e-6..=1.000_001).contains(&tick.position)));
            }
        }
        let (ticks, unit) = time(0.0, 4_000.0, 8);
        assert_eq!((texts(&ticks)[1], unit), ("0:10:00", "time (h:min:s)"));
    }

    #[test]
    fn frequencies_have_units_and_room() {
        let axis = FrequencyAxis { scale: FrequencyScale::Log, low_hz: 20.0, high_hz: 24_000.0 };
        assert_eq!(texts(&frequency(axis, 0.19)), ["20 Hz", "100 Hz", "500 Hz", "2 kHz", "10 kHz"]);
        let axis = FrequencyAxis { scale: FrequencyScale::Linear, low_hz: 0.0, high_hz: 4_000.0 };
        assert_eq!(texts(&frequency(axis, 0.25)), ["0 Hz", "1 kHz", "2 kHz", "3 kHz", "4 kHz"]);
        assert_eq!(hertz(2_500.0), "2.5 kHz");
    }
}
