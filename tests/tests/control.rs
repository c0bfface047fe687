//! The control socket, as a stranger uses it: with sense, and with garbage; slowly, in floods, and not at all.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system_tests::*;

/// As `CONTROL.md` has it.
const CLIENTS: usize = 16;
const REQUEST_BYTES: usize = 64 * 1024;
const ANSWER_BYTES: usize = 256 * 1024;
const A_SECOND: u64 = 50;
const PATIENCE_S: f64 = 10.0;
const STATUS: &[u8] = b"{\"command\":\"status\"}\n";

fn socket(instance: &Instance) -> PathBuf {
    instance.folders().runtime().join("control.sock")
}

fn connect(instance: &Instance) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket(instance))?;
    stream.set_read_timeout(Some(watchdog(2.0)))?;
    Ok(stream)
}

fn read_answer(stream: UnixStream) -> Result<Value> {
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("no answer")?;
    ensure!(answer.len() <= ANSWER_BYTES, "an answer of {} bytes", answer.len());
    serde_json::from_str(&answer).with_context(|| format!("answered {answer:?}"))
}

/// One request on a connection of its own.
fn ask(instance: &Instance, request: &[u8]) -> Result<Value> {
    let mut stream = connect(instance)?;
    // The answer to a request that is too long may come before all of it is sent.
    let _ = stream.write_all(request);
    read_answer(stream)
}

/// Whether the instance has closed this connection.
fn is_closed(mut stream: &UnixStream) -> Result<bool> {
    stream.set_nonblocking(true)?;
    let mut byte = [0];
    let closed = loop {
        match stream.read(&mut byte) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    stream.set_nonblocking(false)?;
    Ok(closed)
}

/// What the supervisor holds of the system's.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    threads: usize,
    descriptors: usize,
}

fn held(instance: &Instance) -> Result<Held> {
    let count =
        |what: &str| Ok::<_, std::io::Error>(std::fs::read_dir(format!("/proc/{}/{what}", instance.pid()))?.count());
    Ok(Held { threads: count("task")?, descriptors: count("fd")? })
}

/// Kilobytes of the supervisor's own memory.
fn own_memory_kb(instance: &Instance) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", instance.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A system that has little to do but to answer, and what it holds while nobody asks.
fn start() -> Result<(Instance, Held)> {
    let instance = Setup::run(&["test:tone"]).arg("--workers").arg("1").start()?;
    instance.wait_ready()?;
    let held = still_held(&instance)?;
    Ok((instance, held))
}

/// What is held once it stays the same: the thread that waits for a link ends a moment after it.
fn still_held(instance: &Instance) -> Result<Held> {
    wait_until("rest", watchdog(2.0), || {
        let before = held(instance)?;
        std::thread::sleep(Duration::from_millis(300));
        Ok((held(instance)? == before).then_some(before))
    })
}

/// Nothing of the clients is left, nobody has died of them, and the end is in order.
fn finish(mut instance: Instance, before: &Held) -> Result<()> {
    wait_until(
        "the end of what clients held",
        watchdog(PATIENCE_S),
        || Ok((held(&instance)? == *before).then_some(())),
    )
    .with_context(|| format!("{before:?} before, {:?} after", held(&instance)))?;
    ensure!(instance.status()?.processes.iter().all(|process| process.restarts == 0), "something died");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

/// Kills its process when it goes.
struct HalfClient(Child);

impl HalfClient {
    /// One that has said half of a request.
    fn start(instance: &Instance) -> Result<Self> {
        let mut command = Command::new(program("half-client")?);
        command.arg(socket(instance)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut this = Self(command.spawn()?);
        let mut said = String::new();
        BufReader::new(this.0.stdout.as_mut().context("piped")?).read_line(&mut said)?;
        ensure!(said == "half\n", "it said {said:?}");
        Ok(this)
    }
}

impl Drop for HalfClient {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn garbage_is_answered_in_words_and_harms_nobody() -> Result<()> {
    let (instance, before) = start()?;
    let deep = [vec![b'['; 60_000], b"\n".to_vec()].concat();
    let deep_object = [b"{\"a\":".repeat(10_000), b"\n".to_vec()].concat();
    let unknown = [b"{\"command\":\"".to_vec(), vec![b'x'; 60_000], b"\"}\n".to_vec()].concat();
    let garbage: [&[u8]; 14] = [
        b"\n",
        b"not json\n",
        b"{\"command\":\"fly\"}\n",
        b"{\"command\":\"status\",\"and\":1}\n",
        b"{\"command\":1e400}\n",
        b"{\"command\":\"status\",\"n\":99999999999999999999999999999999999999}\n",
        b"18446744073709551616\n",
        b"null\n",
        b"\xff\xfe\x00\x01\n",
        b"{\"command\":\"stat\xffus\"}\n",
        &deep,
        &deep_object,
        &unknown,
        &[b'{'; 70_000],
    ];
    for request in garbage {
        let answer = ask(&instance, request)?;
        ensure!(answer["error"].as_str().is_some_and(|error| error.len() < 1_000), "{answer}");
    }
    // Clients that leave in the middle, or without a word.
    for half in [&b""[..], b"{\"comm"] {
        connect(&instance)?.write_all(half)?;
    }
    // Several requests on one connection, each with its answer, however they are cut into pieces.
    let mut stream = connect(&instance)?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    for piece in [&STATUS.repeat(2)[..], &STATUS[..7], &STATUS[7..]] {
        stream.write_all(piece)?;
    }
    for _ in 0..3 {
        let answer: Value = serde_json::from_str(&answers.next().context("closed")??)?;
        ensure!(answer["processes"].as_array().is_some_and(|list| list.len() == 4), "{answer}");
    }
    drop((stream, answers));
    finish(instance, &before)
}

#[test]
fn an_instance_can_be_asked_to_end() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let answer = ask(&instance, b"{\"command\":\"stop\"}\n")?;
    ensure!(answer["ok"] == true, "{answer}");
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn the_silent_give_way() -> Result<()> {
    let (instance, before) = start()?;
    let silent: Vec<UnixStream> = (0..3 * CLIENTS).map(|_| connect(&instance)).collect::<Result<_>>()?;
    instance.status()?;
    // Not their patience has ended: those that came last still have their places.
    let closed: Vec<bool> = silent.iter().map(is_closed).collect::<Result<_>>()?;
    ensure!(closed[..2 * CLIENTS].iter().all(|&closed| closed), "{closed:?}");
    // `tympan status` connects twice: once to see which instance lives.
    ensure!(closed[2 * CLIENTS + 2..].iter().all(|&closed| !closed), "{closed:?}");
    // Who speaks keeps his place among the silent.
    let mut speaker = connect(&instance)?;
    let mut answers = BufReader::new(speaker.try_clone()?).lines();
    for _ in 0..3 {
        let more: Vec<UnixStream> = (0..CLIENTS - 2).map(|_| connect(&instance)).collect::<Result<_>>()?;
        speaker.write_all(STATUS)?;
        answers.next().context("the speaker was sent away")??;
        drop(more);
    }
    drop((speaker, answers, silent));
    finish(instance, &before)
}

#[test]
fn the_slow_the_stuck_and_the_stopped_are_sent_away() -> Result<()> {
    let (instance, before) = start()?;
    let begin = Instant::now();
    let silent = connect(&instance)?;
    // Half a request, and then nothing: stopped in the middle.
    let stopped = HalfClient::start(&instance)?;
    ensure!(end_process(stopped.0.id(), Signal::SIGSTOP), "it ended by itself");
    // Many requests, of whose answers it reads none. What is kept for it is bounded, so its own socket fills up.
    let mut deaf = connect(&instance)?;
    deaf.set_nonblocking(true)?;
    let mut asked = 0;
    let fills_up = |deaf: &mut UnixStream, asked: &mut u64| match deaf.write(STATUS) {
        Ok(bytes) => {
            *asked += u64::try_from(bytes)?;
            Ok::<_, anyhow::Error>(None)
        }
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(Some(())),
        Err(e) => Err(e.into()),
    };
    while fills_up(&mut deaf, &mut asked)?.is_none() {}
    ensure!(asked < 8 << 20, "{asked} bytes of requests were taken");
    // A byte a second.
    let mut drip = connect(&instance)?;
    let over = Arc::new(AtomicBool::new(false));
    let dripping = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut sent = 0;
            for byte in STATUS.iter().cycle() {
                if over.load(Ordering::Relaxed) || drip.write_all(&[*byte]).is_err() {
                    break;
                }
                sent += 1;
                std::thread::sleep(Duration::from_secs(1));
            }
            sent
        })
    };
    // Meanwhile everybody else is answered.
    let mut answered = 0;
    wait_until("their end", watchdog(PATIENCE_S), || {
        instance.status()?;
        answered += 1;
        std::thread::sleep(Duration::from_millis(200));
        // The stopped one cannot say it: what it held is given back.
        Ok((is_closed(&silent)? && dripping.is_finished() && held(&instance)? == before).then_some(()))
    })
    .with_context(|| format!("{before:?} before, {:?} now", held(&instance)))?;
    over.store(true, Ordering::Relaxed);
    let dripped = dripping.join().map_err(|_| anyhow::anyhow!("the slow client has panicked"))?;
    ensure!(begin.elapsed().as_secs_f64() > PATIENCE_S - 1.0, "sent away before their time");
    ensure!(dripped > 5 && answered > 5, "{dripped} bytes, {answered} answers");
    ensure!(held(&instance)? == before, "{:?}", held(&instance));
    drop((silent, stopped, deaf));
    finish(instance, &before)
}

#[test]
fn a_line_without_an_end_is_cut() -> Result<()> {
    let (instance, before) = start()?;
    instance.status()?;
    let memory_kb = own_memory_kb(&instance)?;
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..4 {
        let mut stream = connect(&instance)?;
        let mut sent = 0_usize;
        while sent < 1_000_000_000 {
            match stream.write(&piece) {
                Ok(bytes) => sent += bytes,
                Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
                Err(e) => return Err(e.into()),
            }
        }
        // What the system's own queue between the two holds, and no more.
        ensure!((REQUEST_BYTES..8 << 20).contains(&sent), "{sent} bytes were taken");
        let answer = read_answer(stream)?;
        ensure!(answer["error"].as_str().is_some_and(|error| error.contains("64 KiB")), "{answer}");
    }
    let after_kb = own_memory_kb(&instance)?;
    ensure!(after_kb < memory_kb + 2_048, "{memory_kb} kB before, {after_kb} kB after");
    finish(instance, &before)
}

#[test]
fn the_killed_leave_nothing() -> Result<()> {
    let (instance, before) = start()?;
    for _ in 0..2 * CLIENTS {
        // Its drop is a SIGKILL.
        HalfClient::start(&instance)?;
    }
    finish(instance, &before)
}

#[test]
fn a_flood_of_requests_costs_no_word() -> Result<()> {
    const STAY: u64 = 4;
    let speech = Speech::join(&["librivox_0880.wav", "librivox_0930.wav"])?;
    let run = |flooded: bool| -> Result<String> {
        let mut instance = Setup::run(&[&speech.uri()]).arg("--workers").arg("1").start()?;
        instance.wait_ready()?;
        let flood = flooded.then(|| Flood::begin(&instance, STAY));
        if flooded {
            // Whoever asks now and then is answered as ever.
            for _ in 0..5 {
                instance.status()?;
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        instance.wait_event("the second final", watchdog(speech.seconds() + 5.0), |event| {
            event.is("final") && event.number("end_s").is_ok_and(|end_s| end_s > speech.seconds() / 2.0)
        })?;
        if let Some(flood) = flood {
            let Flooded { stayed, came, seconds } = flood.end()?;
            ensure!(stayed > A_SECOND && came > A_SECOND, "no flood: {stayed} and {came} answers in {seconds} s");
            // A second's worth may be taken at once.
            ensure!(stayed <= STAY * A_SECOND * (seconds + 2), "{stayed} answers to {STAY} clients in {seconds} s");
        }
        instance.wait_stopped(watchdog(speech.seconds()))?;
        instance.assert_once()?;
        instance.assert_clean()?;
        instance.said()
    };
    let (calm, flooded) = (run(false)?, run(true)?);
    ensure!(calm == flooded && calm.len() > 50, "{calm:?}\nin a flood: {flooded:?}");
    Ok(())
}

/// What a thread of another user gets; `None` when this user may not become another one.
fn as_another_user(instance: &Instance) -> Result<Option<std::io::Result<String>>> {
    const NOBODY: u32 = 65_534;
    let socket = socket(instance);
    let asking = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(NOBODY);
        // Of this thread alone.
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).ok()?;
        Some((|| {
            let mut stream = UnixStream::connect(socket)?;
            // It may have been refused before it has asked.
            let _ = stream.write_all(STATUS);
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            Ok(answer)
        })())
    });
    asking.join().map_err(|_| anyhow::anyhow!("the other user has panicked"))
}

#[test]
fn another_user_is_refused() -> Result<()> {
    let (instance, before) = start()?;
    let Some(refused) = as_another_user(&instance)? else {
        eprintln!("not shown: only root can become another user for a moment");
        return finish(instance, &before);
    };
    ensure!(refused.as_ref().is_err_and(|e| e.kind() == ErrorKind::PermissionDenied), "{refused:?}");
    // Even where somebody has opened every folder.
    let runtime = instance.folders().runtime();
    let open = [runtime.parent().context("parent")?.to_owned(), runtime.clone(), socket(&instance)];
    let set =
        |mode: u32| open.iter().try_for_each(|path| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)));
    set(0o777)?;
    let refused = as_another_user(&instance)?.context("a user for a moment")?;
    set(0o700)?;
    let said = refused.context("no answer")?;
    ensure!(said.contains("\"error\"") && said.contains("user 65534") && !said.contains("processes"), "{said:?}");
    finish(instance, &before)
}

#[test]
fn an_instance_with_many_streams_is_told_whole() -> Result<()> {
    let names: Vec<String> = (1..=64).map(|n| format!("a-stream-with-a-long-name-{n:03}=test:silence")).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let small = ["--rate", "8000", "--history", "10", "--workers", "1"];
    let mut instance = small.into_iter().fold(Setup::run(&sources), Setup::arg).start()?;
    instance.wait_event("started", watchdog(10.0), |event| event.is("started"))?;
    let answer = ask(&instance, STATUS)?;
    let streams = answer["streams"].as_array().context("streams")?;
    ensure!(streams.len() == 64 && streams.iter().all(|stream| stream["uri"].is_string()), "{answer}");
    // Bounded, and far from its bound: there is as much room again for 64 workers.
    let bytes = answer.to_string().len();
    ensure!(bytes * 4 < ANSWER_BYTES, "{bytes} bytes");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(5.0))?;
    instance.assert_clean()
}

#[test]
fn an_instance_that_is_stopped_is_named() -> Result<()> {
    let (instance, before) = start()?;
    ensure!(end_process(instance.pid(), Signal::SIGSTOP), "it ended by itself");
    let asked = run_to_end(tympan(instance.folders())?.arg("status"), watchdog(PATIENCE_S));
    ensure!(end_process(instance.pid(), Signal::SIGCONT), "it ended while it was stopped");
    asked?.expect_refusal(&["gave no answer", &format!("kill -CONT {}", instance.pid())])?;
    instance.status()?;
    finish(instance, &before)
}
