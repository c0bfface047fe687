//! Which input is wanted, and where it is found again when it was gone: under its name, under the name that people
//! call it by, or in the default's place.

use crate::asound;
use crate::device::{DEFAULT, DeviceError, Found, find};
use crate::inputs::id_of;
use crate::sound_server;
use alsa::Direction;

/// What stands behind a name where the default may take its place.
const OR_DEFAULT: &str = "|default";

/// What was asked for, and what it was when it was open last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `None` is the default, whichever that is.
    name: Option<String>,
    /// Whether the default takes its place while it is away.
    or_default: bool,
    /// What people call the one that was open last.
    pub called: Option<String>,
    /// The sound server's default source, where that is what is heard.
    pub followed: Option<String>,
    /// The sound server's source that was opened by its name: a server that has it no more gives us another one instead,
    /// without a word.
    pub held: Option<String>,
    /// Whether the default is in its place now.
    pub is_substitute: bool,
}

impl Wanted {
    /// `NAME`, `NAME|default`, or nothing for the default.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        let cut = text.and_then(|text| text.strip_suffix(OR_DEFAULT));
        let name = cut.or(text).filter(|name| *name != DEFAULT).map(str::to_owned);
        Self { or_default: cut.is_some(), name, called: None, followed: None, held: None, is_substitute: false }
    }

    /// This one was opened.
    pub fn opened(&mut self, candidate: &Candidate) {
        (self.followed, self.held) = (candidate.followed.clone(), candidate.held.clone());
        self.is_substitute = candidate.is_substitute;
        if !self.is_substitute {
            self.called = Some(candidate.found.name.clone());
        }
    }

    /// In messages.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT)
    }

    /// The devices that would do, the best first; or why there is none. Asks the sound system, which may never answer.
    ///
    /// # Errors
    /// [`DeviceError`] about the one that is wanted.
    pub fn candidates(&self) -> Result<Vec<Candidate>, DeviceError> {
        let Some(name) = &self.name else { return Ok(vec![Candidate::new(find(None)?, true, false)]) };
        let wanted = match (find(Some(name)), &self.called) {
            // The same microphone, plugged in elsewhere.
            (Err(DeviceError::Unknown { .. }), Some(called)) if !self.is_substitute => {
                find(Some(called)).or_else(|_| find(Some(name)))
            }
            (found, _) => found,
        };
        let substitute = if self.or_default { find(None).ok() } else { None };
        let substitute = substitute.map(|found| Candidate::new(found, true, true));
        match wanted {
            Ok(found) => Ok([Candidate::new(found, false, false)].into_iter().chain(substitute).collect()),
            Err(error) => substitute.map(|substitute| vec![substitute]).ok_or(error),
        }
    }

    /// Why another device is to be opened than the present one, which works: the default is another one now, or the one
    /// that is wanted is back. Asks the sound server, for some seconds at most.
    #[must_use]
    pub fn reason_to_change(&self) -> Option<String> {
        if let (true, Some(name)) = (self.is_substitute, &self.name)
            && find(Some(name)).is_ok()
        {
            return Some(format!("{name} is there again"));
        }
        if self.followed.is_none() && self.held.is_none() {
            return None;
        }
        let sources = sound_server::ask()?.sources;
        if self.held.as_ref().is_some_and(|held| !sources.iter().any(|source| source.name == *held)) {
            return Some("the sound server has it no more".to_owned());
        }
        let default = sources.into_iter().find(|source| source.is_default)?.name;
        let is_new = self.followed.as_ref().is_some_and(|followed| *followed != default);
        is_new.then(|| format!("the default input is {default} now"))
    }
}

/// A device that would do.
pub struct Candidate {
    /// The device.
    pub found: Found,
    /// Its callbacks are a sound server's.
    pub of_server: bool,
    /// The sound server's default source, where this is it.
    pub followed: Option<String>,
    /// The sound server's source, where it is one that was named.
    pub held: Option<String>,
    /// Whether another one is wanted.
    pub is_substitute: bool,
}

impl Candidate {
    fn new(found: Found, is_default: bool, is_substitute: bool) -> Self {
        let pcm = id_of(&found.device);
        let of_server = asound::leads_to_server(&pcm, Direction::Capture);
        let held = (!is_default && asound::is_added(&pcm)).then(|| found.id.clone());
        let followed = if is_default && of_server { default_of_server() } else { None };
        Self { found, of_server, followed, held, is_substitute }
    }
}

/// The name of the sound server's default source.
fn default_of_server() -> Option<String> {
    sound_server::ask()?.sources.into_iter().find(|source| source.is_default).map(|source| source.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_takes_a_place_where_that_is_said() {
        let wanted = |text| {
            let Wanted { name, or_default, .. } = Wanted::parse(text);
            (name, or_default)
        };
        assert_eq!(wanted(None), (None, false));
        assert_eq!(wanted(Some("default")), (None, false));
        assert_eq!(wanted(Some("hw:CARD=0,DEV=0")), (Some("hw:CARD=0,DEV=0".into()), false));
        assert_eq!(wanted(Some("Blue Yeti|default")), (Some("Blue Yeti".into()), true));
        assert_eq!(Wanted::parse(Some("yeti|default")).label(), "yeti");
    }
}
