//! Chaos over a running system with speech: whatever happens to whomever, it is whole again within a bound, and every word
//! is said once or reported.
//!
//! `TYMPAN_SEED` repeats the blows of another run, though not their moments.

mod account;
mod blow;
mod clients;
mod clock;
mod room;
mod system;

use anyhow::{Context, Result, ensure};
use blow::Blow;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use system::{End, System};
use system_tests::*;

const BLOWS: u64 = 500;
/// The longest rest between two blows.
const REST_MS: u64 = 700;

#[test]
fn whole_again_after_every_blow() -> Result<()> {
    let limit = watchdog(2.0) * u32::try_from(scaled(BLOWS))?;
    room::inside("whole_again_after_every_blow", limit, |room| {
        let mut chance = Chance::seeded();
        let mut system = System::start(room)?;
        let (mut counts, mut round) = (BTreeMap::<Blow, u64>::new(), Vec::new());
        for number in 1..=scaled(BLOWS) {
            if round.is_empty() {
                round = Blow::round();
            }
            let blow = round.swap_remove(usize::try_from(chance.below(round.len() as u64))?);
            std::thread::sleep(Duration::from_millis(chance.below(REST_MS)));
            if system.all_is_said()? {
                system.end_and_begin(Signal::SIGTERM, End::AllSaid)?;
            }
            let begin = Instant::now();
            blow.strike(&mut system, &mut chance).with_context(|| format!("blow {number}: {blow:?}"))?;
            system.census().with_context(|| format!("after blow {number}: {blow:?}"))?;
            eprintln!("{number}: {blow:?}, whole again after {:.2} s", begin.elapsed().as_secs_f64());
            *counts.entry(blow).or_default() += 1;
        }
        wait_until("the last words", watchdog(30.0), || Ok(system.all_is_said()?.then_some(())))?;
        system.end(Signal::SIGINT, End::AllSaid)?;
        system.census_at_the_end()?;

        let (sessions, account) = (system.sessions, system.account);
        eprintln!("{counts:?}\n{sessions} sessions; utterances: {account:?}");
        for blow in Blow::round() {
            ensure!(counts.contains_key(&blow), "not once: {blow:?}");
        }
        ensure!(account.same > 0 && account.cut > 0, "it proves little: {account:?}");
        ensure!(account.errors * 10 <= account.words, "too many other words: {account:?}");
        Ok(())
    })
}
