//! Which of a model's attention heads follow the sound: what word times are read from.
//!
//! whisper.cpp knows them for the published models by name (`whisper_alignment_heads_preset`, from OpenAI's
//! `_ALIGNMENT_HEADS`). A file does not say its name, but its dimensions do, in the header's first words (whisper.cpp,
//! `whisper_model_load`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use whisper_rs::{DtwMode, DtwModelPreset};

const MAGIC: u32 = 0x6767_6d6c;
/// Words of the header: the magic, and eleven numbers.
const HEADER_WORDS: usize = 12;

/// What a model file says of its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dimensions {
    vocabulary: u32,
    audio_layers: u32,
    text_layers: u32,
    mel_bands: u32,
}

/// The heads for the model of this file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn of(path: &Path) -> io::Result<DtwMode<'static>> {
    let mut bytes = [0; HEADER_WORDS * 4];
    File::open(path)?.read_exact(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    let word = |at: usize| u32::from_le_bytes(words[at]);
    if word(0) != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a Whisper model"));
    }
    Ok(heads(Dimensions { vocabulary: word(1), audio_layers: word(5), text_layers: word(9), mel_bands: word(10) }))
}

fn heads(model: Dimensions) -> DtwMode<'static> {
    // English only is one token less.
    let english = model.vocabulary < 51_865;
    let preset = match (model.audio_layers, model.text_layers) {
        (4, 4) if english => DtwModelPreset::TinyEn,
        (4, 4) => DtwModelPreset::Tiny,
        (6, 6) if english => DtwModelPreset::BaseEn,
        (6, 6) => DtwModelPreset::Base,
        (12, 12) if english => DtwModelPreset::SmallEn,
        (12, 12) => DtwModelPreset::Small,
        (24, 24) if english => DtwModelPreset::MediumEn,
        (24, 24) => DtwModelPreset::Medium,
        (32, 32) if model.mel_bands > 80 => DtwModelPreset::LargeV3,
        // The first one has the same dimensions; people who still have it get times that are a little worse.
        (32, 32) => DtwModelPreset::LargeV2,
        (32, 4) => DtwModelPreset::LargeV3Turbo,
        // Distilled and unknown ones: the upper half of the layers.
        (_, layers) => return DtwMode::TopMost { n_top: i32::try_from(layers.div_ceil(2)).unwrap_or(1).max(1) },
    };
    DtwMode::ModelPreset { model_preset: preset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_dimensions() {
        let heads = |vocabulary, layers, mel_bands| {
            let (audio_layers, text_layers) = layers;
            format!("{:?}", heads(Dimensions { vocabulary, audio_layers, text_layers, mel_bands }))
        };
        assert!(heads(51_864, (4, 4), 80).contains("TinyEn"));
        assert!(heads(51_865, (6, 6), 80).ends_with("Base }"));
        assert!(heads(51_866, (32, 32), 128).contains("LargeV3 "));
        assert!(heads(51_866, (32, 4), 128).contains("Turbo"));
        assert!(heads(51_864, (12, 2), 80).contains("n_top: 1"), "a distilled one");
    }

    #[test]
    fn a_file_that_is_no_model_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(of(file.path()).is_err());
        std::fs::write(file.path(), [7; 100]).expect("written");
        assert!(of(file.path()).is_err());
    }
}
