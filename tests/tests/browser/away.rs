//! What a page missed that was away for a while is told and drawn.

use super::judge::{accounts_hold, clean, grown, number, numbers};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use system_tests::{long, watchdog};

/// Bytes that the kernel may keep on the way from one program to another.
fn kernel_bytes() -> Result<u64> {
    let most = |name: &str| -> Result<u64> {
        let text = std::fs::read_to_string(Path::new("/proc/sys/net/ipv4").join(name))?;
        Ok(text.split_whitespace().last().with_context(|| name.to_owned())?.parse()?)
    };
    Ok(most("tcp_rmem")? + most("tcp_wmem")?)
}

/// Bytes that a browser may keep of what it did not give to its page yet: far more than it does.
const BROWSER_BYTES: u64 = 16 << 20;
/// Milliseconds that the server waits for a page that takes nothing, before it sends it away.
const PATIENCE_MS: u64 = 5_000;

/// Bytes that come in a millisecond of so many channels at this rate.
fn bytes_a_ms(lanes: usize, rate_hz: u32) -> u64 {
    lanes as u64 * u64::from(rate_hz) * 4 / 1_000
}

/// How long a page stands still, in milliseconds, until all buffers before it are full, the server's patience has ended, and
/// a second is lost.
pub(crate) fn until_lost_ms(lanes: usize, rate_hz: u32) -> Result<u64> {
    Ok((kernel_bytes()? + BROWSER_BYTES) / bytes_a_ms(lanes, rate_hz) + PATIENCE_MS + 1_000)
}

/// Every frame came or is told as lost, what is lost is drawn as lost where it was, all else as it sounds, and the page shows
/// now again. The first lane has noise and the last one clicks.
pub(crate) fn nothing_is_hidden(seen: &Value, rate_hz: u32) -> Result<u64> {
    clean(seen)?;
    let (all, came, lost) = (grown(seen, "newest")?, grown(seen, "came")?, grown(seen, "lost")?);
    ensure!(all == came + lost, "of {all} frames {came} came and {lost} are told as lost: {seen}");
    ensure!(grown(seen, "gaps")? == 0, "a loss is no gap: {seen}");
    ensure!(number(seen, "skipped")? < lost as f64 / 2.0, "what is lost is told as not drawn, too: {seen}");
    ensure!(all as f64 / f64::from(rate_hz) * 1_000.0 > number(seen, "stoppedMs")?, "not at now: {seen}");
    // What is promised is a second.
    ensure!(number(seen, "liveMs")? < watchdog(1.0).as_secs_f64() * 1_000.0, "{seen}");

    let column_s = number(seen, "columnS")?;
    ensure!(seen["blank"] == json!([]), "drawn neither as sound nor as lost: {seen}");
    let runs = seen["lost"].as_array().context("lost")?;
    let [run] = runs.as_slice() else { anyhow::bail!("{} stretches are drawn as lost: {seen}", runs.len()) };
    let (from, to) = (numbers(run)[0], numbers(run)[1]);
    let expected = lost as f64 / f64::from(rate_hz);
    ensure!((to - from - expected).abs() <= 3.0 * column_s, "{} s are drawn as lost, and not {expected}", to - from);
    let bounds = numbers(&seen["awayS"]);
    ensure!(
        from > bounds[0] - 0.25 && to < bounds[1] + 0.25,
        "lost from {from} to {to} s, and it was away within {bounds:?}: {seen}"
    );
    // What was not lost is where it was: a click at each whole second.
    let clicks = numbers(&seen["clicks"]);
    for &click in &clicks {
        ensure!((click - click.round()).abs() <= 1.6 * column_s, "a click at {click} s: {seen}");
    }
    let before = number(seen, "fromS")?;
    let mut whole = before.ceil();
    while whole < number(seen, "endS")? - 2.0 * column_s {
        let near = |at: f64, by: f64| (at - whole).abs() <= by * column_s;
        let at_an_edge = near(before, 2.0) || near(from, 3.0) || near(to, 3.0);
        let heard = clicks.iter().any(|&click| near(click, 1.6));
        ensure!(at_an_edge || heard != (whole > from && whole < to), "the click at {whole} s: {seen}");
        whole += 1.0;
    }
    Ok(lost)
}

#[test]
fn what_a_stopped_server_missed_is_told_and_drawn() -> Result<()> {
    const HISTORY_S: u32 = 2;
    let page = Page::new()?;
    let writer = Writer::start_at(&page, "short", (48_000, HISTORY_S), &["noise:0.3", "click"])?;
    let server = page.serve(&[])?;
    // The ring goes round without it.
    let stop_ms = 2_000 * HISTORY_S;
    let job = json!({"lanes": 2, "way": "server", "stopMs": stop_ms, "beganS": writer.began_s()?, "own": true,
        "server": server.pid()});
    let lost = nothing_is_hidden(&server.drive("away", &job)?, 48_000)?;
    ensure!(lost >= u64::from(HISTORY_S) * 48_000, "overwritten, and told of {lost} frames");
    Ok(())
}

#[test]
fn what_a_hidden_tab_missed_is_told_and_drawn() -> Result<()> {
    const HISTORY_S: u32 = 2;
    let page = Page::new()?;
    let writer = Writer::start_at(&page, "short", (48_000, HISTORY_S), &["noise:0.3", "click"])?;
    let server = page.serve(&[])?;
    let stop_ms = if long() { 3_600_000 } else { 4_500 };
    let job = json!({"lanes": 2, "way": "hidden", "stopMs": stop_ms, "lostMs": 2_000 * HISTORY_S,
        "beganS": writer.began_s()?, "background": true, "server": server.pid(), "limitS": stop_ms / 1_000 + 300});
    let seen = server.drive("away", &job)?;
    ensure!(seen["drawn"].as_u64().is_some_and(|drawn| drawn <= 1), "nobody looks, and it is drawn: {seen}");
    if long() {
        // Longer ago than a picture shows.
        accounts_hold(&seen)?;
        clean(&seen)?;
    } else {
        let lost = nothing_is_hidden(&seen, 48_000)?;
        ensure!(lost >= u64::from(HISTORY_S) * 48_000, "overwritten, and told of {lost} frames");
    }
    // Its histories are 23 MB.
    ensure!(number(&seen, "grownMb")? < 64.0, "{seen}");
    Ok(())
}

#[test]
fn a_page_that_was_frozen_for_long_is_at_now_again() -> Result<()> {
    let page = Page::new()?;
    let writer = Writer::start(&page, "many", &["noise:0.3"; 8])?;
    let server = page.serve(&[])?;
    // Beyond the server's patience.
    let stop_ms = if long() { 3_600_000 } else { PATIENCE_MS + 3_000 };
    let job = json!({"lanes": 8, "way": "frozen", "stopMs": stop_ms, "beganS": writer.began_s()?, "own": true,
        "limitS": stop_ms / 1_000 + 300});
    let seen = server.drive("away", &job)?;
    accounts_hold(&seen)?;
    clean(&seen)?;
    // Its histories are 92 MB; what came while nobody computed is kept by nobody.
    ensure!(number(&seen, "grownMb")? < 160.0, "{seen}");
    Ok(())
}
