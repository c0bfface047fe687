//! Children that are not what they should be: of another build, or broken. They are told from the real ones, cut off and
//! replaced, and nobody else is the worse for it.

use anyhow::{Context, Result, ensure};
use std::os::unix::fs::symlink;
use system_tests::*;
use tempfile::TempDir;

/// A folder in which every sibling program is the strange one, which is the real one where it is not told otherwise.
fn strange_programs() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for name in ["audio-engine", "transcriber-worker"] {
        symlink(program("strange-child")?, folder.path().join(name))?;
    }
    Ok(folder)
}

fn setup(sources: &[&str], programs: &TempDir, strange: &str) -> Result<Setup> {
    let real = program("tympan")?.parent().context("a folder")?.to_owned();
    let setup = Setup::run(sources).env("TYMPAN_LIBEXEC", programs.path());
    Ok(setup.env("STRANGE_CHILD", strange).env("STRANGE_REAL", real))
}

/// The end of a life of a part, for a reason that names all of these.
fn wait_cut_off(instance: &Instance, role: &str, life: u64, named: &[&str]) -> Result<()> {
    let ended = instance.wait_event(&format!("the end of the {role}'s life {life}"), watchdog(3.0), |event| {
        event.is_process(role, "exited") && event.fields["generation"] == life
    })?;
    let reason = ended.text("reason")?;
    named.iter().try_for_each(|name| {
        ensure!(reason.contains(name), "{role}, life {life}: no {name:?} in {reason:?}");
        Ok(())
    })
}

#[test]
fn a_child_of_another_version_is_refused_in_plain_words() -> Result<()> {
    let programs = strange_programs()?;
    for role in ["engine", "listener", "worker"] {
        let setup = setup(&["test:tone"], &programs, &format!("{role}=version+"))?;
        let mut instance = setup.arg("--workers").arg("1").start()?;
        let both = ["protocol version 99", "this one 2"];
        wait_cut_off(&instance, role, 1, &[&both[..], &["from one build", "TYMPAN_LIBEXEC"]].concat())?;
        ensure!(!instance.log().all()?.iter().any(|event| event.is_process(role, "ready")), "it was taken for ready");
        // It may have ended by itself by now: without this part nothing works.
        let _ = end_process(instance.pid(), nix::sys::signal::Signal::SIGINT);
        instance.wait_exit(watchdog(3.0))?;
        instance.assert_clean()?;
    }
    Ok(())
}

#[test]
fn a_child_that_says_garbage_is_cut_off_and_replaced() -> Result<()> {
    let programs = strange_programs()?;
    let speech = Speech::join(&BASE_SPEECH)?;
    let strange = "engine=bytes,bounds listener=long,frame worker=trailing,empty,real,bounds";
    let mut instance = setup(&[&speech.uri()], &programs, strange)?.arg("--workers").arg("1").start()?;
    wait_cut_off(&instance, "engine", 1, &["not a message of this protocol"])?;
    wait_cut_off(&instance, "engine", 2, &["not within its bounds"])?;
    wait_cut_off(&instance, "listener", 1, &["4096"])?;
    wait_cut_off(&instance, "listener", 2, &["a frame that is none"])?;
    wait_cut_off(&instance, "worker", 1, &["4 bytes too many"])?;
    wait_cut_off(&instance, "worker", 2, &["not a message"])?;
    instance.wait_ready()?;
    // In the middle of the work, too.
    instance.wait_event("a final", watchdog(speech.seconds()), |event| event.is("final"))?;
    instance.kill_role("worker")?;
    wait_cut_off(&instance, "worker", 4, &["not within its bounds"])?;
    let status = instance.status()?;
    let restarts = |role: &str| status.of_role(role).map(|process| process.restarts).collect::<Vec<_>>();
    ensure!(restarts("engine") == [2] && restarts("listener") == [2], "{status:?}");

    instance.wait_event("the end", watchdog(speech.seconds() + 5.0), |event| event.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_once()?;
    let [said, spoken] = &normalise(&[&instance.said()?, &speech.transcript()])?[..] else { unreachable!("two texts") };
    let errors = align(spoken, said);
    ensure!(errors.errors() * 5 <= errors.words, "{errors:?}: {said:?}");
    instance.assert_clean()
}

#[test]
fn a_child_that_floods_is_cut_off_and_replaced() -> Result<()> {
    let programs = strange_programs()?;
    let speech = Speech::join(&BASE_SPEECH)?;
    let strange = "engine=flood listener=flood worker=flood,real,flood";
    let mut instance = setup(&[&speech.uri()], &programs, strange)?.arg("--workers").arg("1").start()?;
    for role in ["engine", "listener", "worker"] {
        wait_cut_off(&instance, role, 1, &["messages"])?;
    }
    instance.wait_ready()?;
    // In the middle of the work, too.
    instance.wait_event("a final", watchdog(speech.seconds()), |event| event.is("final"))?;
    instance.kill_role("worker")?;
    wait_cut_off(&instance, "worker", 3, &["messages"])?;
    instance.wait_event("the end", watchdog(speech.seconds() + 5.0), |event| event.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_once()?;
    let [said, spoken] = &normalise(&[&instance.said()?, &speech.transcript()])?[..] else { unreachable!("two texts") };
    let errors = align(spoken, said);
    ensure!(errors.errors() * 5 <= errors.words, "{errors:?}: {said:?}");
    instance.assert_clean()
}
