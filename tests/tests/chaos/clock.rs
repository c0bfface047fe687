//! A wall clock that jumps, for the supervisor and all its children: `clock.c`, preloaded.

use anyhow::{Context, Result, ensure};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::workspace_root;

/// What jumps.
pub(crate) struct WallClock {
    library: PathBuf,
    words: PathBuf,
    file: File,
    offset_s: i64,
}

impl WallClock {
    /// Compiles it into a folder.
    ///
    /// # Errors
    /// Without a C compiler.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let (library, words) = (folder.join("clock.so"), folder.join("clock"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library);
        compiler.arg(workspace_root().join("tests/tests/chaos/clock.c")).arg("-ldl");
        let output = compiler.output().context("cc: run scripts/setup test")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&words)?;
        file.write_all_at(&[0; 16], 0)?;
        Ok(Self { library, words, file, offset_s: 0 })
    }

    /// Variables of a process whose clock this is.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library.clone()), ("CHAOS_CLOCK", self.words.clone())]
    }

    /// Jumps so far, in seconds.
    ///
    /// # Errors
    /// Never in practice.
    pub(crate) fn jump(&mut self, by_s: i64) -> Result<()> {
        self.offset_s += by_s;
        Ok(self.file.write_all_at(&self.offset_s.to_ne_bytes(), 0)?)
    }

    /// How often anybody has looked at it.
    ///
    /// # Errors
    /// Never in practice.
    pub(crate) fn looks(&self) -> Result<i64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 8)?;
        Ok(i64::from_ne_bytes(bytes))
    }
}
