//! What can be set, in one table: the file, the variables, the flags and the help all come from here.

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A path; `~/` at its beginning is the home folder.
    Path,
    /// A whole number in this range.
    Count(u32, u32),
    /// One of these.
    Choice(&'static [&'static str]),
    /// A list of texts; in a variable, one a line or separated by semicolons.
    List,
    /// A text for all streams, or a list in which `STREAM=TEXT` is for one; in a variable as a list.
    Each,
    /// As `Each`; a text may be the path of a file, with any character in it.
    EachFile,
}

/// One thing that can be set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// `section.name` of the file.
    pub name: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// The flag, where a command has one.
    pub flag: Option<&'static str>,
    /// What fits.
    pub kind: Kind,
    /// Its value as TOML when nobody sets it; empty when something else decides.
    pub default: &'static str,
    /// For people: what it is, with its unit.
    pub help: &'static str,
}

pub(crate) static SOURCES: Key = Key {
    name: "sound.sources",
    variable: "TYMPAN_SOURCES",
    flag: Some("SOURCE"),
    kind: Kind::List,
    default: "",
    help: "What `tympan run` listens to when no source is named; without it, the default microphone.",
};
pub(crate) static RATE: Key = Key {
    name: "sound.rate",
    variable: "TYMPAN_RATE",
    flag: Some("--rate"),
    kind: Kind::Count(8_000, 192_000),
    default: "48000",
    help: "Rate of the rings, in Hz.",
};
pub(crate) static HISTORY: Key = Key {
    name: "sound.history",
    variable: "TYMPAN_HISTORY",
    flag: Some("--history"),
    kind: Kind::Count(5, 3_600),
    default: "30",
    help: "History kept in each ring, in seconds.",
};
pub(crate) static RESAMPLING: Key = Key {
    name: "sound.resampling",
    variable: "TYMPAN_RESAMPLING",
    flag: Some("--resampling"),
    kind: Kind::Choice(&["fast", "normal", "best"]),
    default: "\"normal\"",
    help: "How much is computed to resample devices that do not lead the clock: \"fast\" passes 16 kHz at 48 kHz and is for speech, \"normal\" 19 kHz, \"best\" 21.6 kHz.",
};
pub(crate) static CUSHION: Key = Key {
    name: "sound.cushion",
    variable: "TYMPAN_CUSHION",
    flag: Some("--cushion"),
    kind: Kind::Count(0, 200),
    default: "0",
    help: "How much of a device's sound is kept ready for callbacks that are late, in ms; 0 is 3 where they have real-time priority, and 40 with a sound server or without that. It grows by itself when sound is late.",
};
pub(crate) static MIX: Key = Key {
    name: "sound.mix",
    variable: "TYMPAN_MIX",
    flag: Some("--mix"),
    kind: Kind::List,
    default: "[]",
    help: "How streams go into the mix, as `tympan mix set` says it: [\"mic gain=-6dB pan=-0.3\", \"mix ceiling=-1dB\"].",
};
pub(crate) static OUTPUT: Key = Key {
    name: "sound.output",
    variable: "TYMPAN_OUTPUT",
    flag: Some("--output"),
    kind: Kind::Text,
    default: "\"off\"",
    help: "What is played to: a name that `tympan output list` shows, \"default\" for the one the desktop has chosen, or \"off\".",
};
pub(crate) static OUTPUT_STREAM: Key = Key {
    name: "sound.output_stream",
    variable: "TYMPAN_OUTPUT_STREAM",
    flag: Some("--output-stream"),
    kind: Kind::Text,
    default: "\"mix\"",
    help: "What is played there: a stream, or \"mix\". A microphone that hears the speaker hears itself, unless it is mute in the mix.",
};
pub(crate) static MODEL: Key = Key {
    name: "words.model",
    variable: "TYMPAN_MODEL",
    flag: Some("--model"),
    kind: Kind::EachFile,
    default: "\"tiny.en\"",
    help: "Whisper model: a name that `tympan model list` shows, or the path of a ggml file; [\"tiny.en\", \"mic=base\"] has another one for the stream mic.",
};
pub(crate) static LANGUAGE: Key = Key {
    name: "words.language",
    variable: "TYMPAN_LANGUAGE",
    flag: Some("--language"),
    kind: Kind::Each,
    default: "\"en\"",
    help: "Spoken language: a code such as \"en\" or \"de\", or \"auto\"; [\"en\", \"mic=de\"] has another one for the stream mic. Models ending in .en know English only.",
};
pub(crate) static HANGOVER: Key = Key {
    name: "words.hangover",
    variable: "TYMPAN_HANGOVER",
    flag: Some("--hangover"),
    kind: Kind::Count(100, 5_000),
    default: "280",
    help: "How long a pause ends an utterance, in ms. Shorter gives the final text sooner, and cuts more sentences in two.",
};
pub(crate) static WORKERS: Key = Key {
    name: "words.workers",
    variable: "TYMPAN_WORKERS",
    flag: Some("--workers"),
    kind: Kind::Count(1, 64),
    default: "2",
    help: "Transcribing processes. Each holds the model in memory.",
};
pub(crate) static THREADS: Key = Key {
    name: "words.threads",
    variable: "TYMPAN_THREADS",
    flag: Some("--threads"),
    kind: Kind::Count(1, 64),
    default: "1",
    help: "Threads of each transcribing process. More processes do more than more threads.",
};
pub(crate) static MEMORY: Key = Key {
    name: "words.memory",
    variable: "TYMPAN_MEMORY",
    flag: Some("--memory"),
    kind: Kind::Count(0, 1_000_000),
    default: "0",
    help: "Memory that each transcribing process may take before it is replaced, in MB; 0 is four times its models and 1 GB.",
};
pub(crate) static RUNTIME_DIR: Key = Key {
    name: "folders.runtime",
    variable: "TYMPAN_RUNTIME_DIR",
    flag: None,
    kind: Kind::Path,
    default: "",
    help: "Rings and control socket, in memory. Without it, /dev/shm/tympan-<uid>, or $XDG_RUNTIME_DIR/tympan where that is too small.",
};
pub(crate) static DATA_DIR: Key = Key {
    name: "folders.data",
    variable: "TYMPAN_DATA_DIR",
    flag: None,
    kind: Kind::Path,
    default: "",
    help: "Sound that waits to be written down. Without it, $XDG_DATA_HOME/tympan, or ~/.local/share/tympan.",
};
pub(crate) static MODELS_DIR: Key = Key {
    name: "folders.models",
    variable: "TYMPAN_MODELS_DIR",
    flag: None,
    kind: Kind::Path,
    default: "",
    help: "Models. Without it, $XDG_CACHE_HOME/tympan/models, or ~/.cache/tympan/models.",
};
pub(crate) static MODEL_URL: Key = Key {
    name: "models.url",
    variable: "TYMPAN_MODEL_URL",
    flag: None,
    kind: Kind::Text,
    default: "",
    help: "A mirror that models are fetched from; without it, whisper.cpp's published home.",
};

/// All of them, in the order of the file.
pub(crate) static ALL: [&Key; 18] = [
    &SOURCES,
    &RATE,
    &HISTORY,
    &RESAMPLING,
    &CUSHION,
    &MIX,
    &OUTPUT,
    &OUTPUT_STREAM,
    &MODEL,
    &LANGUAGE,
    &HANGOVER,
    &WORKERS,
    &THREADS,
    &MEMORY,
    &RUNTIME_DIR,
    &DATA_DIR,
    &MODELS_DIR,
    &MODEL_URL,
];

/// Variables that are ours and no settings.
pub(crate) const OTHER_VARIABLES: [&str; 3] = ["TYMPAN_CONFIG", "TYMPAN_LIBEXEC", "TYMPAN_LONG"];

impl Key {
    /// Its section and its name in it.
    pub(crate) fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// What fits, for people.
    pub(crate) fn expected(&self) -> String {
        match self.kind {
            Kind::Text => "a text in quotes".into(),
            Kind::Path => "a path in quotes".into(),
            Kind::Count(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Choice(choices) => format!("one of \"{}\"", choices.join("\", \"")),
            Kind::List => "a list of texts, such as [\"device:\"]".into(),
            Kind::Each => "a text in quotes, or a list such as [\"en\", \"mic=de\"]".into(),
            Kind::EachFile => "a text in quotes, or a list such as [\"tiny.en\", \"mic=base\"]".into(),
        }
    }
}

/// The known word that is most like this one, when one is like it.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |other: &str| strsim::jaro_winkler(word, other);
    let best = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.75).then_some(best)
}
