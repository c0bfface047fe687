//! Kills of anybody at any moment, and what is left of them after the next start: nothing.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use system_tests::*;

const SOURCES: [&str; 2] = ["hum=virtual:tone?drift_ppm=50", "voice=demo:"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Supervisor,
    Engine,
    Listener,
    Worker,
}

impl Role {
    const ALL: [Self; 4] = [Self::Supervisor, Self::Engine, Self::Listener, Self::Worker];

    fn of(process: &Process, supervisor: u32) -> Option<Self> {
        let is = |words| process.command.contains(words);
        match () {
            () if process.pid == supervisor => Some(Self::Supervisor),
            () if is("audio-engine") => Some(Self::Engine),
            () if is("--role listener") => Some(Self::Listener),
            () if is("--role worker") => Some(Self::Worker),
            () => None,
        }
    }
}

/// Who is killed: one of a role, or everybody (`None`).
type Victim = Option<Role>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Starting,
    Running,
    Ending,
}

/// What is still to come: every victim at every moment before one comes again.
struct Deck(Vec<(Moment, Victim)>);

impl Deck {
    fn draw(&mut self, chance: &mut Chance) -> Result<(Moment, Victim)> {
        if self.0.is_empty() {
            for moment in [Moment::Starting, Moment::Running, Moment::Ending] {
                self.0.extend(Role::ALL.into_iter().map(Some).chain([None]).map(|victim| (moment, victim)));
            }
        }
        let at = usize::try_from(chance.below(self.0.len() as u64))?;
        Ok(self.0.swap_remove(at))
    }
}

/// The place where instances come and go.
struct Place {
    folders: Option<Folders>,
    instance: Option<Instance>,
    supervisors: BTreeSet<u32>,
    kills: BTreeMap<Role, u64>,
}

impl Place {
    fn instance(&mut self) -> Result<&mut Instance> {
        if self.instance.is_none() {
            let mut setup = Setup::run(&SOURCES);
            if let Some(folders) = self.folders.take() {
                setup = setup.folders(folders);
            }
            let instance = setup.start()?;
            self.supervisors.insert(instance.pid());
            self.instance = Some(instance);
        }
        self.instance.as_mut().context("just started")
    }

    /// SIGKILL; how many it hit.
    fn kill(&mut self, victim: Victim, chance: &mut Chance) -> Result<usize> {
        let supervisor = self.instance()?.pid();
        let mut there: Vec<(Role, Process)> = processes_of(&self.instance()?.folders().runtime())
            .into_iter()
            .filter_map(|process| Some((Role::of(&process, supervisor)?, process)))
            .filter(|(role, _)| victim.is_none_or(|victim| victim == *role))
            .collect();
        let mut hit = 0;
        while !there.is_empty() {
            let (role, process) = there.swap_remove(usize::try_from(chance.below(there.len() as u64))?);
            if process.kill() {
                *self.kills.entry(role).or_default() += 1;
                hit += 1;
            }
            if victim.is_some() {
                break;
            }
        }
        Ok(hit)
    }

    /// After a kill: whose supervisor is dead has no children soon; whose supervisor ends in order leaves nothing at once.
    fn settle(&mut self, dead: bool, ending: bool) -> Result<()> {
        let Some(mut instance) = self.instance.take() else { return Ok(()) };
        if dead {
            let runtime = instance.folders().runtime();
            wait_until("the end of all orphans", watchdog(2.0), || {
                Ok(processes_of(&runtime).is_empty().then_some(()))
            })?;
        } else if ending {
            instance.wait_exit(watchdog(2.0))?;
            instance.assert_clean()?;
        } else {
            self.instance = Some(instance);
            return Ok(());
        }
        self.folders = Some(instance.into_folders());
        Ok(())
    }

    /// One kill, if the victim is there at that moment.
    fn strike(&mut self, moment: Moment, victim: Victim, chance: &mut Chance) -> Result<bool> {
        match moment {
            Moment::Starting => {
                if let Some(instance) = &self.instance {
                    instance.interrupt()?;
                    self.settle(false, true)?;
                }
                let instance = self.instance()?;
                let (supervisor, runtime) = (instance.pid(), instance.folders().runtime());
                if let Some(role) = victim {
                    wait_until("the victim", watchdog(5.0), || {
                        let there = processes_of(&runtime);
                        Ok(there.iter().any(|process| Role::of(process, supervisor) == Some(role)).then_some(()))
                    })?;
                }
                // Rather early: what is made then is soon removed by those it is for.
                let latest = chance.below(200_000) + 1;
                std::thread::sleep(Duration::from_micros(chance.below(latest)));
            }
            Moment::Running => {
                self.instance()?.wait_ready()?;
                std::thread::sleep(Duration::from_micros(chance.below(700_000)));
            }
            Moment::Ending => {
                self.instance()?.wait_ready()?;
                self.instance()?.interrupt()?;
                std::thread::sleep(Duration::from_micros(chance.below(100_000)));
            }
        }
        let hit = self.kill(victim, chance)?;
        let dead = hit > 0 && matches!(victim, None | Some(Role::Supervisor));
        self.settle(dead, moment == Moment::Ending)?;
        Ok(hit > 0)
    }
}

/// What is in a folder, epochs and chance names apart.
fn kinds_in(dir: &Path) -> Result<BTreeMap<String, usize>> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let kind = if name.starts_with(".tmp") { ".tmp…".to_owned() } else { name };
        *kinds.entry(kind).or_default() += 1;
    }
    Ok(kinds)
}

/// Segments in `/dev/shm` of one of these supervisors, or of nobody known, and socket folders in `/tmp`.
fn strays(supervisors: &BTreeSet<u32>) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let ours = format!("tympan-{}.", nix::unistd::geteuid());
    for entry in std::fs::read_dir("/dev/shm")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(&ours) else { continue };
        let owner = rest.split('.').next().and_then(|pid| pid.parse().ok());
        if owner.is_none_or(|owner| supervisors.contains(&owner)) {
            found.insert(name);
        }
    }
    for entry in std::fs::read_dir("/tmp")?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".tmp") && entry.path().join("socket").exists() {
            found.insert(entry.path().display().to_string());
        }
    }
    Ok(found)
}

/// What a run that nobody disturbed has in its runtime folder.
fn undisturbed() -> Result<BTreeMap<String, usize>> {
    let mut instance = Setup::run(&SOURCES).start()?;
    instance.wait_ready()?;
    let kinds = kinds_in(&instance.folders().runtime())?;
    let board = strays(&BTreeSet::from([instance.pid()]))?;
    ensure!(!board.is_empty(), "no status board in /dev/shm: the test looks at the wrong place");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()?;
    ensure!(kinds.keys().any(|name| name.ends_with(".ring")), "no rings: the test looks at the wrong place: {kinds:?}");
    Ok(kinds)
}

#[test]
fn kills_of_anybody_at_any_moment_leave_nothing_after_the_next_start() -> Result<()> {
    let (mut chance, wanted) = (Chance::seeded(), scaled(200));
    let before = strays(&BTreeSet::new())?;
    let fresh = undisturbed()?;
    let mut place = Place { folders: None, instance: None, supervisors: BTreeSet::new(), kills: BTreeMap::new() };
    let (mut deck, mut moments, mut missed) = (Deck(Vec::new()), BTreeMap::<Moment, u64>::new(), 0);
    let mut left_behind = 0;
    while moments.values().sum::<u64>() < wanted {
        let (moment, victim) = deck.draw(&mut chance)?;
        eprintln!("{moment:?}: {victim:?}");
        if place.strike(moment, victim, &mut chance).with_context(|| format!("{victim:?} killed while {moment:?}"))? {
            *moments.entry(moment).or_default() += 1;
        } else {
            missed += 1;
            ensure!(missed < 5 * wanted, "hardly anybody is ever there to be killed");
            deck.0.push((moment, victim));
        }
        if let Some(folders) = &place.folders {
            left_behind += folders.runtime_files()?.len();
        }
    }
    eprintln!("kills {:?}, while {moments:?}, {missed} came too late; {left_behind} files were left", place.kills);
    for role in Role::ALL {
        ensure!(place.kills.contains_key(&role), "no {role:?} was ever killed");
    }
    ensure!(moments.len() == 3, "not at every moment: {moments:?}");
    ensure!(left_behind > 0, "no kill left anything behind: there is nothing to clean up");

    // The last start is always into what a killed run has left.
    ensure!(place.strike(Moment::Running, None, &mut chance)?, "nobody was there");
    let mut last = Setup::run(&SOURCES).folders(place.folders.take().context("no folders")?).start()?;
    place.supervisors.insert(last.pid());
    let session = last.wait_ready()?.text("session")?.to_owned();
    let spill = last.folders().data().join("spill");
    census(&last, &session, &fresh, &spill)?;
    let boards: Vec<_> = strays(&place.supervisors)?.difference(&before).cloned().collect();
    ensure!(boards.len() == 1, "not the one board of the run: {boards:?}");
    last.interrupt()?;
    last.wait_stopped(watchdog(2.0))?;
    last.assert_clean()?;
    let left = kinds_in(&spill)?;
    ensure!(left.is_empty(), "folders of killed instances are left: {left:?}");
    let left: Vec<_> = strays(&place.supervisors)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

/// While the last instance runs there is what one has that nobody disturbed.
fn census(last: &Instance, session: &str, fresh: &BTreeMap<String, usize>, spill: &Path) -> Result<()> {
    let runtime = last.folders().runtime();
    let there = kinds_in(&runtime)?;
    ensure!(there == *fresh, "in the runtime folder are {there:?}, and {fresh:?} after an undisturbed start");
    let rings = shm_layout::list_rings(&runtime)?;
    let old: Vec<_> = rings.iter().filter(|ring| ring.info.session.to_string() != session).collect();
    ensure!(old.is_empty(), "rings of killed instances: {old:?}");
    let spills = kinds_in(spill)?;
    ensure!(spills.len() == 1, "folders of killed instances: {spills:?}");
    let supervisors = processes_of(&runtime).into_iter().filter(|process| process.command.contains(" run ")).count();
    ensure!(supervisors == 1, "{supervisors} supervisors");
    Ok(())
}
