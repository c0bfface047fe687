//! The folders: there or to be made, of this user, private, writable.

use super::Case;
use super::finding::Finding;
use super::outside::{existing, quoted, writable};
use crate::paths;
use control_protocol::Exit;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "folders";

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Sound: nobody but its owner may look in.
    Sound,
    /// Models: others may read, and it need not be ours.
    Models,
    /// The configuration file: as models, and it need not be there.
    Configuration,
}

/// A folder as it is.
struct Folder {
    what: &'static str,
    variable: &'static str,
    path: PathBuf,
    its_use: Use,
    state: State,
}

enum State {
    /// Not there; the nearest folder upwards, and whether this one can be made in it.
    Absent { above: PathBuf, writable: bool },
    /// Something else has this name.
    NoFolder,
    /// There.
    There { uid: u32, mode: u32, writable: bool },
}

/// Looks at all folders.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut there = Vec::new();
    let mut add = |what, variable, path: PathBuf, its_use| {
        let state = state_of(&path, its_use);
        there.push(Folder { what, variable, path, its_use, state });
    };
    match &case.folders {
        Ok(folders) => {
            add("rings", "TYMPAN_RUNTIME_DIR", folders.runtime.clone(), Use::Sound);
            add("data", "TYMPAN_DATA_DIR", folders.data.clone(), Use::Sound);
        }
        Err(text) => found.push(homeless(text)),
    }
    match paths::models(&case.settings) {
        Ok(models) => add("models", "TYMPAN_MODELS_DIR", models, Use::Models),
        // One word about a missing home is enough.
        Err(e) if found.is_empty() => found.push(homeless(&format!("{e:#}"))),
        Err(_) => {}
    }
    if let Some(folder) = case.file.as_ref().and_then(|file| file.path.parent()) {
        add("settings", "TYMPAN_CONFIG", folder.to_owned(), Use::Configuration);
    }
    if found.is_empty() || !there.is_empty() {
        found.extend(findings(&there, case.here.uid));
    }
    found
}

fn homeless(text: &str) -> Finding {
    Finding::fault(NAME, Exit::Fault, text)
        .means("the variable HOME says where your files are")
        .mend("export HOME=\"$(getent passwd \"$(id -u)\" | cut -d: -f6)\"")
}

fn state_of(path: &Path, its_use: Use) -> State {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        let above = existing(path);
        return State::Absent { writable: writable(&above), above };
    };
    // Where sound goes a link could lead anywhere.
    if !meta.is_dir() && (its_use == Use::Sound || !path.is_dir()) {
        return State::NoFolder;
    }
    let Ok(meta) = std::fs::metadata(path) else { return State::NoFolder };
    State::There { uid: meta.uid(), mode: meta.mode() & 0o777, writable: writable(path) }
}

fn findings(folders: &[Folder], own_uid: u32) -> Vec<Finding> {
    let mut found: Vec<Finding> = folders.iter().filter_map(|folder| finding(folder, own_uid)).collect();
    if found.is_empty() {
        let list: Vec<String> =
            folders.iter().map(|folder| format!("{} in {}", folder.what, folder.path.display())).collect();
        found.push(Finding::good(NAME, list.join(", ")));
    }
    found
}

fn finding(folder: &Folder, own_uid: u32) -> Option<Finding> {
    let (path, name) = (folder.path.display(), quoted(&folder.path));
    let private = folder.its_use == Use::Sound;
    let elsewhere = format!("export {}=\"$HOME/tympan-{}\"", folder.variable, folder.what);
    match &folder.state {
        State::Absent { writable: true, .. } => None,
        State::Absent { .. } | State::There { writable: false, .. } if folder.its_use == Use::Configuration => None,
        State::Absent { above, writable: false } => Some(
            Finding::fault(
                NAME,
                Exit::Fault,
                format!("{path} cannot be made: {} is not writable for you", above.display()),
            )
            .means(format!("{} names another folder", folder.variable))
            .mend(elsewhere),
        ),
        State::NoFolder => Some(
            Finding::fault(NAME, Exit::NotPrivate, format!("{path} is not a folder"))
                .means("something else has the name that tympan needs; move it away")
                .mend(format!("mv {name} {name}.old")),
        ),
        State::There { uid, .. } if private && *uid != own_uid => Some(
            Finding::fault(NAME, Exit::NotPrivate, format!("{path} belongs to user {uid}, not to you ({own_uid})"))
                .means(format!("sound would be in the hands of another user; {} names another folder", folder.variable))
                .mend(elsewhere),
        ),
        State::There { mode, .. } if private && mode & 0o077 != 0 => Some(
            Finding::fault(NAME, Exit::NotPrivate, format!("{path} is open to other users (mode {mode:03o})"))
                .means("others could listen; tympan does not begin there")
                .mend(format!("chmod 700 {name}")),
        ),
        State::There { mode, .. } if mode & 0o002 != 0 => Some(
            Finding::warning(NAME, format!("everybody can change {path} (mode {mode:03o})"))
                .means("another user could put files of their own there")
                .mend(format!("chmod o-w {name}")),
        ),
        State::There { writable: false, .. } if private => Some(
            Finding::fault(NAME, Exit::Fault, format!("{path} is not writable for you"))
                .means("a read-only disk, or rights that were taken away")
                .mend(format!("chmod u+rwx {name}")),
        ),
        State::There { writable: false, .. } => Some(
            Finding::note(NAME, format!("{path} is not writable for you"))
                .means("models there are used; others cannot be fetched into it")
                .mend(elsewhere),
        ),
        State::There { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn found(its_use: Use, state: State) -> Finding {
        let path = "/dev/shm/tympan-1".into();
        let folder = Folder { what: "rings", variable: "TYMPAN_RUNTIME_DIR", path, its_use, state };
        findings(&[folder], 1).remove(0)
    }

    #[test]
    fn private_folders_are_closed_to_others() {
        let open = found(Use::Sound, State::There { uid: 1, mode: 0o755, writable: true });
        assert_eq!((open.exit, open.mend.as_deref()), (Exit::NotPrivate, Some("chmod 700 /dev/shm/tympan-1")));
        assert!(open.what.contains("755"), "{open:?}");
        let strange = found(Use::Sound, State::There { uid: 2, mode: 0o700, writable: false });
        assert_eq!(strange.exit, Exit::NotPrivate);
        assert!(strange.mend.unwrap().starts_with("export TYMPAN_RUNTIME_DIR="));
        assert_eq!(found(Use::Sound, State::NoFolder).exit, Exit::NotPrivate);
        let good = found(Use::Sound, State::There { uid: 1, mode: 0o700, writable: true });
        assert_eq!(good.severity, Severity::Good);
    }

    #[test]
    fn models_may_be_shared_and_not_given_away() {
        let shared = found(Use::Models, State::There { uid: 0, mode: 0o755, writable: false });
        assert_eq!(shared.severity, Severity::Note);
        let open = found(Use::Models, State::There { uid: 1, mode: 0o777, writable: true });
        assert_eq!(open.severity, Severity::Warning);
        assert_eq!(found(Use::Models, State::There { uid: 1, mode: 0o755, writable: true }).severity, Severity::Good);
    }

    #[test]
    fn what_cannot_be_made_is_said_with_its_reason() {
        let absent = found(Use::Sound, State::Absent { above: "/dev".into(), writable: false });
        assert_eq!(absent.severity, Severity::Fault);
        assert!(absent.what.contains("/dev is not writable"), "{absent:?}");
        let fresh = found(Use::Sound, State::Absent { above: "/dev/shm".into(), writable: true });
        assert_eq!(fresh.severity, Severity::Good);
    }

    #[test]
    fn a_folder_is_seen_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(state_of(folder.path(), Use::Sound), State::There { mode: 0o700, writable: true, .. }));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(state_of(&file, Use::Models), State::NoFolder));
        let State::Absent { above, writable: true } = state_of(&folder.path().join("a/b/c"), Use::Sound) else {
            panic!("absent")
        };
        assert_eq!(above, folder.path());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(matches!(state_of(&link, Use::Sound), State::NoFolder));
        assert!(matches!(state_of(&link, Use::Models), State::There { .. }));
    }
}
