//! The bounds of fields, held when a message gets its bytes and when bytes become a message.
//!
//! Names, paths and texts must be whole: one that is too long has no bytes. Prose for people is cut instead, so that a
//! long explanation is never the reason why nothing is explained. What comes from the other process must be within the
//! bounds in any case.
//!
//! Largest of all fields together, every message fits into [`crate::MESSAGE_BYTES_MAX`].

use serde::de::{Deserializer, Error, Visitor};

/// The longest path of a folder or of a model, in bytes.
pub const PATH_BYTES_MAX: usize = 1_000;

/// The longest URI of a source, in bytes.
pub const URI_BYTES_MAX: usize = 3_072;

/// The longest explanation for people, in bytes; a longer one is cut.
pub const REASON_BYTES_MAX: usize = 2_048;

/// The longest description of a source for people, in bytes; a longer one is cut.
pub const DESCRIPTION_BYTES_MAX: usize = 512;

/// The longest code of a language, in bytes.
pub const LANGUAGE_BYTES_MAX: usize = 16;

/// The longest name of a file, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// The most models of a worker.
pub const MODELS_MAX: usize = 8;

/// The longest paths of all models of a worker together, in bytes.
pub const MODELS_BYTES_MAX: usize = 2_000;

/// The longest text that goes before a task, in bytes.
pub const PROMPT_BYTES_MAX: usize = 1_024;

/// Frames from 0 to here have a place in messages: three million years at 48 kHz, and far enough from the end of 64
/// bits that no sum of two overflows.
pub const FRAMES_MAX: u64 = 1 << 62;

struct Within(usize);

impl Visitor<'_> for Within {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a text of at most {} bytes", self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if text.len() <= self.0 { Ok(text.to_owned()) } else { Err(E::invalid_length(text.len(), &self)) }
    }
}

fn read<'de, D: Deserializer<'de>>(from: D, bytes_max: usize) -> Result<String, D::Error> {
    from.deserialize_str(Within(bytes_max))
}

/// The beginning of a text that is too long, with a sign that it is one.
fn cut(text: &str, bytes_max: usize) -> String {
    const SIGN: &str = "...";
    let end = (0..=bytes_max.saturating_sub(SIGN.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}{SIGN}", &text[..end])
}

/// Fields of at most so many bytes, that must be whole.
macro_rules! whole {
    ($name:ident, $bytes_max:expr) => {
        pub(crate) mod $name {
            use serde::{Deserializer, Serializer, ser::Error};

            pub(crate) fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
                if text.len() > $bytes_max {
                    return Err(S::Error::custom("too long"));
                }
                to.serialize_str(text)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
                super::read(from, $bytes_max)
            }
        }
    };
}

/// Fields of at most so many bytes, that are cut where they are longer.
macro_rules! prose {
    ($name:ident, $bytes_max:expr) => {
        pub(crate) mod $name {
            use serde::{Deserializer, Serializer};

            pub(crate) fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
                if text.len() > $bytes_max {
                    return to.serialize_str(&super::cut(text, $bytes_max));
                }
                to.serialize_str(text)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
                super::read(from, $bytes_max)
            }
        }
    };
}

whole!(path, crate::PATH_BYTES_MAX);
whole!(uri, crate::URI_BYTES_MAX);
whole!(language, crate::LANGUAGE_BYTES_MAX);
whole!(word, crate::WORD_BYTES_MAX);
whole!(prompt, crate::PROMPT_BYTES_MAX);
prose!(reason, crate::REASON_BYTES_MAX);
prose!(description, crate::DESCRIPTION_BYTES_MAX);

/// A description that may be missing.
pub(crate) mod description_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Description(#[serde(with = "super::description")] String);

    pub(crate) fn serialize<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        text.clone().map(Description).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        Ok(Option::<Description>::deserialize(from)?.map(|Description(text)| text))
    }
}

/// A URI that may be missing.
pub(crate) mod uri_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Uri(#[serde(with = "super::uri")] String);

    pub(crate) fn serialize<S: Serializer>(uri: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        uri.clone().map(Uri).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        Ok(Option::<Uri>::deserialize(from)?.map(|Uri(uri)| uri))
    }
}

/// The name of a file in a folder that both processes know: never a way out of it.
pub(crate) mod file_name {
    use serde::{Deserializer, Serializer, de, ser};

    fn is_name(text: &str) -> bool {
        let plain = !text.contains(['/', '\0']) && !matches!(text, "" | "." | "..");
        plain && text.len() <= crate::FILE_NAME_BYTES_MAX
    }

    pub(crate) fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
        if is_name(text) { to.serialize_str(text) } else { Err(ser::Error::custom("no file name")) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text = super::read(from, crate::FILE_NAME_BYTES_MAX)?;
        if is_name(&text) { Ok(text) } else { Err(de::Error::custom("no file name")) }
    }
}

/// Such a name that may be missing.
pub(crate) mod file_name_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Name(#[serde(with = "super::file_name")] String);

    pub(crate) fn serialize<S: Serializer>(name: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        name.clone().map(Name).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        Ok(Option::<Name>::deserialize(from)?.map(|Name(name)| name))
    }
}

/// Words of one message.
pub(crate) mod words {
    use crate::{WORDS_MAX, Word};
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::{Serialize, Serializer, ser};

    struct Words;

    impl<'de> Visitor<'de> for Words {
        type Value = Vec<Word>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "at most {WORDS_MAX} words")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Vec<Word>, A::Error> {
            let mut read = Vec::new();
            while let Some(word) = words.next_element()? {
                if read.len() == WORDS_MAX {
                    return Err(A::Error::invalid_length(WORDS_MAX + 1, &self));
                }
                read.push(word);
            }
            Ok(read)
        }
    }

    pub(crate) fn serialize<S: Serializer>(words: &[Word], to: S) -> Result<S::Ok, S::Error> {
        if words.len() > WORDS_MAX {
            return Err(ser::Error::custom("too many words"));
        }
        words.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Word>, D::Error> {
        from.deserialize_seq(Words)
    }
}

/// Files of models: one at least.
pub(crate) mod models {
    use crate::{MODELS_BYTES_MAX, MODELS_MAX, PATH_BYTES_MAX};
    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::{Deserialize, Serialize, Serializer, ser};

    #[derive(Deserialize)]
    struct Path(#[serde(with = "super::path")] String);

    struct Models;

    impl<'de> Visitor<'de> for Models {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "1 to {MODELS_MAX} paths of {MODELS_BYTES_MAX} bytes together")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut models: A) -> Result<Vec<String>, A::Error> {
            let mut read = Vec::new();
            while let Some(Path(model)) = models.next_element()? {
                read.push(model);
                if read.len() > MODELS_MAX {
                    break;
                }
            }
            if fit(&read) { Ok(read) } else { Err(A::Error::invalid_length(read.len(), &self)) }
        }
    }

    fn fit(models: &[String]) -> bool {
        (1..=MODELS_MAX).contains(&models.len())
            && models.iter().all(|model| model.len() <= PATH_BYTES_MAX)
            && models.iter().map(String::len).sum::<usize>() <= MODELS_BYTES_MAX
    }

    pub(crate) fn serialize<S: Serializer>(models: &[String], to: S) -> Result<S::Ok, S::Error> {
        if fit(models) { models.serialize(to) } else { Err(ser::Error::custom("too many models, or none")) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        from.deserialize_seq(Models)
    }
}

/// Which of a worker's models.
pub(crate) mod model {
    use crate::MODELS_MAX;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(crate) fn serialize<S: Serializer>(model: &u8, to: S) -> Result<S::Ok, S::Error> {
        if usize::from(*model) < MODELS_MAX { to.serialize_u8(*model) } else { Err(ser::Error::custom("no model")) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        let model = u8::deserialize(from)?;
        if usize::from(model) < MODELS_MAX { Ok(model) } else { Err(de::Error::custom("no model")) }
    }
}

/// A count of frames.
pub(crate) mod frames {
    use crate::FRAMES_MAX;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(crate) fn serialize<S: Serializer>(frames: &u64, to: S) -> Result<S::Ok, S::Error> {
        if *frames <= FRAMES_MAX { to.serialize_u64(*frames) } else { Err(ser::Error::custom("too many frames")) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let frames = u64::deserialize(from)?;
        if frames <= FRAMES_MAX { Ok(frames) } else { Err(de::Error::custom("too many frames")) }
    }
}

/// A count of frames that may be missing.
pub(crate) mod frames_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Frames(#[serde(with = "super::frames")] u64);

    pub(crate) fn serialize<S: Serializer>(frames: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        frames.map(Frames).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Frames>::deserialize(from)?.map(|Frames(frames)| frames))
    }
}

/// A frame index.
pub(crate) mod frame {
    use serde::{Deserializer, Serializer};
    use shm_layout::FrameIndex;

    pub(crate) fn serialize<S: Serializer>(frame: &FrameIndex, to: S) -> Result<S::Ok, S::Error> {
        super::frames::serialize(&frame.0, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<FrameIndex, D::Error> {
        super::frames::deserialize(from).map(FrameIndex)
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn prose_is_cut_between_letters() {
        assert_eq!(cut("a long story", 9), "a long...");
        assert_eq!(cut("ääääää", 9), "äää...");
        assert_eq!(cut("ääääää", 2), "...");
    }
}
