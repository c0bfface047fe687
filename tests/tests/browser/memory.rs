//! Frames without end need no more memory.

use super::judge::{accounts_hold, clean};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::long;

#[test]
fn frames_without_end_need_no_more_memory() -> Result<()> {
    const LANES: usize = 2;
    let page = Page::new()?;
    let _writer = Writer::start(&page, "pair", &["chirp:100:12000:0.4"; LANES])?;
    let server = page.serve(&[])?;
    // All of them take more than half an hour.
    let (frames, seconds) = if long() { (216_000, 9_000) } else { (600, 600) };
    let job = json!({"lanes": LANES, "frames": frames, "seconds": seconds, "server": server.pid(), "limitS": seconds + 60,
        "args": ["--disable-frame-rate-limit", "--disable-gpu-vsync"]});
    let seen = server.drive("endure", &job)?;
    clean(&seen)?;
    accounts_hold(&seen)?;
    let looks = seen["looks"].as_array().context("looks")?;
    let at = |place: usize, what: &str| looks[place][what].as_f64().with_context(|| what.to_owned());
    ensure!(looks.len() == 10 && seen["draws"].as_u64() >= Some(frames), "{seen}");
    // A minute of history comes into use little by little, and then no more.
    let history_s = at(9, "seconds")?.min(60.0) - at(4, "seconds")?.min(60.0);
    let history_mb = history_s * 48_000.0 * 4.0 * LANES as f64 / f64::from(1 << 20);
    for (what, most_mb) in [("heapMb", 1.0), ("pageMb", 8.0 + history_mb), ("serverMb", 2.0)] {
        let grown = at(9, what)? - at(4, what)?;
        ensure!(grown < most_mb, "{what} grows by {grown} MB in the second half: {seen}");
    }
    Ok(())
}
