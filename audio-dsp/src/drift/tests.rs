use super::*;
use proptest::prelude::*;

const RATE_HZ: u32 = 48_000;
const PERIOD_FRAMES: u64 = 480;
const TARGET_FRAMES: f64 = 1_440.0;
const TICK_SECONDS: f64 = 0.01;

/// Pseudo-random numbers from 0 to 1 (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A source, a resampler that obeys at once, and the loop between them.
struct World<L> {
    drift: DriftLoop,
    ppm: f64,
    lateness_s: L,
    begin_s: f64,
    /// Frames of the source before `begin_s`.
    before: u64,
    periods: u64,
    position: Option<f64>,
    dice: Dice,
}

/// What a moment looks like: how far the delay truly is from its target, and the correction from the truth.
struct Moment {
    error_s: f64,
    wobble_ppm: f64,
}

impl<L: Fn(&mut Dice) -> f64> World<L> {
    fn new(ppm: f64, seed: u64, lateness_s: L) -> Self {
        let drift = DriftLoop::new(RATE_HZ, TARGET_FRAMES);
        Self { drift, ppm, lateness_s, begin_s: 1_000.0, before: 0, periods: 0, position: None, dice: Dice(seed) }
    }

    fn true_rate(&self) -> f64 {
        f64::from(RATE_HZ) * (1.0 + 1e-6 * self.ppm)
    }

    /// The source was silent, and is back at `time_s`.
    fn come_back(&mut self, time_s: f64) {
        self.before += self.periods * PERIOD_FRAMES;
        (self.begin_s, self.periods, self.position) = (time_s, 0, None);
        self.drift.reset();
    }

    /// All callbacks until a tick at `time_s`, and the tick.
    fn tick(&mut self, time_s: f64) -> Moment {
        let period_s = PERIOD_FRAMES as f64 / self.true_rate();
        // Each callback comes before the next one is due.
        while self.begin_s + (self.periods + 1) as f64 * period_s <= time_s {
            self.periods += 1;
            let late_s = (self.lateness_s)(&mut self.dice);
            let at_s = self.begin_s + self.periods as f64 * period_s + late_s;
            self.drift.observe(at_s, self.before + self.periods * PERIOD_FRAMES);
        }
        let delivered = self.before as f64 + (time_s - self.begin_s) * self.true_rate();
        if self.position.is_none() && self.periods > 4 {
            let learnt = self.drift.clock().frames_at(time_s).expect("it has begun");
            self.position = Some(learnt - TARGET_FRAMES);
        }
        let Some(position) = &mut self.position else { return Moment { error_s: f64::NAN, wobble_ppm: f64::NAN } };
        let error_s = (delivered - *position - TARGET_FRAMES) / f64::from(RATE_HZ);
        let correction = self.drift.steer(time_s, *position);
        *position += f64::from(RATE_HZ) * TICK_SECONDS * (1.0 + 1e-6 * correction);
        Moment { error_s, wobble_ppm: correction - self.ppm }
    }

    /// Ticks from one second to another: the worst of both.
    fn worst(&mut self, from_s: f64, to_s: f64) -> Moment {
        let mut worst = Moment { error_s: 0.0, wobble_ppm: 0.0 };
        let mut tick = 0.0;
        while from_s + tick * TICK_SECONDS < to_s {
            let moment = self.tick(1_000.0 + from_s + tick * TICK_SECONDS);
            worst.error_s = worst.error_s.max(moment.error_s.abs());
            worst.wobble_ppm = worst.wobble_ppm.max(moment.wobble_ppm.abs());
            tick += 1.0;
        }
        worst
    }
}

impl<L: Fn(&mut Dice) -> f64> World<L> {
    /// Ten seconds in which anything may be, twenty in which the delay is right and the ratio still learns.
    fn settle(&mut self, from_s: f64) -> Result<(), TestCaseError> {
        self.worst(from_s, from_s + 10.0);
        let worst = self.worst(from_s + 10.0, from_s + 30.0);
        prop_assert!(worst.error_s < 1e-4, "{} ms", 1e3 * worst.error_s);
        prop_assert!(worst.wobble_ppm < 40.0, "{} ppm", worst.wobble_ppm);
        Ok(())
    }
}

fn jitter(dice: &mut Dice) -> f64 {
    0.002 * dice.roll()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Ten minutes with callbacks up to 2 ms late, after ten seconds to settle.
    #[test]
    fn a_foreign_clock_stays_within_a_tenth_of_a_millisecond(ppm in -200.0_f64..200.0, seed in any::<u64>()) {
        let mut world = World::new(ppm, seed, jitter);
        world.settle(0.0)?;
        let worst = world.worst(30.0, 610.0);
        prop_assert!(worst.error_s < 1e-4, "{} ms", 1e3 * worst.error_s);
        prop_assert!(worst.wobble_ppm < 5.0, "{} ppm", worst.wobble_ppm);
    }

    /// One callback in ten is up to 30 ms late: the machine is busy.
    #[test]
    fn late_callbacks_are_not_believed(ppm in -200.0_f64..200.0, seed in any::<u64>()) {
        let busy = |dice: &mut Dice| if dice.roll() < 0.1 { 0.03 * dice.roll() } else { 0.0 };
        let mut world = World::new(ppm, seed, |dice| jitter(dice) + busy(dice));
        world.settle(0.0)?;
        let worst = world.worst(30.0, 150.0);
        prop_assert!(worst.error_s < 1e-4 && worst.wobble_ppm < 5.0, "{} {}", worst.error_s, worst.wobble_ppm);
    }

    #[test]
    fn a_source_that_stops_and_returns_settles_again(ppm in -200.0_f64..200.0, seed in any::<u64>()) {
        let mut world = World::new(ppm, seed, jitter);
        world.worst(0.0, 60.0);
        world.come_back(1_063.0);
        world.settle(63.0)?;
        let worst = world.worst(93.0, 153.0);
        prop_assert!(worst.error_s < 1e-4 && worst.wobble_ppm < 5.0, "{} {}", worst.error_s, worst.wobble_ppm);
    }
}

#[test]
fn a_clock_that_warms_up_is_followed() {
    let mut world = World::new(20.0, 7, jitter);
    world.worst(0.0, 60.0);
    for minute in 1..20 {
        // 3 ppm a minute: the line bends where it is.
        let (at_s, periods) = (1_000.0 + 60.0 * f64::from(minute), world.periods);
        let delivered = world.before as f64 + (at_s - world.begin_s) * world.true_rate();
        world.before += periods * PERIOD_FRAMES;
        world.ppm += 3.0;
        world.begin_s = at_s - (delivered - world.before as f64) / world.true_rate();
        world.periods = 0;
        let worst = world.worst(60.0 * f64::from(minute), 60.0 * f64::from(minute + 1));
        assert!(worst.error_s < 1e-4, "{}", worst.error_s);
    }
}

#[test]
fn a_jump_of_the_source_begins_a_new_line_without_being_told() {
    let mut clock = SourceClock::new(RATE_HZ);
    for n in 0..2_000_u32 {
        clock.observe(f64::from(n) * 0.01, u64::from(n) * PERIOD_FRAMES);
    }
    for n in 2_000..2_400_u32 {
        clock.observe(3.0 + f64::from(n) * 0.01, u64::from(n) * PERIOD_FRAMES);
    }
    let expected = 2_300.0 * PERIOD_FRAMES as f64;
    assert!((clock.frames_at(26.0).expect("it has begun") - expected).abs() < 0.1);
    assert!(clock.rate_ppm().abs() < 0.1);
}

/// What lies between source and callback becomes 5 ms longer, or shorter: a new line, not a bent one.
#[test]
fn another_latency_is_not_another_rate() {
    for step_s in [0.005, -0.005] {
        let (mut clock, mut dice) = (SourceClock::new(RATE_HZ), Dice(11));
        for n in 1..6_000_u32 {
            let latency_s = if n < 3_000 { 0.02 } else { 0.02 + step_s };
            let due_s = f64::from(n) * 0.01 / (1.0 + 80e-6);
            clock.observe(due_s + latency_s + jitter(&mut dice), u64::from(n) * PERIOD_FRAMES);
            if n > 1_500 && !(3_000..4_500).contains(&n) {
                let learnt = clock.frames_at(due_s + latency_s).expect("it has begun");
                let error_s = (learnt - f64::from(n) * PERIOD_FRAMES as f64) / f64::from(RATE_HZ);
                assert!(error_s.abs() < 1e-4 && (clock.rate_ppm() - 80.0).abs() < 5.0, "{n}: {error_s}");
            }
        }
    }
}

#[test]
fn corrections_are_bounded_and_nothing_winds_up() {
    let mut drift = DriftLoop::new(RATE_HZ, 0.0);
    assert_eq!(drift.steer(0.0, 0.0), 0.0);
    for n in 0..1_000_u32 {
        drift.observe(f64::from(n) * 0.01, u64::from(n) * 600); // a quarter too fast
        drift.observe(f64::NAN, 1);
        assert!(drift.steer(f64::from(n) * 0.01, 0.0).abs() <= CORRECTION_PPM_MAX);
    }
    assert_eq!(drift.correction_ppm(), CORRECTION_PPM_MAX);
    drift.reset();
    for n in 0..1_000_u32 {
        drift.observe(100.0 + f64::from(n) * 0.01, u64::from(n) * PERIOD_FRAMES);
    }
    assert!(drift.clock().rate_ppm().abs() < 1.0, "{}", drift.clock().rate_ppm());
    assert!(drift.steer(f64::NAN, 0.0).is_finite());
}
