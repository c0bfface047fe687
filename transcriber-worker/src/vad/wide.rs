//! The network in the vectors of AVX2: the same lines as everywhere, compiled once more for processors that have it.
#![expect(unsafe_code, reason = "instructions that not every processor of the kind has")]

use super::network::{HEARD_SAMPLES, Memory, Network};

/// [`Network::look`], if this processor and system have the vectors. That is known from the first time on: a load and a
/// test.
#[inline]
pub(super) fn look(network: &Network, memory: &mut Memory, heard: &[f32; HEARD_SAMPLES]) -> Option<f32> {
    let is_there = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    // SAFETY: the processor has what the function is compiled for.
    is_there.then(|| unsafe { compiled(network, memory, heard) })
}

#[target_feature(enable = "avx2,fma")]
fn compiled(network: &Network, memory: &mut Memory, heard: &[f32; HEARD_SAMPLES]) -> f32 {
    network.look_with::<true>(memory, heard)
}
