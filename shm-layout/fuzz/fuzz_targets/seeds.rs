//! `seeds FOLDER`: writes what fuzzing begins with, made from real rings of both versions.

use shm_layout_fuzz::bodies::Place;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("usage: seeds FOLDER");
    for (target, seeds) in [("attach", Place::new().attach_seeds()), ("read", Place::read_seeds())] {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
