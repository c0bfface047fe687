//! Once constructed, and into room that suffices, nothing allocates.
#![expect(unsafe_code, reason = "an allocator that counts")]

use audio_dsp::{RateConverter, Signal, SignalSource, mix_into};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell of this
// thread, const-initialised and without a destructor, so touching it never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations_of(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    act();
    ALLOCATIONS.get() - before
}

#[test]
fn conversion_does_not_allocate() {
    assert!(allocations_of(|| drop(vec![1_u8; 100])) >= 2, "the counter counts");
    for (from, to) in [(48_000, 16_000), (44_100, 48_000), (11_025, 16_000), (8_001, 48_000), (192_000, 8_001)] {
        let mut converter = RateConverter::new(from, to, 2).expect("rates");
        let input = vec![0.25; 2 * 4_096];
        let mut out: Vec<Vec<f32>> = (0..2).map(|_| Vec::with_capacity(converter.out_frames_max(4_096))).collect();
        for round in 0..20 {
            let frames = 1 + (round * 977) % 4_096;
            let count = allocations_of(|| converter.process(&input[..2 * frames], frames, &mut out));
            assert_eq!(count, 0, "{from} to {to}, process");
            out.iter_mut().for_each(Vec::clear);
            if round % 5 == 4 {
                assert_eq!(allocations_of(|| converter.finish(&mut out)), 0, "{from} to {to}, finish");
                out.iter_mut().for_each(Vec::clear);
            }
        }
    }
}

#[test]
fn signals_and_sums_do_not_allocate() {
    let mut source = SignalSource::new(Signal::Sweep { from_hz: 20.0, to_hz: 20_000.0, seconds: 1.0 }, 48_000);
    let (mut block, mut sum) = (vec![0.0; 960], vec![0.0; 960]);
    let count = allocations_of(|| {
        source.fill(&mut block, 2);
        mix_into(&mut sum, 2, &block, 2, 480);
    });
    assert_eq!(count, 0);
}
