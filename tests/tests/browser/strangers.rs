//! Who has no business here is turned away.

use crate::http::Http;
use crate::web::{Page, Writer};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use system_tests::{wait_until, watchdog};

#[test]
fn strangers_are_turned_away() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "mic", &["noise:0.3"; 16])?;
    let server = page.serve(&[])?;
    let http = Http { address: server.address()? };
    let own = http.address.to_string();
    let home = http.get("/", &own, &[])?;
    ensure!(home.status == 200 && home.head.contains("default-src 'none'"), "{}", home.head);
    for header in ["cross-origin-opener-policy: same-origin", "cross-origin-embedder-policy: require-corp", "nosniff"] {
        ensure!(home.head.to_lowercase().contains(header), "{header} is missing in {}", home.head);
    }
    ensure!(http.get("/../etc/passwd", &own, &[])?.status == 404 && http.get("/made-from", &own, &[])?.status == 404);
    ensure!(http.get("/", "evil.example", &[])?.status == 421, "another name for this machine");
    let foreign = http.upgrade(&own, Some("http://evil.example"));
    ensure!(foreign.is_err_and(|error| error.to_string().contains("403")), "a page of another origin");
    ensure!(http.upgrade("evil.example:80", None).is_err(), "another name for this machine");

    // What is no request gets an error; too much of it, and too long a message, the end.
    let mut socket = http.upgrade(&own, Some(&format!("http://{own}")))?;
    socket.wait_text("hello")?;
    socket.send_text("{\"type\":\"delete\"}")?;
    socket.wait_text("error")?;
    socket.send_text("{\"type\":\"frames\",\"request\":7,\"stream\":\"mic\",\"from\":0,\"to\":99999999999}")?;
    ensure!(socket.wait_text("error")?["request"] == 7);
    for _ in 0..20 {
        // The end may come between.
        let _ = socket.send_text("nonsense");
    }
    ensure!(socket.wait_close()? == Some(1_008));
    let mut socket = http.upgrade(&own, None)?;
    socket.wait_text("hello")?;
    let _ = socket.send_text(&"x".repeat(1 << 20));
    socket.wait_close()?;

    // Who reads nothing goes, and who reads does not notice.
    let mut good = http.upgrade(&own, None)?;
    let mut bad = http.upgrade(&own, None)?;
    for socket in [&mut good, &mut bad] {
        socket.wait_text("streams")?;
        socket.send_text("{\"type\":\"subscribe\",\"stream\":\"mic\"}")?;
    }
    let open = server.connections()?;
    let mut expected = None;
    let mut seen = 0;
    let gone = wait_until("the end of who reads nothing", watchdog(12.0), || {
        for (first, frames, missing) in good.frames(Duration::from_millis(200))? {
            ensure!(missing == 0, "somebody else's slowness cost frames");
            ensure!(expected.is_none_or(|expected| expected == first), "frames {expected:?} to {first} are missing");
            expected = Some(first + frames);
            seen += frames;
        }
        Ok((server.connections()? < open).then_some(()))
    });
    gone?;
    ensure!(seen > 48_000, "only {seen} frames came to who reads");
    Ok(())
}

#[test]
fn beyond_this_machine_a_token_is_wanted() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "mic", &["sine:440:0.25"])?;
    let server = page.serve(&["--host", "0.0.0.0"])?;
    ensure!(server.url().contains("/#token="), "{}", server.url());
    let seen = server.drive("token", &json!({"lanes": 1}))?;
    ensure!(seen["refused"].as_str().is_some_and(|text| text.contains("token")), "{seen}");
    ensure!(
        seen["address"].as_str().is_some_and(|address| !address.contains("token")),
        "the token stays in the address: {seen}"
    );
    Ok(())
}
