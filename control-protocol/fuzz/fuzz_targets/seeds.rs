//! `seeds FOLDER`: writes what fuzzing begins with: the golden bytes of every message.

use control_protocol_fuzz::bodies::seeds;
use std::path::Path;

const GOLDEN: &str = include_str!("../../tests/golden.txt");

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("usage: seeds FOLDER");
    for (target, towards_child) in [("from_child", false), ("to_child", true)] {
        let (folder, seeds) = (Path::new(&folder).join(target), seeds(GOLDEN, towards_child));
        assert!(!seeds.is_empty(), "no golden bytes");
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
