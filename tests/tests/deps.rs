//! The dependency rule, and a code map that is true.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use system_tests::workspace_root;

/// What each package of the workspace may use of the workspace in its programs and libraries.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("shm-layout", &[]),
    ("audio-dsp", &[]),
    ("control-protocol", &["shm-layout"]),
    ("control-link", &["control-protocol"]),
    ("model-store", &[]),
    ("sound-files", &["control-protocol"]),
    // Programs stand side by side and never import one another.
    ("audio-engine", &["shm-layout", "audio-dsp", "control-protocol", "control-link", "sound-files"]),
    ("transcriber-worker", &["shm-layout", "audio-dsp", "control-protocol", "control-link"]),
    ("supervisor", &["shm-layout", "audio-dsp", "control-protocol", "control-link", "model-store"]),
    ("viz-reader", &["shm-layout", "audio-dsp", "control-protocol", "sound-files"]),
    // Its stand-ins for children speak as children do.
    ("system-tests", &["shm-layout", "audio-dsp", "control-protocol", "control-link"]),
];

/// What must never be linked into the supervisor: faults there would be the supervisor's.
const FORBIDDEN_IN_SUPERVISOR: [&str; 8] =
    ["cpal", "alsa", "alsa-sys", "whisper-rs", "whisper-rs-sys", "rten", "rubato", "symphonia"];

fn metadata() -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output()?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
        .current_dir(workspace_root())
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Name and dependencies (not for tests, not for building) of every package that is used, by id.
fn graph(metadata: &Value) -> Result<BTreeMap<String, (String, Vec<String>)>> {
    let mut names = BTreeMap::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let of = |field: &str| package[field].as_str().map(str::to_owned).context("a package without a name");
        names.insert(of("id")?, of("name")?);
    }
    let mut graph = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().context("nodes")? {
        let id = node["id"].as_str().context("id")?.to_owned();
        let normal =
            |dep: &&Value| dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k["kind"].is_null()));
        let deps = node["deps"].as_array().context("deps")?.iter().filter(normal);
        let deps = deps.filter_map(|dep| dep["pkg"].as_str().map(str::to_owned)).collect();
        graph.insert(id.clone(), (names[&id].clone(), deps));
    }
    Ok(graph)
}

fn members(metadata: &Value) -> Result<BTreeSet<String>> {
    let ids = metadata["workspace_members"].as_array().context("workspace_members")?;
    Ok(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
}

#[test]
fn packages_use_only_what_they_may() -> Result<()> {
    let metadata = metadata()?;
    let (graph, members) = (graph(&metadata)?, members(&metadata)?);
    let mut edges = 0;
    for id in &members {
        let (name, deps) = &graph[id];
        let (_, allowed) =
            ALLOWED.iter().find(|(n, _)| n == name).with_context(|| format!("{name}: no rule for it"))?;
        for dep in deps.iter().filter(|dep| members.contains(*dep)) {
            let dep = &graph[dep].0;
            ensure!(allowed.contains(&dep.as_str()), "{name} must not depend on {dep}");
            edges += 1;
        }
    }
    ensure!(members.len() == ALLOWED.len(), "a rule for a package that does not exist");
    ensure!(edges > 0, "no edges seen: the test looks at the wrong place");
    Ok(())
}

#[test]
fn the_supervisor_links_no_audio_and_no_model() -> Result<()> {
    let metadata = metadata()?;
    let graph = graph(&metadata)?;
    let reach = |root: &str| -> Result<BTreeSet<String>> {
        let begin = graph.iter().find(|(_, (name, _))| name == root).with_context(|| root.to_owned())?;
        let (mut seen, mut open) = (BTreeSet::new(), vec![begin.0.clone()]);
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(graph[&id].1.iter().cloned());
            }
        }
        Ok(seen.iter().map(|id| graph[id].0.clone()).collect())
    };
    let supervisor = reach("supervisor")?;
    for name in FORBIDDEN_IN_SUPERVISOR {
        ensure!(!supervisor.contains(name), "the supervisor reaches {name}");
    }
    // The names above are the real ones: their owners do reach them.
    ensure!(reach("audio-engine")?.contains("cpal"), "the engine does not reach cpal?");
    ensure!(reach("transcriber-worker")?.contains("whisper-rs"), "the worker does not reach whisper-rs?");
    Ok(())
}

/// Names of folders in the code map: `name/` at the beginning of a line of its code block, or in backquotes
/// at the beginning of a row, an item or a paragraph.
fn code_map(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut inside, mut block) = (false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            block = !block;
        } else if line.starts_with('#') && !block {
            inside = line.to_lowercase().contains("code map") || (inside && line.starts_with("###"));
        } else if inside {
            let first = line.trim_start_matches(['|', '-', '*', ' ', '`']);
            let nested = block && line.starts_with([' ', '\t', '│', '├', '└']);
            let name = first.split([' ', '`', '|', '\t']).next().unwrap_or_default();
            if let Some(name) = name.strip_suffix('/').filter(|_| !nested && (block || line.contains('`'))) {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn the_code_map_is_true() -> Result<()> {
    let root = workspace_root();
    let names = code_map(&std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?);
    for name in &names {
        ensure!(root.join(name).is_dir(), "the code map names {name}/, which does not exist");
    }
    let metadata = metadata()?;
    for package in metadata["packages"].as_array().context("packages")? {
        let manifest = package["manifest_path"].as_str().context("manifest_path")?;
        let Ok(inside) = std::path::Path::new(manifest).strip_prefix(&root) else { continue };
        let Some(folder) = inside.parent().and_then(|folder| folder.to_str()) else { continue };
        if members(&metadata)?.contains(package["id"].as_str().unwrap_or_default()) {
            ensure!(names.contains(folder), "the code map does not name {folder}/");
        }
    }
    Ok(())
}

#[test]
fn the_code_map_is_found_in_lists_tables_and_blocks() {
    let text = "# A\n`not/` here\n## Code map\n```\nCargo.toml  x\none/   first\n  src/ nested\n```\n- `two/` second\n\
                | `three/` | third |\n### More of it\n`four/`: fourth, unlike `five/`\nsix/ is prose\n## Next\n- `seven/`\n";
    assert_eq!(code_map(text).into_iter().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
}
