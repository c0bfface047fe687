//! Rings that were damaged, also while they are read.

use crate::answer::{Everyone, put, ring_bytes, seal, write_private};
use crate::{ALL, READERS, shared_folder};
use anyhow::{Context, Result, ensure};
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::*;

/// Numbers that look random and are the same at each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("fits")]
    }

    /// Some fields are given values that lie near a border, or bits are flipped; most often the checksum is right.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        const WORDS: [usize; 33] = [
            16, 24, 32, 40, 56, 64, 128, 136, 256, 264, 272, 288, 312, 320, 328, 336, 344, 352, 360, 368, 376, 384,
            392, 400, 464, 472, 480, 488, 512, 4_096, 4_112, 4_120, 4_160,
        ];
        for _ in 0..=self.below(3) {
            let offset = self.of(&WORDS);
            let old = u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("8 bytes"));
            let any = self.next();
            let borders = [0, 1, 2, 63, 64, 1 << 31, 1 << 32, 1 << 53, 1 << 63, u64::MAX, u64::MAX / 4, any, any >> 40];
            let near =
                [old.wrapping_add(1), old.wrapping_sub(1), old * 2 % (1 << 60), old / 2, old ^ (1 << (any % 64))];
            let value = if any & 1 == 0 { self.of(&borders) } else { self.of(&near) };
            put(bytes, offset, value);
        }
        if self.below(4) == 0 {
            let at = usize::try_from(self.below(bytes.len() as u64)).expect("fits");
            bytes[at] ^= 1 << self.below(8);
        }
        if self.below(10) > 0 {
            seal(bytes);
        }
        if self.below(20) == 0 {
            let length = self.below(bytes.len() as u64 + 8_192);
            bytes.resize(usize::try_from(length).expect("fits"), 0);
        }
    }
}

#[test]
fn damaged_headers_are_read_as_rust_reads_them_or_refused() -> Result<()> {
    let folder = shared_folder()?;
    let path = folder.path().join("damaged");
    let good = ring_bytes(folder.path(), 2_500)?;
    let mut everyone = Everyone::start()?;
    let (mut dice, mut read, mut refused) = (Dice(1), 0, 0);
    for round in 0..scaled(40_000) {
        let mut bytes = good.clone();
        dice.damage(&mut bytes);
        write_private(&path, &bytes)?;
        let said = everyone.ask(&path).with_context(|| format!("round {round}"))?;
        *(if said.starts_with("ok ") { &mut read } else { &mut refused }) += 1;
    }
    eprintln!("{read} read, {refused} refused");
    ensure!(read > 100 && refused > 100, "{read} read, {refused} refused");
    everyone.end()
}

#[test]
fn bytes_that_change_meanwhile_hurt_nobody() -> Result<()> {
    let folder = shared_folder()?;
    let path = folder.path().join("changing");
    let good = ring_bytes(folder.path(), 900)?;
    write_private(&path, &good)?;
    let ms = 1_000 * scaled(30);
    let running: Vec<_> = ALL
        .into_iter()
        .map(|language| {
            let mut command = READERS.probe(language);
            command.arg("hammer").arg(&path).arg(ms.to_string());
            (language, std::thread::spawn(move || run_reader(&mut command)))
        })
        .collect();
    let file = OpenOptions::new().write(true).open(&path)?;
    let (mut dice, over) = (Dice(2), AtomicBool::new(false));
    let results = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let mut bytes = good.clone();
                if dice.below(2) == 0 {
                    dice.damage(&mut bytes);
                    // The length stays: a live ring is never cut off.
                    bytes.resize(good.len(), 0);
                }
                file.write_all_at(&bytes[..20_000], 0).expect("the file is there");
                // The good and the bad are both there long enough to be met.
                std::thread::sleep(Duration::from_micros(dice.below(2_000)));
            }
        });
        let results: Vec<_> = running.into_iter().map(|(language, thread)| (language, thread.join())).collect();
        over.store(true, Ordering::Relaxed);
        results
    });
    for (language, result) in results {
        let finished =
            result.map_err(|_| anyhow::anyhow!("{language:?}: panicked"))?.context(format!("{language:?}"))?;
        let counts: Vec<u64> = finished.stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        eprintln!("{language:?}: attached, refused, reads, refused reads: {counts:?}");
        ensure!(counts.len() == 4 && counts.iter().all(|&count| count > 0), "{language:?}: {counts:?}");
    }
    Ok(())
}

#[test]
fn a_gap_that_grows_meanwhile_is_never_missed() -> Result<()> {
    let folder = shared_folder()?;
    let spec = RingSpec {
        stream: "gap".into(),
        session: SessionId([1; 16]),
        epoch: Epoch(1),
        previous_epoch: None,
        sample_rate_hz: 48_000,
        channels: 1,
        capacity_frames: 48_000,
        first_frame: FrameIndex(0),
        labels: Vec::new(),
        overview: false,
    };
    let mut ring = RingWriter::create(folder.path(), &spec)?;
    let path = ring.path().to_owned();
    let mut grow = move |frames: u64| {
        let from = ring.next_frame();
        ring.mark_gap(from, from.plus(frames), 3);
        ring.write(&vec![0.0; usize::try_from(frames).expect("few")], usize::try_from(frames).expect("few"));
    };
    grow(10);
    let over = AtomicBool::new(false);
    let grown = std::thread::scope(|scope| {
        let growing = scope.spawn(|| {
            let mut frames = 10_u64;
            // Less than a second of sound lies between two entries of time, so that the gap's entry stays the newest gap.
            while !over.load(Ordering::Relaxed) {
                grow(1);
                frames += 1;
                for _ in 0..200 {
                    std::hint::spin_loop();
                }
            }
            frames
        });
        let asked = ALL.into_iter().try_for_each(|language| {
            let mut attacher = READERS.attacher(language)?;
            for _ in 0..200 {
                let said = attacher.ask(&path)?;
                ensure!(said.contains(" gap:0:"), "{language:?}: {said}");
            }
            attacher.end()
        });
        over.store(true, Ordering::Relaxed);
        let frames = growing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        asked.map(|()| frames)
    })?;
    eprintln!("{grown} frames of gap");
    ensure!(grown > 10_000, "the gap hardly grew: {grown}");
    Ok(())
}
