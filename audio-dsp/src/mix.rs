//! Channel sums.

/// Appends the mean of all channels to `out`, `frames` samples of it.
///
/// # Panics
/// When `channels` is 0 or `planar` is not `channels * frames` long.
///
/// # Real time
/// Wait-free; allocates only when the capacity of `out` does not suffice.
pub fn downmix_to_mono(planar: &[f32], channels: usize, frames: usize, out: &mut Vec<f32>) {
    assert!(channels > 0, "downmix of no channels");
    assert_eq!(planar.len(), channels * frames, "planar is [channels][frames]");
    if frames == 0 {
        return;
    }
    let begin = out.len();
    out.extend_from_slice(&planar[..frames]);
    if channels == 1 {
        return; // bit exact
    }
    let mono = &mut out[begin..];
    for channel in planar.chunks_exact(frames).skip(1) {
        mono.iter_mut().zip(channel).for_each(|(sum, &sample)| *sum += sample);
    }
    let share = share_of(channels);
    mono.iter_mut().for_each(|sum| *sum *= share);
}

/// Adds a source to a sum, both planar, `frames` long.
///
/// Channels meet by number. A mono source goes to every channel of the sum; into a mono sum goes the
/// mean of the source's channels; what a wider source has beyond the sum's channels starts again at the first.
///
/// # Panics
/// When a channel count is 0 or a slice is not `channels * frames` long.
///
/// # Real time
/// Wait-free, allocates nothing.
pub fn mix_into(sum: &mut [f32], sum_channels: usize, planar: &[f32], channels: usize, frames: usize) {
    assert!(channels > 0 && sum_channels > 0, "mix of no channels");
    assert_eq!(sum.len(), sum_channels * frames, "sum is [channels][frames]");
    assert_eq!(planar.len(), channels * frames, "planar is [channels][frames]");
    let gain = if sum_channels == 1 { share_of(channels) } else { 1.0 };
    for pair in 0..channels.max(sum_channels) {
        let from = match channels {
            1 => 0,
            _ if pair < channels => pair,
            _ => break, // fewer channels than the sum, but not mono: the rest stays as it is
        };
        let to = pair % sum_channels;
        let source = &planar[from * frames..(from + 1) * frames];
        let target = &mut sum[to * frames..(to + 1) * frames];
        target.iter_mut().zip(source).for_each(|(sum, &sample)| *sum += gain * sample);
    }
}

/// The weight of one of `channels` in their mean.
fn share_of(channels: usize) -> f32 {
    1.0 / u16::try_from(channels).map_or(f32::from(u16::MAX), f32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_stays_bit_exact_and_is_appended() {
        let mut out = vec![9.0];
        downmix_to_mono(&[0.1, 0.2], 1, 2, &mut out);
        assert_eq!(out, [9.0, 0.1, 0.2]);
        downmix_to_mono(&[], 3, 0, &mut out);
        assert_eq!(out.len(), 3);
    }

    #[test]
    fn the_mean_of_three() {
        let mut out = Vec::new();
        downmix_to_mono(&[0.3, 1.0, 0.6, 1.0, 0.9, 1.0], 3, 2, &mut out);
        assert!((out[0] - 0.6).abs() < 1e-6 && (out[1] - 1.0).abs() < 1e-6, "{out:?}");
    }

    #[test]
    fn channels_meet_by_number() {
        let mut sum = [1.0, 1.0, 2.0, 2.0];
        mix_into(&mut sum, 2, &[0.5, 0.25], 1, 2); // mono to both
        assert_eq!(sum, [1.5, 1.25, 2.5, 2.25]);
        mix_into(&mut sum, 2, &[1.0, 1.0, 3.0, 3.0], 2, 2);
        assert_eq!(sum, [2.5, 2.25, 5.5, 5.25]);
        let mut wide = [0.0; 3];
        mix_into(&mut wide, 3, &[1.0, 2.0], 2, 1); // the third stays silent
        assert_eq!(wide, [1.0, 2.0, 0.0]);
        mix_into(&mut wide, 3, &[1.0, 1.0, 1.0, 1.0], 4, 1); // the fourth folds back
        assert_eq!(wide, [3.0, 3.0, 1.0]);
        let mut mono = [0.5];
        mix_into(&mut mono, 1, &[1.0, 2.0], 2, 1);
        assert_eq!(mono, [2.0]);
    }
}
