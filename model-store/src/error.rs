//! What can go wrong, one variant for each thing that a person does about it.

use crate::ggml::NotGgml;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a model cannot be used, fetched, added or removed. Each says what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No model has this name.
    #[error("there is no model called {name}{} `tympan model list` shows all", meant(close))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What looks like it.
        close: Vec<String>,
    },
    /// The model is known and not here.
    #[error("the model {name} is not here (looked for {}); `tympan model fetch {name}` fetches it", path.display())]
    Missing {
        /// Which.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// The model is known, and nothing of it is here to be removed.
    #[error("there is nothing of the model {name} to remove; `tympan model list` shows what is here")]
    NothingThere {
        /// Which.
        name: String,
    },
    /// There is nothing at this path.
    #[error("there is no model file {}; `tympan model list` shows the models that have names", path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// A published model's file has another size.
    #[error(
        "the model file {} is damaged: it has {actual_bytes} bytes and should have {expected_bytes}; \
         `tympan model fetch --force {name}` mends it",
        path.display()
    )]
    WrongSize {
        /// Which.
        name: String,
        /// Where.
        path: PathBuf,
        /// As published.
        expected_bytes: u64,
        /// As it is.
        actual_bytes: u64,
    },
    /// A published model's file has another content.
    #[error(
        "the model file {} is damaged: its SHA-256 is {actual} and should be {expected}; {}",
        path.display(),
        if *published { format!("`tympan model fetch --force {name}` mends it") }
        else { format!("`tympan model remove {name}` removes it, and `tympan model add` takes a whole one") }
    )]
    WrongHash {
        /// Which.
        name: String,
        /// Where.
        path: PathBuf,
        /// As published, or as it was when it was added.
        expected: String,
        /// As it is.
        actual: String,
        /// Whether it can be fetched again.
        published: bool,
    },
    /// A file is no Whisper model.
    #[error("{} cannot be used as a model: {why}", path.display())]
    NotGgml {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: NotGgml,
    },
    /// A model's file may not be read.
    #[error("the model file {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Every way to fetch one or more files failed.
    #[error("{}", not_fetched(files, folder))]
    NotFetched {
        /// Which.
        files: Vec<Unfetched>,
        /// Where they belong.
        folder: PathBuf,
        /// Whether something came that was not the published file.
        wrong: bool,
    },
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
    /// No room.
    #[error(
        "not enough room in {}: {} are needed and {} are free; make room, or set TYMPAN_MODELS_DIR to a folder on \
         another disk",
        folder.display(),
        megabytes(*needed_bytes),
        megabytes(*free_bytes)
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What it would take.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
    },
    /// The mirror's address cannot be used.
    #[error("TYMPAN_MODEL_URL: {0}")]
    Address(String),
    /// A name for an added file cannot be used.
    #[error("{0}")]
    Name(String),
    /// The operating system refused.
    #[error("{what} {}: {source}{}", path.display(), elsewhere(source))]
    Io {
        /// What was tried, such as `cannot read`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A file that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfetched {
    /// Its name.
    pub file: String,
    /// Its hash.
    pub sha256: String,
    /// What happened on each way.
    pub reasons: Vec<String>,
}

impl StoreError {
    /// An [`StoreError::Io`], for `map_err`; a full disk becomes [`StoreError::NoRoom`].
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// Whether it is about a disk that is full.
    #[must_use]
    pub fn is_about_room(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Bytes, rounded as people say them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// What helps where a folder cannot be written to.
fn elsewhere(source: &io::Error) -> &'static str {
    use io::ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    match source.kind() {
        PermissionDenied | ReadOnlyFilesystem | AlreadyExists | NotADirectory => {
            "; TYMPAN_MODELS_DIR names another folder of models"
        }
        _ => "",
    }
}

fn meant(close: &[String]) -> String {
    match close {
        [] => ";".into(),
        [one] => format!("; did you mean {one}?"),
        [most @ .., last] => format!("; did you mean {} or {last}?", most.join(", ")),
    }
}

fn not_fetched(files: &[Unfetched], folder: &std::path::Path) -> String {
    let mut text = String::new();
    for Unfetched { file, reasons, .. } in files {
        text.push_str(&format!("{file} could not be fetched\n"));
        for reason in reasons {
            text.push_str(&format!("  {reason}\n"));
        }
    }
    let folder = folder.display();
    text.push_str(
        "  With a connection, try again: what came is kept. Behind a proxy, set HTTPS_PROXY; with a mirror in your\n  \
         network, TYMPAN_MODEL_URL. Without either, ",
    );
    match files {
        [Unfetched { file, sha256, .. }] => text.push_str(&format!(
            "bring the file from elsewhere and run `tympan model add {file}`\n  ({folder} is where it goes; SHA-256 \
             {sha256})"
        )),
        _ => {
            text.push_str("bring these files from elsewhere and run");
            for Unfetched { file, sha256, .. } in files {
                text.push_str(&format!("\n    tympan model add {file}    (SHA-256 {sha256})"));
            }
            text.push_str(&format!("\n  {folder} is where they go."));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        let said: Vec<String> = [1, 999_999, 1_289_603, 77_704_715, 3_095_033_483].into_iter().map(megabytes).collect();
        assert_eq!(said, ["1 kB", "1000 kB", "1.3 MB", "78 MB", "3.10 GB"]);
    }
}
