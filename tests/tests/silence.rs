//! Where nobody speaks there are no words: each sound goes through listener and workers, and a sentence at its end is
//! written down, so that it was heard.

use anyhow::{Context, Result, ensure};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use system_tests::*;

/// Said at the end of each sound.
const CLIP: &str = "librivox_0880.wav";
/// Silence before it: longer than what is heard before the first sign of speech.
const BEFORE_S: u32 = 1;

/// Seconds of each sound: ten minutes, or one in the short run.
fn length_s() -> u32 {
    if long() { 600 } else { 60 }
}

fn write(path: &std::path::Path, samples: impl Iterator<Item = i16>) -> Result<()> {
    let spec =
        WavSpec { channels: 1, sample_rate: SOUNDS_RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec)?;
    for sample in samples {
        writer.write_sample(sample)?;
    }
    Ok(writer.finalize()?)
}

/// Whether an event has words.
fn words_of_event(event: &Event) -> Option<&str> {
    let worded = ["final", "partial", "committed"].iter().any(|kind| event.is(kind));
    event.fields["text"].as_str().filter(|text| worded && text.chars().any(char::is_alphanumeric))
}

#[test]
fn nobody_speaks_and_nothing_is_written_down() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip: Vec<i16> = WavReader::open(clip_file(CLIP))?.into_samples().collect::<Result<_, _>>()?;
    let mut sources = Vec::new();
    for sound in Sound::ALL {
        let path = folder.path().join(format!("{}.wav", sound.name()));
        let before = vec![0; (BEFORE_S * SOUNDS_RATE_HZ) as usize];
        write(&path, [sound.samples(length_s()), before, clip.clone()].into_iter().flatten())?;
        sources.push(format!("{}=file:{}", sound.name(), path.display()));
    }
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let mut instance = Setup::run(&sources).arg("--fast").start()?;
    instance.wait_event("the end", watchdog(f64::from(length_s())), |event| event.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;

    let sentence = normalise(&[&Speech::join(&[CLIP])?.transcript()])?.remove(0);
    let mut invented = Vec::new();
    for sound in Sound::ALL {
        let events = instance.log().all()?;
        let worded = events.iter().filter(|event| event.fields["stream"] == sound.name());
        let worded: Vec<(f64, &str)> = worded
            .filter_map(|event| words_of_event(event).map(|text| (event, text)))
            .map(|(event, text)| Ok((event.number("start_s")?, text)))
            .collect::<Result<_>>()?;
        let (spoken, others): (Vec<_>, Vec<_>) =
            worded.into_iter().partition(|(start_s, _)| *start_s >= f64::from(length_s()));
        invented
            .extend(others.into_iter().map(|(start_s, text)| format!("{} at {start_s:.2} s: {text}", sound.name())));
        // What was said in the end was heard, and nothing was made up with it.
        let texts: Vec<_> = spoken.iter().map(|(_, text)| *text).collect();
        let said = normalise(&[&texts.join(" ")])?.remove(0);
        let errors = align(&sentence, &said);
        let heard = errors.errors() * 2 <= errors.words && errors.insertions <= 1;
        ensure!(heard, "{}: {errors:?}: {said:?}", sound.name());
    }
    eprintln!("{} words of nobody", invented.len());
    ensure!(invented.is_empty(), "words that nobody said:\n{}", invented.join("\n"));
    let status = instance.log().all()?.pop().context("events")?;
    ensure!(status.fields["lost_frames"] == 0, "{}", status.fields);
    instance.assert_clean()
}
