use super::*;
use proptest::prelude::*;

const RULES: Rules = Rules::USUAL;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn ready(now: Duration) -> Life {
    let mut life = Life::new(RULES, 7);
    assert_eq!(life.begin(), Some(Act::Start));
    life.ready(now);
    life
}

fn has_failed(life: &Life) -> bool {
    matches!(life.state(), State::Failed { .. })
}

#[test]
fn a_healthy_child_killed_from_outside_restarts_at_once_for_ever() {
    let mut life = ready(ms(0));
    for _ in 0..1_000 {
        assert_eq!(life.died(ms(1), Death::FromOutside), Some(Act::Start));
        life.ready(ms(1));
    }
}

#[test]
fn own_faults_back_off_and_end_and_come_back() {
    let mut life = ready(ms(0));
    let mut now = ms(700);
    for expected in [100, 200, 400, 800] {
        assert_eq!(life.died(now, Death::OwnFault), None);
        let pause = life.due().unwrap().saturating_sub(now);
        assert!(pause >= ms(expected) * 8 / 10 && pause <= ms(expected) * 12 / 10, "{pause:?}, not {expected} ms");
        assert_eq!(life.tick(now), None);
        now += pause;
        assert_eq!(life.tick(now), Some(Act::Start));
        life.ready(now);
    }
    assert_eq!(life.died(now, Death::OwnFault), Some(Act::SayFailed));
    assert_eq!((life.tick(now), life.died(now, Death::OwnFault)), (None, None));
    // By itself after a while ...
    let mut slow = life.clone();
    assert_eq!(slow.tick(now + RULES.retry_failed_after), Some(Act::Start));
    // ... and at once by a command, with nothing held against it.
    assert_eq!(life.begin(), Some(Act::Start));
    assert_eq!((life.died(now, Death::OwnFault), life.state()), (None, life.state()));
    assert!(matches!(life.state(), State::Waiting { .. }));
}

#[test]
fn a_death_before_ready_counts_whoever_did_it() {
    let mut life = Life::new(RULES, 1);
    assert_eq!(life.begin(), Some(Act::Start));
    assert_eq!(life.died(ms(5), Death::FromOutside), None);
    assert!(matches!(life.state(), State::Waiting { .. }));
}

#[test]
fn a_healthy_life_forgives() {
    let mut life = ready(ms(0));
    let mut now = ms(0);
    for _ in 0..100 {
        now += RULES.period;
        assert_eq!(life.died(now, Death::OwnFault), None);
        assert!(life.due().unwrap().saturating_sub(now) <= RULES.pause_first * 12 / 10);
        now = life.due().unwrap();
        assert_eq!(life.tick(now), Some(Act::Start));
        life.ready(now);
    }
}

#[test]
fn a_refusal_is_not_repeated_at_once() {
    let mut life = Life::new(RULES, 1);
    assert_eq!(life.begin(), Some(Act::Start));
    assert_eq!(life.died(ms(5), Death::Refused), Some(Act::SayFailed));
}

#[test]
fn who_does_not_end_in_time_is_killed_and_the_next_one_started_where_asked() {
    let mut life = ready(ms(0));
    assert_eq!(life.stop(ms(10), ms(100), true), Some(Act::AskToEnd));
    assert_eq!((life.is_ready(), life.tick(ms(109))), (false, None));
    assert_eq!(life.tick(ms(110)), Some(Act::Kill));
    assert_eq!(life.died(ms(111), Death::FromOutside), Some(Act::Start));
    life.ready(ms(120));
    assert_eq!(life.stop(ms(130), ms(100), true), Some(Act::AskToEnd));
    assert_eq!(life.stop(ms(131), ms(1), false), None, "asked already");
    assert_eq!(life.tick(ms(132)), Some(Act::Kill), "sooner, as asked the second time");
    assert_eq!((life.died(ms(133), Death::FromOutside), life.state()), (None, State::Idle));
    assert_eq!(life.stop(ms(134), ms(1), true), Some(Act::Start));
}

#[derive(Debug, Clone)]
enum Step {
    Begin,
    Ready,
    Died(Death),
    Stop {
        patience_ms: u64,
        again: bool,
    },
    Pass {
        ms: u64,
    },
    /// The time until something is due.
    Sleep,
}

fn step() -> impl Strategy<Value = Step> {
    let death = prop_oneof![Just(Death::FromOutside), Just(Death::OwnFault), Just(Death::Refused)];
    prop_oneof![
        1 => Just(Step::Begin),
        6 => Just(Step::Ready),
        6 => death.prop_map(Step::Died),
        1 => (0_u64..5_000, any::<bool>()).prop_map(|(patience_ms, again)| Step::Stop { patience_ms, again }),
        3 => (0_u64..20_000).prop_map(|ms| Step::Pass { ms }),
        6 => Just(Step::Sleep),
    ]
}

proptest! {
    /// On a virtual clock, with a child that does what it likes.
    #[test]
    fn laws(steps in prop::collection::vec(step(), 0..400), seed in any::<u64>()) {
        let mut life = Life::new(RULES, seed);
        let (mut now, mut children, mut was_ready) = (ms(0), 0_i32, false);
        // When own faults were answered by another start, since the last command.
        let mut answered: Vec<Duration> = Vec::new();
        for step in steps {
            let (before, commanded) = (life.state(), matches!(step, Step::Begin | Step::Stop { .. }));
            let mut at_fault = None;
            let act = match step {
                Step::Begin => life.begin(),
                Step::Ready => { life.ready(now); was_ready |= children > 0; None }
                Step::Died(_) if children == 0 => None,
                Step::Died(death) => {
                    children -= 1;
                    let stopping = matches!(before, State::Stopping { .. });
                    if !stopping && (death == Death::OwnFault || (death == Death::FromOutside && !was_ready)) {
                        at_fault = Some(now);
                    }
                    let act = life.died(now, death);
                    if death == Death::FromOutside && was_ready && !stopping {
                        prop_assert_eq!(act, Some(Act::Start), "a healthy child killed from outside waits");
                    }
                    if death == Death::Refused && !stopping {
                        prop_assert_eq!(act, Some(Act::SayFailed));
                    }
                    act
                }
                Step::Stop { patience_ms, again } => life.stop(now, ms(patience_ms), again),
                Step::Pass { ms: more } => { now += ms(more); life.tick(now) }
                Step::Sleep => {
                    if let Some(due) = life.due() {
                        now = now.max(due);
                        let act = life.tick(now);
                        prop_assert!(act.is_some(), "due, and nothing to do in {:?}", life.state());
                        act
                    } else { None }
                }
            };
            match act {
                Some(Act::Start) => { children += 1; was_ready = false; }
                Some(Act::Kill | Act::AskToEnd) => prop_assert_eq!(children, 1, "{:?} without a child", act),
                Some(Act::SayFailed) => prop_assert!(has_failed(&life)),
                None => {}
            }
            prop_assert!((0..=1).contains(&children), "{children} children at once");
            prop_assert_eq!(life.has_child(), children == 1);
            let left_alone = matches!(before, State::Failed { until } if until > now && !commanded);
            prop_assert!(!left_alone || act != Some(Act::Start), "started while failed");
            if commanded { answered.clear(); }
            if let Some(at) = at_fault && !has_failed(&life) {
                answered.push(at);
                let recent = answered.iter().filter(|&&at| at + RULES.period > now).count();
                prop_assert!(recent < RULES.faults_max, "{recent} faults in a period, and no end");
                if let State::Waiting { until } = life.state() {
                    prop_assert!(until.saturating_sub(now) <= RULES.pause_max * 12 / 10);
                    prop_assert!(until.saturating_sub(now) >= RULES.pause_first * 8 / 10);
                }
            }
        }
    }
}
