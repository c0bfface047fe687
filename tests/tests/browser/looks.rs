//! Each view looks as it did.

use super::judge::clean;
use crate::web::{FakeWords, Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{program, workspace_root};

/// Mean and greatest difference of blocks of 16 x 16 pixels from those of a reference, of 255: other fonts stay below, what
/// is not where it was does not.
const MEAN_MOST: f64 = 2.0;
const BLOCK_MOST: f64 = 56.0;

/// The views of the page beside screenshots that are kept (`tests/tests/golden/page/`). Whoever changes how the page looks has
/// them taken anew, and looks at each before it is committed:
/// `TYMPAN_ACCEPT=1 cargo test --release --locked -p system-tests --test browser each_view_looks`. What was seen last lies in
/// `page/` beside the tested programs.
#[test]
fn each_view_looks_as_it_did() -> Result<()> {
    const END_S: u64 = 12;
    let page = Page::new()?;
    let mut known = Writer::start(&page, "known", &["sine:440:0.25", "chirp:100:8000:0.4", "click"])?;
    let mut pair = Writer::start(&page, "pair", &["sine:300:0.5", "against:300:0.5"])?;
    known.order(&format!("until {END_S}"))?;
    pair.order(&format!("until {END_S}"))?;
    let words =
        [("some", END_S * 48_000 - 180_000), ("known", END_S * 48_000 - 140_000), ("words", END_S * 48_000 - 90_000)];
    let spoken = FakeWords::start(&page, "known", &words)?;
    let references = workspace_root().join("tests/tests/golden/page");
    let seen_in = program("signal-writer")?.with_file_name("page");
    std::fs::create_dir_all(&references)?;
    std::fs::create_dir_all(&seen_in)?;
    let accept = std::env::var_os("TYMPAN_ACCEPT").is_some_and(|value| value == "1");
    let job = json!({"lanes": 5, "words": words.len(), "endS": END_S, "references": references, "seen": seen_in,
        "accept": accept});
    let seen = page.serve(&[])?.drive("references", &job)?;
    clean(&seen)?;
    spoken.were_asked_for()?;
    let views = seen["views"].as_array().context("views")?;
    ensure!(views.len() == 6, "{seen}");
    for view in views {
        let (mean, most) = (view["difference"]["mean"].as_f64(), view["difference"]["most"]["by"].as_f64());
        let (Some(mean), Some(most)) = (mean, most) else {
            anyhow::bail!("no reference of this size: {view}; seen: {}", seen_in.display())
        };
        ensure!(mean <= MEAN_MOST && most <= BLOCK_MOST, "looks different: {view}; seen: {}", seen_in.display());
    }
    Ok(())
}
