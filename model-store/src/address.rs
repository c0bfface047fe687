//! Where a file is fetched from: the published place, or a mirror of it.

use crate::catalogue::{ENTRIES, Entry, Kind};
use crate::error::StoreError;

/// A mirror, as `TYMPAN_MODEL_URL` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mirror {
    /// All published files under their names: the address ends in `/`.
    Folder(String),
    /// One file.
    File(String),
}

impl Mirror {
    pub(crate) fn parse(address: &str) -> Result<Self, StoreError> {
        let address = address.trim();
        let known = ["https://", "http://", "file:/"].iter().any(|scheme| address.starts_with(scheme));
        if !known {
            let shown = shown(address);
            return Err(StoreError::Address(format!(
                "\"{shown}\" is no address; it begins with https://, http:// or file:/, and ends in / when it is a \
                 folder of models"
            )));
        }
        let owned = address.to_owned();
        Ok(if address.ends_with('/') { Self::Folder(owned) } else { Self::File(owned) })
    }

    /// What may be wrong with the address when it has not what it should.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::File(address) if !names_a_file(address) => " (TYMPAN_MODEL_URL ends in / when it is a folder)",
            _ => "",
        }
    }

    /// Where this mirror has an entry, when `wanted` entries are asked for at once; `None` when it has not.
    pub(crate) fn address_of(&self, entry: &Entry, wanted: &[&Entry]) -> Result<Option<String>, StoreError> {
        let address = match self {
            Self::Folder(base) => return Ok(Some(format!("{base}{}", entry.file()))),
            Self::File(address) => address,
        };
        let last = last_of(address);
        if let Some(named) = ENTRIES.iter().find(|known| known.file() == last) {
            return Ok((named == entry).then(|| address.clone()));
        }
        let recognisers = wanted.iter().filter(|entry| entry.kind == Kind::Recogniser).count();
        if entry.kind != Kind::Recogniser {
            return Ok(None);
        }
        if recognisers > 1 {
            let shown = shown(address);
            return Err(StoreError::Address(format!(
                "\"{shown}\" is one file, and {recognisers} models are wanted; end it in / if it is a folder of models"
            )));
        }
        Ok(Some(address.clone()))
    }
}

/// The last part of an address, without what is asked of it.
fn last_of(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

fn names_a_file(address: &str) -> bool {
    ENTRIES.iter().any(|known| known.file() == last_of(address))
}

/// An address as it may be printed: without name and password.
pub(crate) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://…@{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

/// Where a redirect leads, from the address that sent it.
pub(crate) fn redirected(from: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        return Some(location.to_owned());
    }
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    if let Some(other_host) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{other_host}"));
    }
    if location.starts_with('/') {
        return Some(format!("{scheme}://{host}{location}"));
    }
    // Anything with a scheme of its own is not for us to follow.
    if location.is_empty() || location.split(['/', '?', '#']).next()?.contains(':') {
        return None;
    }
    let path = from.split(['?', '#']).next()?;
    let folder = match path.rfind('/') {
        Some(at) if at > scheme.len() + 2 => &path[..=at],
        _ => return Some(format!("{path}/{location}")),
    };
    Some(format!("{folder}{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    #[test]
    fn a_mirror_is_a_folder_or_a_file() {
        let (tiny, base, vad) = (find("tiny.en").unwrap(), find("base").unwrap(), find("vad").unwrap());
        let at = |mirror: &str, entry, wanted: &[&Entry]| Mirror::parse(mirror).unwrap().address_of(entry, wanted);
        let folder = "https://mirror/models/";
        assert_eq!(at(folder, tiny, &[tiny]).unwrap().unwrap(), "https://mirror/models/ggml-tiny.en.bin");
        assert_eq!(at(folder, vad, &[tiny, vad]).unwrap().unwrap(), "https://mirror/models/silero_vad_16k_op15.onnx");

        let named = "http://mirror/x/ggml-base.bin?download=true";
        assert_eq!(at(named, base, &[tiny, base]).unwrap().as_deref(), Some(named));
        assert_eq!(at(named, tiny, &[tiny, base]).unwrap(), None, "another file");

        let bare = "file:/srv/model";
        assert_eq!(at(bare, tiny, &[tiny, vad]).unwrap().as_deref(), Some(bare));
        assert_eq!(at(bare, vad, &[tiny, vad]).unwrap(), None);
        assert!(at(bare, tiny, &[tiny, base]).unwrap_err().to_string().contains("end it in /"));
        assert!(Mirror::parse("mirror.example").unwrap_err().to_string().contains("https://"));
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:pass@host/x@y"), "https://…@host/x@y");
        assert_eq!(shown("https://host/x@y"), "https://host/x@y");
        assert_eq!(shown("file:/srv/"), "file:/srv/");
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://host/a/b?x=/y";
        let to = |location| redirected(from, location);
        assert_eq!(to("http://other/c").unwrap(), "http://other/c");
        assert_eq!(to("//other/c").unwrap(), "https://other/c");
        assert_eq!(to("/c").unwrap(), "https://host/c");
        assert_eq!(to("c").unwrap(), "https://host/a/c");
        assert_eq!(redirected("https://host", "c").unwrap(), "https://host/c");
        assert_eq!(to("file:///etc/passwd"), None);
        assert_eq!(to(""), None);
    }
}
