//! The models that are known: file, size, hash, and where each comes from. One table; a file that is not here can be
//! added by its path.
//!
//! The hashes are those under which the files are published (their Git LFS object names).

use crate::error::StoreError;

/// Where whisper.cpp publishes its files.
pub const WHISPER_BASE: &str = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main/";

/// Where Silero publishes its detector, at the revision that is used here.
const SILERO_BASE: &str = "https://raw.githubusercontent.com/snakers4/silero-vad/\
                           7e30209a3e901f9842f81b225f3e93d8199902b1/src/silero_vad/data/";

/// The recogniser that a run uses when nothing else is said.
pub const DEFAULT_MODEL: &str = "tiny.en";

/// The voice detector.
pub const VOICE_DETECTOR: &str = "vad";

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Speech to text: a Whisper model as whisper.cpp reads it.
    Recogniser,
    /// Finds speech in sound.
    VoiceDetector,
}

/// A published file.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// What people call it.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: &'static str,
    /// What it is for.
    pub kind: Kind,
}

impl Entry {
    /// The name of its file, here and where it is published.
    #[must_use]
    pub fn file(&self) -> String {
        match self.kind {
            Kind::Recogniser => file_of(self.name),
            Kind::VoiceDetector => "silero_vad_16k_op15.onnx".into(),
        }
    }

    /// Where it is published.
    #[must_use]
    pub fn address(&self) -> String {
        let base = match self.kind {
            Kind::Recogniser => WHISPER_BASE,
            Kind::VoiceDetector => SILERO_BASE,
        };
        format!("{base}{}", self.file())
    }

    /// Whether it knows English only. The voice detector knows no language.
    #[must_use]
    pub fn is_english_only(&self) -> bool {
        self.name.split_once('.').is_some_and(|(_, rest)| rest.split('-').next() == Some("en"))
    }

    /// How its weights are stored: `f16`, or the name of a quantisation.
    #[must_use]
    pub fn weights(&self) -> &'static str {
        match self.name.rsplit_once('-') {
            Some((_, last)) if last.starts_with('q') => last,
            _ if self.kind == Kind::VoiceDetector => "f32",
            _ => "f16",
        }
    }

    /// The model that this one can be made from on this machine: the same with weights of 16 bits, of one with 8.
    #[must_use]
    pub fn made_from(&self) -> Option<&'static Self> {
        find(self.name.strip_suffix("-q8_0")?)
    }
}

/// The file of a recogniser by its name.
#[must_use]
pub fn file_of(name: &str) -> String {
    format!("ggml-{name}.bin")
}

/// The entry of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The entry of this name, or what was perhaps meant.
///
/// # Errors
/// [`StoreError::Unknown`].
pub fn entry(name: &str) -> Result<&'static Entry, StoreError> {
    find(name).ok_or_else(|| unknown(name, &[]))
}

/// That nothing has this name, with the names that look like it; `others` are names of files that were added.
pub(crate) fn unknown(name: &str, others: &[String]) -> StoreError {
    let bare = name.trim().to_ascii_lowercase();
    let bare = bare.strip_prefix("ggml-").unwrap_or(&bare);
    let bare = bare.strip_suffix(".bin").unwrap_or(bare);
    let names = ENTRIES.iter().map(|entry| entry.name).chain(others.iter().map(String::as_str));
    let mut close: Vec<(f64, &str)> = names.map(|known| (strsim::jaro_winkler(bare, known), known)).collect();
    close.retain(|(alike, _)| *alike > 0.84);
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    let close = close.into_iter().take(3).map(|(_, known)| known.to_owned()).collect();
    StoreError::Unknown { name: name.to_owned(), close }
}

const fn whisper(name: &'static str, bytes: u64, sha256: &'static str) -> Entry {
    Entry { name, bytes, sha256, kind: Kind::Recogniser }
}

/// Every published file, from small to large.
#[rustfmt::skip]
pub const ENTRIES: [Entry; 34] = [
    whisper("tiny", 77_691_713, "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21"),
    whisper("tiny-q5_1", 32_152_673, "818710568da3ca15689e31a743197b520007872ff9576237bda97bd1b469c3d7"),
    whisper("tiny-q8_0", 43_537_433, "c2085835d3f50733e2ff6e4b41ae8a2b8d8110461e18821b09a15c40c42d1cca"),
    whisper("tiny.en", 77_704_715, "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f"),
    whisper("tiny.en-q5_1", 32_166_155, "c77c5766f1cef09b6b7d47f21b546cbddd4157886b3b5d6d4f709e91e66c7c2b"),
    whisper("tiny.en-q8_0", 43_550_795, "5bc2b3860aa151a4c6e7bb095e1fcce7cf12c7b020ca08dcec0c6d018bb7dd94"),
    whisper("base", 147_951_465, "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe"),
    whisper("base-q5_1", 59_707_625, "422f1ae452ade6f30a004d7e5c6a43195e4433bc370bf23fac9cc591f01a8898"),
    whisper("base-q8_0", 81_768_585, "c577b9a86e7e048a0b7eada054f4dd79a56bbfa911fbdacf900ac5b567cbb7d9"),
    whisper("base.en", 147_964_211, "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002"),
    whisper("base.en-q5_1", 59_721_011, "4baf70dd0d7c4247ba2b81fafd9c01005ac77c2f9ef064e00dcf195d0e2fdd2f"),
    whisper("base.en-q8_0", 81_781_811, "a4d4a0768075e13cfd7e19df3ae2dbc4a68d37d36a7dad45e8410c9a34f8c87e"),
    whisper("small", 487_601_967, "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b"),
    whisper("small-q5_1", 190_085_487, "ae85e4a935d7a567bd102fe55afc16bb595bdb618e11b2fc7591bc08120411bb"),
    whisper("small-q8_0", 264_464_607, "49c8fb02b65e6049d5fa6c04f81f53b867b5ec9540406812c643f177317f779f"),
    whisper("small.en", 487_614_201, "c6138d6d58ecc8322097e0f987c32f1be8bb0a18532a3f88f734d1bbf9c41e5d"),
    whisper("small.en-q5_1", 190_098_681, "bfdff4894dcb76bbf647d56263ea2a96645423f1669176f4844a1bf8e478ad30"),
    whisper("small.en-q8_0", 264_477_561, "67a179f608ea6114bd3fdb9060e762b588a3fb3bd00c4387971be4d177958067"),
    whisper("medium", 1_533_763_059, "6c14d5adee5f86394037b4e4e8b59f1673b6cee10e3cf0b11bbdbee79c156208"),
    whisper("medium-q5_0", 539_212_467, "19fea4b380c3a618ec4723c3eef2eb785ffba0d0538cf43f8f235e7b3b34220f"),
    whisper("medium-q8_0", 823_369_779, "42a1ffcbe4167d224232443396968db4d02d4e8e87e213d3ee2e03095dea6502"),
    whisper("medium.en", 1_533_774_781, "cc37e93478338ec7700281a7ac30a10128929eb8f427dda2e865faa8f6da4356"),
    whisper("medium.en-q5_0", 539_225_533, "76733e26ad8fe1c7a5bf7531a9d41917b2adc0f20f2e4f5531688a8c6cd88eb0"),
    whisper("medium.en-q8_0", 823_382_461, "43fa2cd084de5a04399a896a9a7a786064e221365c01700cea4666005218f11c"),
    whisper("large-v1", 3_094_623_691, "7d99f41a10525d0206bddadd86760181fa920438b6b33237e3118ff6c83bb53d"),
    whisper("large-v2", 3_094_623_691, "9a423fe4d40c82774b6af34115b8b935f34152246eb19e80e376071d3f999487"),
    whisper("large-v2-q5_0", 1_080_732_091, "3a214837221e4530dbc1fe8d734f302af393eb30bd0ed046042ebf4baf70f6f2"),
    whisper("large-v2-q8_0", 1_656_129_691, "fef54e6d898246a65c8285bfa83bd1807e27fadf54d5d4e81754c47634737e8c"),
    whisper("large-v3", 3_095_033_483, "64d182b440b98d5203c4f9bd541544d84c605196c4f7b845dfa11fb23594d1e2"),
    whisper("large-v3-q5_0", 1_081_140_203, "d75795ecff3f83b5faa89d1900604ad8c780abd5739fae406de19f23ecd98ad1"),
    whisper("large-v3-turbo", 1_624_555_275, "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69"),
    whisper("large-v3-turbo-q5_0", 574_041_195, "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2"),
    whisper("large-v3-turbo-q8_0", 874_188_075, "317eb69c11673c9de1e1f0d459b253999804ec71ac4c23c17ecf5fbe24e259a1"),
    Entry {
        name: VOICE_DETECTOR,
        bytes: 1_289_603,
        sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
        kind: Kind::VoiceDetector,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_entry_has_a_name_a_file_and_a_hash_of_its_own() {
        let names: BTreeSet<_> = ENTRIES.iter().map(|entry| entry.name).collect();
        let files: BTreeSet<_> = ENTRIES.iter().map(Entry::file).collect();
        let hashes: BTreeSet<_> = ENTRIES.iter().map(|entry| entry.sha256).collect();
        for distinct in [names.len(), files.len(), hashes.len()] {
            assert_eq!(distinct, ENTRIES.len());
        }
        for entry in &ENTRIES {
            assert_eq!(entry.sha256.len(), 64, "{}", entry.name);
            assert!(entry.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{}", entry.name);
            assert!((1 << 20..4 << 30).contains(&entry.bytes), "{}", entry.name);
            assert!(entry.address().starts_with("https://") && entry.address().ends_with(&entry.file()));
        }
    }

    #[test]
    fn quantised_files_are_smaller_than_what_they_were_made_from() {
        for entry in ENTRIES.iter().filter(|entry| entry.weights().starts_with('q')) {
            let (whole, _) = entry.name.rsplit_once('-').unwrap();
            let whole = find(whole).unwrap_or_else(|| panic!("{} was made from something", entry.name));
            assert!(entry.bytes < whole.bytes * 6 / 10, "{}", entry.name);
        }
    }

    #[test]
    fn what_has_8_bits_is_made_from_what_has_16() {
        let of = |name: &str| find(name).unwrap().made_from().map(|entry| entry.name);
        assert_eq!(of("tiny.en-q8_0"), Some("tiny.en"));
        assert_eq!(of("large-v3-turbo-q8_0"), Some("large-v3-turbo"));
        for entry in &ENTRIES {
            assert_eq!(of(entry.name).is_some(), entry.weights() == "q8_0", "{}", entry.name);
            assert!(entry.made_from().is_none_or(|whole| whole.weights() == "f16"), "{}", entry.name);
        }
    }

    #[test]
    fn names_say_the_language_and_the_weights() {
        let of = |name: &str| find(name).map(|entry| (entry.is_english_only(), entry.weights()));
        assert_eq!(of("tiny.en"), Some((true, "f16")));
        assert_eq!(of("small.en-q5_1"), Some((true, "q5_1")));
        assert_eq!(of("large-v3-turbo"), Some((false, "f16")));
        assert_eq!(of("large-v3-turbo-q8_0"), Some((false, "q8_0")));
        assert_eq!(find(VOICE_DETECTOR).unwrap().kind, Kind::VoiceDetector);
        assert_eq!(find(DEFAULT_MODEL).unwrap().kind, Kind::Recogniser);
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_what_was_meant() {
        let close = |name: &str| match unknown(name, &["mine".into()]) {
            StoreError::Unknown { close, .. } => close,
            other => panic!("{other:?}"),
        };
        assert_eq!(close("tiny-en")[0], "tiny.en");
        assert_eq!(close("tyni.en")[0], "tiny.en");
        assert_eq!(close("ggml-base.en.bin")[0], "base.en");
        assert_eq!(close("large-turbo-v3")[0][..8], *"large-v3");
        assert_eq!(close("mina")[0], "mine");
        assert!(close("zebra").is_empty());
    }
}
