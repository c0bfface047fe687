//! The control socket, as a stranger uses it: with sense, and with garbage.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use system_tests::*;

fn connect(instance: &Instance) -> Result<UnixStream> {
    let stream = UnixStream::connect(instance.folders().runtime().join("control.sock"))?;
    stream.set_read_timeout(Some(watchdog(2.0)))?;
    Ok(stream)
}

/// One request on a connection of its own.
fn ask(instance: &Instance, request: &[u8]) -> Result<Value> {
    let mut stream = connect(instance)?;
    // The answer to a request that is too long may come before all of it is sent.
    let _ = stream.write_all(request);
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("no answer")?;
    serde_json::from_str(&answer).with_context(|| format!("answered {answer:?}"))
}

#[test]
fn garbage_is_answered_in_words_and_harms_nobody() -> Result<()> {
    let mut instance = Setup::run(&["test:tone"]).start()?;
    instance.wait_ready()?;
    let garbage: [&[u8]; 7] = [
        b"\n",
        b"not json\n",
        b"{\"command\":\"fly\"}\n",
        b"{\"command\":\"status\",\"and\":1}\n",
        b"[[[[[[[[\n",
        b"\xff\xfe\x00\x01\n",
        &[b'{'; 70_000],
    ];
    for request in garbage {
        let answer = ask(&instance, request)?;
        ensure!(answer["error"].is_string(), "{answer}");
    }
    // Clients that leave in the middle, or without a word.
    for half in [&b""[..], b"{\"comm"] {
        connect(&instance)?.write_all(half)?;
    }
    // Two requests on one connection, each with its answer.
    let mut stream = connect(&instance)?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    for _ in 0..2 {
        stream.write_all(b"{\"command\":\"status\"}\n")?;
        let answer: Value = serde_json::from_str(&answers.next().context("closed")??)?;
        ensure!(answer["processes"].as_array().is_some_and(|list| list.len() == 5), "{answer}");
    }
    ensure!(instance.status()?.processes.iter().all(|process| process.restarts == 0), "something died");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
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
