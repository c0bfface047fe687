//! Recordings that are cut off, in every format: they give what they have and say so. Whole ones never do.

use control_protocol::{Exit, SourceError};
use sound_files::{DecodeError, Decoded, Frames};
use std::path::{Path, PathBuf};

fn speech() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("speech")
}

struct Heard {
    sample_rate_hz: u32,
    samples: Vec<f32>,
    error: Option<SourceError>,
}

impl Heard {
    fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate_hz)
    }
}

fn hear(path: &Path) -> Result<Heard, DecodeError> {
    let mut file = Decoded::open(path)?;
    let sample_rate_hz = file.sample_rate_hz;
    let mut planar = vec![Vec::new(); file.channels];
    let error = loop {
        match file.next(&mut planar) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    Ok(Heard { sample_rate_hz, samples: planar.swap_remove(0), error })
}

fn clip(name: &str) -> Vec<u8> {
    std::fs::read(speech().join(name)).unwrap()
}

/// 16-bit samples of a WAV as every program writes it.
fn samples() -> Vec<i16> {
    let file = hound::WavReader::open(speech().join("librivox_0880.wav")).unwrap();
    file.into_samples::<i16>().map(Result::unwrap).collect()
}

fn big_endian() -> Vec<u8> {
    samples().iter().flat_map(|sample| sample.to_be_bytes()).collect()
}

fn aiff() -> Vec<u8> {
    let sound = big_endian();
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let frames = length(sound.len() / 2);
    // 16,000 as an 80-bit float.
    let rate = [0x40, 0x0C, 0xFA, 0, 0, 0, 0, 0, 0, 0];
    let head =
        [&b"FORM"[..], &length(sound.len() + 46), b"AIFFCOMM\0\0\0\x12\0\x01", &frames, b"\0\x10", &rate].concat();
    [&head[..], b"SSND", &length(sound.len() + 8), &[0; 8], &sound].concat()
}

fn caf(length: i64) -> Vec<u8> {
    let sound = big_endian();
    let length = if length == 0 { i64::try_from(sound.len()).unwrap() + 4 } else { length };
    let mut head = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
    head.extend(16_000_f64.to_be_bytes());
    head.extend(b"lpcm\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\0\0\x10");
    [&head[..], b"data", &length.to_be_bytes(), &[0; 4], &sound].concat()
}

/// The MP3 without its first frame, which says how many follow.
fn plain_mp3() -> Vec<u8> {
    let mut bytes = clip("formats/librivox_0880.mp3");
    let info = bytes.windows(4).position(|w| matches!(w, b"Info" | b"Xing")).unwrap();
    let starts = |at: usize| bytes[at] == 0xFF && bytes[at + 1] & 0xE0 == 0xE0;
    let first = (0..info).rev().find(|&at| starts(at)).unwrap();
    let second = (info..bytes.len()).find(|&at| starts(at) && bytes[at + 1] == bytes[first + 1]).unwrap();
    bytes.drain(..second);
    bytes
}

/// The M4A with its index before its sound, as files for the web have it.
fn index_in_front() -> Vec<u8> {
    let bytes = clip("formats/librivox_0880.m4a");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut boxes, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = at + number(at) as usize;
        boxes.push((bytes[at + 4..at + 8].to_vec(), bytes[at..end].to_vec()));
        at = end;
    }
    let mut index = boxes.iter().find(|(name, _)| name == b"moov").unwrap().1.clone();
    let by = u32::try_from(index.len()).unwrap();
    let table = index.windows(4).position(|w| w == b"stco").unwrap();
    let number = |index: &[u8], at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
    for entry in 0..number(&index, table + 8) as usize {
        let at = table + 12 + 4 * entry;
        let moved = (number(&index, at) + by).to_be_bytes();
        index[at..at + 4].copy_from_slice(&moved);
    }
    let first = boxes.remove(0).1;
    let rest = boxes.into_iter().filter(|(name, _)| name != b"moov").flat_map(|(_, bytes)| bytes);
    first.into_iter().chain(index).chain(rest).collect()
}

/// A name for the file, its bytes, and whether it says how long it is to be.
fn all_formats() -> Vec<(&'static str, Vec<u8>, bool)> {
    vec![
        ("talk.wav", clip("librivox_0880.wav"), true),
        ("talk.flac", clip("formats/librivox_0880.flac"), true),
        ("talk.mp3", clip("formats/librivox_0880.mp3"), true),
        ("plain.mp3", plain_mp3(), false),
        ("talk.ogg", clip("formats/librivox_0880.ogg"), false),
        ("talk.m4a", index_in_front(), true),
        ("talk.aiff", aiff(), true),
        ("talk.caf", caf(0), true),
    ]
}

#[test]
fn whole_recordings_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for folder in [speech(), speech().join("formats")] {
        let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.extend(all.filter(|path| path.is_file() && path.extension().is_some_and(|kind| kind != "json")));
    }
    assert!(files.len() >= 10, "{files:?}");
    for (name, bytes, _) in all_formats() {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        files.push(path);
    }
    for path in files {
        let heard = hear(&path).unwrap();
        assert_eq!(heard.error, None, "{}", path.display());
        assert!(heard.seconds() > 2.9, "{}: {} s", path.display(), heard.seconds());
    }
}

#[test]
fn a_recording_cut_off_gives_its_sound_and_says_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, tells_length) in all_formats() {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let whole = hear(&path).unwrap();
        let mut before = 0;
        for percent in [30, 50, 70] {
            // An odd length: a cut exactly between two frames of an MP3 without a table leaves no trace.
            std::fs::write(&path, &bytes[..(bytes.len() * percent / 100) | 1]).unwrap();
            let part = hear(&path).unwrap_or_else(|e| panic!("{percent} % of {name}: {e}"));
            let error = part.error.as_ref().unwrap_or_else(|| panic!("{percent} % of {name} is said to be whole"));
            assert_eq!(error.exit, Exit::CutOff, "{error:?}");
            let after = format!("{name}: cut off after {:.1} s", part.seconds());
            let all = if tells_length { format!("{after} of 3.") } else { after.clone() };
            assert!(error.reason.starts_with(&all), "{all:?}: {error:?}");
            assert!(tells_length || error.reason == after, "{error:?}");
            // What is there is the beginning of what was there: more of it each time, and the same.
            let count = part.samples.len();
            assert!(count > before && count < whole.samples.len(), "{percent} % of {name}: {count} samples");
            assert!(part.seconds() > whole.seconds() * percent as f64 / 100.0 - 0.7, "{percent} % of {name}");
            let settled = count - count / 10;
            assert_eq!(part.samples[..settled], whole.samples[..settled], "{percent} % of {name}");
            before = count;
        }
    }
}

#[test]
fn an_m4a_that_was_not_finished_says_that_its_index_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.m4a");
    let bytes = clip("formats/librivox_0880.m4a");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = hear(&path).err().unwrap();
    assert_eq!(error.exit(), Exit::NotAudio);
    let text = error.to_string();
    assert!(text.contains("talk.m4a: its index (moov) is missing, because the recording was not finished"), "{text}");
}

#[test]
fn a_length_that_was_not_known_is_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piped.wav");
    let bytes = clip("librivox_0880.wav");
    let at = bytes.windows(4).position(|w| w == b"data").unwrap();
    for unknown in [0, 0x7FFF_FFFF, u32::MAX] {
        let mut piped = bytes.clone();
        for field in [4, at + 4] {
            piped[field..field + 4].copy_from_slice(&u32::to_le_bytes(unknown));
        }
        std::fs::write(&path, &piped).unwrap();
        let heard = hear(&path).unwrap();
        assert_eq!((heard.error, heard.samples.len()), (None, samples().len()), "{unknown:x}");
    }
    std::fs::write(&path, caf(-1)).unwrap();
    let heard = hear(&path).unwrap();
    assert_eq!((heard.error, heard.samples.len()), (None, samples().len()));
}

#[test]
fn what_cannot_be_read_is_refused_by_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let error = hear(path).err().unwrap();
        (error.exit(), error.to_string())
    };
    let path = folder.path().join("talk.wav");
    let (exit, text) = refused(&path);
    assert!(exit == Exit::NoInput && text.contains("there is no such file"), "{text}");
    let (exit, text) = refused(folder.path());
    assert!(exit == Exit::NoInput && text.contains("it is a folder"), "{text}");
    std::fs::write(&path, "").unwrap();
    let (exit, text) = refused(&path);
    assert!(exit == Exit::NotAudio && text.contains("it is empty (0 bytes)"), "{text}");
    std::fs::write(&path, "a letter, and no sound at all, whatever its name says of it").unwrap();
    let (exit, text) = refused(&path);
    assert!(exit == Exit::NotAudio && text.contains("not an audio file"), "{text}");
    for (channels, sample_rate, named) in
        [(1, 4_000, "8000 to 192000 Hz"), (1, 384_000, "-ar 48000"), (65, 48_000, "-ac 1")]
    {
        let (bits_per_sample, sample_format) = (16, hound::SampleFormat::Int);
        let spec = hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..6_500).for_each(|_| writer.write_sample(1_000_i16).unwrap());
        writer.finalize().unwrap();
        let (exit, text) = refused(&path);
        assert!(exit == Exit::BadShape && text.contains(named) && text.contains("ffmpeg -i"), "{text}");
    }
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    hound::WavWriter::create(&path, spec).unwrap().finalize().unwrap();
    let (exit, text) = refused(&path);
    assert!(exit == Exit::NotAudio && text.contains("it holds no sound"), "{text}");
}
