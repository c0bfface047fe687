//! What users order while it runs, and what a part does that cannot work: nothing is lost, and the rest goes on.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use system_tests::*;

#[test]
fn workers_come_and_go_and_no_word_is_lost_or_doubled() -> Result<()> {
    let speech = short();
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    let rate = f64::from(ring.info().sample_rate_hz);
    let mut times = 0;
    for count in [1, 4, 2, 1, 3].into_iter().cycle() {
        // Every half second, or as often as it is done; not in the end, when nothing is ordered any more.
        let at_s = ring.commit().since(ring.info().first_frame) as f64 / rate;
        if at_s > speech.seconds() - 4.0 {
            break;
        }
        instance.wait_captured(&ring, at_s + 0.5)?;
        let finished = instance.command(&["scale", &format!("workers={count}")])?;
        finished.expect_success()?;
        let status = instance.status()?;
        ensure!(status.of_role("worker").count() == count, "{status:?}");
        times += 1;
    }
    ensure!(times >= 3, "{times} times only");
    end_of(&mut instance, speech)?;
    instance.assert_once()?;
    assert_no_word_lost(&instance, speech)
}

#[test]
fn each_part_is_replaced_by_command() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    for (role, processes) in [("worker", 2), ("listener", 1), ("engine", 1)] {
        let before = instance.processes(role)?;
        let finished = instance.command(&["restart", role])?;
        finished.expect_success()?;
        ensure!(finished.stdout.starts_with(&format!("{processes} process")), "{:?}", finished.stdout);
        let after = instance.processes(role)?;
        ensure!(
            after.len() == processes && after.iter().all(|process| !before.contains(process)),
            "{before:?} {after:?}"
        );
        ensure!(before.iter().all(|process| !process.is_alive()));
    }
    let one = instance.command(&["restart", "worker", "--number", "1"])?;
    one.expect_success()?;
    ensure!(one.stdout == "1 process restarted\n", "{:?}", one.stdout);
    let none = instance.command(&["restart", "worker", "--number", "9"])?;
    ensure!(none.code != Some(0) && none.stderr.contains("there is no worker 9"), "{}", none.stderr);
    let many = instance.command(&["scale", "workers=65"])?;
    ensure!(many.code != Some(0) && many.stderr.contains("1 to 64"), "{}", many.stderr);
    // The time without an engine is a gap; nothing was counted as a fault.
    ensure!(instance.log().all()?.iter().any(|e| e.is("gap") && e.fields["cause"] == "engine_down"));
    ensure!(!instance.log().all()?.iter().any(|e| e.fields["state"] == "failed"));
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn workers_that_take_too_much_memory_fail_and_the_sound_goes_on() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).arg("--memory").arg("100").start()?;
    let ring = instance.ring("test")?;
    // Five faults each, with pauses that grow.
    instance.wait_event("the end of all tries", watchdog(10.0), |e| e.is_process("worker", "failed"))?;
    let end = instance.wait_event("a reason", watchdog(1.0), |e| e.is_process("worker", "exited"))?;
    ensure!(end.text("reason")?.contains("--memory allows 100"), "{}", end.fields);
    wait_until("both given up", watchdog(10.0), || {
        let status = instance.status()?;
        let failed = status.processes.iter().filter(|process| process.role == "worker" && process.state == "failed");
        Ok((failed.count() == 2).then_some(()))
    })?;
    let commit = ring.commit();
    wait_until("another second of sound", watchdog(1.0), || Ok((ring.commit().since(commit) > 48_000).then_some(())))?;
    ensure!(instance.stderr().contains("tympan restart worker"), "{}", instance.stderr());
    // By command they are tried again.
    let since = instance.log().len();
    let _whether_they_fail_again = instance.command(&["restart", "worker"])?;
    instance.log().wait(since, "another try", watchdog(1.0), |e| e.is_process("worker", "starting"))?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn a_sentence_that_ends_three_workers_is_set_aside_with_its_sound() -> Result<()> {
    let speech = short();
    // Without partial texts: each job is a sentence.
    let mut instance = Setup::run(&[&speech.uri()]).arg("--fast").arg("--workers").arg("1").start()?;
    instance.wait_event("started", watchdog(5.0), |e| e.is("started"))?;
    let is_lost = |e: &Event| e.is("lost");
    // SIGABRT is a program's own fault. The first sentence is the first job, and stays it until it is set aside.
    let mut aborted = 0;
    while !instance.log().all()?.iter().any(is_lost) {
        ensure!(instance.finals()?.is_empty(), "a sentence was written down after {aborted} faults");
        let status = instance.status()?;
        let worker = status.of_role("worker").next().and_then(|worker| worker.pid);
        if let Some(pid) = worker.filter(|_| status.queue.running > 0) {
            aborted += usize::from(end_process(pid, Signal::SIGABRT));
            wait_until("its end", watchdog(1.0), || Ok(Process::of(pid).is_none().then_some(())))?;
        }
    }
    ensure!(aborted >= 3, "{aborted} faults");
    let lost = instance.wait_event("the report", watchdog(1.0), is_lost)?;
    let cause = lost.text("cause")?;
    let (_, path) = cause.split_once("its sound is kept in ").with_context(|| cause.to_owned())?;
    ensure!(std::path::Path::new(path).starts_with(instance.folders().data()), "{path}");
    let said = transcribe(std::path::Path::new(path))?;
    ensure!(said["text"].as_str().is_some_and(|text| text.contains("young man")), "{said}");
    // The others come, and the end says that something is missing.
    instance.wait_event("stopped", watchdog(speech.seconds() + 5.0), |e| e.is("stopped"))?;
    let exit = instance.wait_exit(watchdog(2.0))?;
    ensure!(exit.code() == Some(5), "{exit}");
    ensure!(instance.finals()?.len() >= 2, "{:?}", instance.finals()?);
    Ok(())
}
