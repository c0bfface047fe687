//! What a file's own structure says about its end: whether the recording is whole.
//!
//! Only headers are read, never sound, and every length is an allegation. Lengths that are not true (a program that
//! writes into a pipe does not know them; a file that is cut off promises too much) come with a correction, so that
//! the decoder reads what is there.

use std::io::{self, Read, Seek, SeekFrom};

/// How a file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Where its structure says, or it says nothing and anything is right.
    Whole,
    /// Before.
    Cut,
    /// This kind of file does not say it in its headers.
    Unknown,
}

/// What a file's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Structure {
    pub end: End,
    /// Bytes to be read in the place of the file's own, by position.
    pub corrections: Vec<(u64, Vec<u8>)>,
    /// Bytes of sound: those that are there and those that were promised, where the first was corrected to.
    pub present_of: Option<(u64, u64)>,
    /// Channels and rate, where they have to be known before the decoder sees the file.
    pub shape: Option<(u32, u32)>,
    /// An MP4 without the index that is written last.
    pub lacks_index: bool,
}

impl Structure {
    pub(crate) const fn new(end: End) -> Self {
        Self { end, corrections: Vec::new(), present_of: None, shape: None, lacks_index: false }
    }

    const fn of(is_cut: bool) -> Self {
        Self::new(if is_cut { End::Cut } else { End::Whole })
    }
}

/// From here on a length means "to the end": what programs write that do not know it, with or without its last bits.
const UNKNOWN_LENGTH_MIN: u32 = 0x7FFF_F000;

/// Looks at a file and leaves it anywhere.
pub(crate) fn look(file: &mut (impl Read + Seek)) -> io::Result<Structure> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut walk = Walk { file, length };
    let mut head = [0; 12];
    if !walk.read_at(0, &mut head)? {
        return Ok(Structure::new(End::Unknown));
    }
    match (&head[..4], &head[4..8], &head[8..]) {
        (b"RIFF" | b"RF64", _, b"WAVE") => walk.wav(&head),
        (b"FORM", _, b"AIFF" | b"AIFC") => walk.aiff(),
        (b"caff", ..) => walk.caf(),
        (b"OggS", ..) => walk.ogg(),
        ([0x1A, 0x45, 0xDF, 0xA3], ..) => walk.matroska(),
        (_, b"ftyp" | b"moov" | b"mdat" | b"styp", _) => walk.mp4(),
        _ => Ok(Structure::new(End::Unknown)),
    }
}

struct Walk<'a, F> {
    file: &'a mut F,
    length: u64,
}

impl<F: Read + Seek> Walk<'_, F> {
    /// Fills `bytes` from `at`; `false` when the file ends before.
    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(at))?;
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn wav(&mut self, riff: &[u8; 12]) -> io::Result<Structure> {
        let (mut long_bytes, mut shape) = (None, None);
        let (mut at, mut head) = (12, [0; 8]);
        while self.read_at(at, &mut head)? {
            let bytes = u32_le(&head[4..]);
            if &head[..4] == b"ds64" {
                let mut part = [0; 16];
                if self.read_at(at + 8, &mut part)? {
                    long_bytes = part[8..].try_into().ok().map(u64::from_le_bytes);
                }
            }
            if &head[..4] == b"fmt " {
                let mut part = [0; 8];
                if self.read_at(at + 8, &mut part)? {
                    shape = Some((u32::from(part[2]) | u32::from(part[3]) << 8, u32_le(&part[4..])));
                }
            }
            if &head[..4] == b"data" {
                let present = self.length - (at + 8);
                let riff_is_true = u64::from(u32_le(&riff[4..8])) + 8 == self.length;
                let declared = match (bytes, long_bytes) {
                    (u32::MAX, Some(long)) if long > 0 => Some(long),
                    (0, _) if present > 0 && !riff_is_true => None,
                    (UNKNOWN_LENGTH_MIN.., _) if u64::from(bytes) > present => None,
                    _ => Some(u64::from(bytes)),
                };
                let mut structure =
                    Structure { shape, ..Structure::of(declared.is_some_and(|declared| declared > present)) };
                if &riff[..4] == b"RF64" || declared.is_none() {
                    let told = declared.and_then(|declared| u32::try_from(declared).ok()).unwrap_or(u32::MAX);
                    structure.corrections =
                        vec![(0, b"RIFF\xFF\xFF\xFF\xFF".to_vec()), (at + 4, told.to_le_bytes().to_vec())];
                }
                return Ok(structure);
            }
            at += 8 + u64::from(bytes) + u64::from(bytes % 2);
        }
        // It ends before its sound.
        Ok(Structure::new(End::Cut))
    }

    fn aiff(&mut self) -> io::Result<Structure> {
        let (mut at, mut head) = (12, [0; 8]);
        while self.read_at(at, &mut head)? {
            let bytes = u32_be(&head[4..]);
            if &head[..4] == b"SSND" && bytes > 0 {
                let present = self.length - (at + 8);
                if u64::from(bytes) <= present {
                    return Ok(Structure::new(End::Whole));
                }
                let (Ok(there), Ok(form)) = (u32::try_from(present), u32::try_from(self.length - 8)) else {
                    return Ok(Structure::new(End::Cut));
                };
                return Ok(Structure {
                    corrections: vec![(4, form.to_be_bytes().to_vec()), (at + 4, there.to_be_bytes().to_vec())],
                    present_of: Some((present, bytes.into())),
                    ..Structure::new(if bytes < UNKNOWN_LENGTH_MIN { End::Cut } else { End::Whole })
                });
            }
            at += 8 + u64::from(bytes) + u64::from(bytes % 2);
        }
        Ok(Structure::new(End::Unknown))
    }

    fn caf(&mut self) -> io::Result<Structure> {
        let (mut at, mut head) = (8_u64, [0; 12]);
        while self.read_at(at, &mut head)? {
            let bytes = u64_be(&head[4..]);
            if &head[..4] == b"data" {
                let present = self.length - (at + 12);
                if bytes <= present {
                    return Ok(Structure::new(End::Whole));
                }
                let corrections = vec![(at + 4, present.to_be_bytes().to_vec())];
                // All ones: not known.
                if bytes == u64::MAX {
                    return Ok(Structure { corrections, ..Structure::new(End::Whole) });
                }
                return Ok(Structure { corrections, present_of: Some((present, bytes)), ..Structure::new(End::Cut) });
            }
            at = at.saturating_add(12).saturating_add(bytes);
        }
        Ok(Structure::new(End::Cut))
    }

    /// The last page says that it is the last.
    fn ogg(&mut self) -> io::Result<Structure> {
        const LAST_PAGE: u8 = 4;
        /// No page is longer.
        const PAGE_BYTES_MAX: u64 = 27 + 255 + 255 * 255;
        let from = self.length.saturating_sub(2 * PAGE_BYTES_MAX);
        self.file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        self.file.take(2 * PAGE_BYTES_MAX).read_to_end(&mut tail)?;
        let Some(at) = tail.windows(5).rposition(|w| w == b"OggS\0") else { return Ok(Structure::new(End::Unknown)) };
        let page = &tail[at..];
        let lacing = page.get(26).and_then(|&count| page.get(27..27 + usize::from(count)));
        let Some(lacing) = lacing else { return Ok(Structure::new(End::Cut)) };
        let body: usize = lacing.iter().map(|&n| usize::from(n)).sum();
        if page.len() >= 27 + lacing.len() + body {
            return Ok(Structure::of(page[5] & LAST_PAGE == 0));
        }
        let head = shortened_page(&page[..27 + lacing.len()], &page[27 + lacing.len()..]);
        Ok(Structure { corrections: vec![(from + at as u64, head)], ..Structure::new(End::Cut) })
    }

    fn mp4(&mut self) -> io::Result<Structure> {
        let (mut at, mut head) = (0_u64, [0; 8]);
        let (mut has_index, mut is_cut, mut corrections) = (false, false, Vec::new());
        while self.read_at(at, &mut head)? {
            let mut bytes = u64::from(u32_be(&head[..4]));
            if bytes == 1 {
                let mut long = [0; 8];
                is_cut |= !self.read_at(at + 8, &mut long)?;
                bytes = u64::from_be_bytes(long);
            }
            let end = if bytes == 0 { self.length } else { at.saturating_add(bytes.max(8)) };
            if end > self.length {
                is_cut = true;
                // To the end of the file, and to be passed over if it is not sound.
                let name = if &head[4..] == b"mdat" { b"mdat" } else { b"free" };
                corrections.push((at, [&[0; 4], &name[..]].concat()));
            }
            has_index |= &head[4..] == b"moov";
            at = end;
        }
        Ok(Structure { lacks_index: !has_index, corrections, ..Structure::of(is_cut) })
    }

    fn matroska(&mut self) -> io::Result<Structure> {
        const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
        let Some((bytes, at)) = self.vint(4)? else { return Ok(Structure::new(End::Unknown)) };
        let at = at.saturating_add(bytes.unwrap_or(0));
        let mut id = [0; 4];
        if !self.read_at(at, &mut id)? || id != SEGMENT {
            return Ok(Structure::new(End::Unknown));
        }
        Ok(match self.vint(at + 4)? {
            Some((Some(bytes), body)) => Structure::of(body.saturating_add(bytes) > self.length),
            _ => Structure::new(End::Unknown),
        })
    }

    /// A length as Matroska writes it (`None`: not known), and the position behind it.
    fn vint(&mut self, at: u64) -> io::Result<Option<(Option<u64>, u64)>> {
        let mut first = [0];
        if !self.read_at(at, &mut first)? || first[0] == 0 {
            return Ok(None);
        }
        let bytes = first[0].leading_zeros() as usize + 1;
        let mut word = [0; 8];
        if !self.read_at(at, &mut word[8 - bytes..])? {
            return Ok(None);
        }
        let ones = (1_u64 << (7 * bytes)) - 1;
        let value = u64::from_be_bytes(word) & ones;
        Ok(Some(((value != ones).then_some(value), at + bytes as u64)))
    }
}

/// The head of an Ogg page whose body is cut off: with the packets that are there, and the check sum of what is left.
fn shortened_page(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut head = head.to_vec();
    let (mut bytes, mut whole_bytes, mut whole_segments) = (0, 0, 0);
    for (at, &segment) in head[27..].iter().enumerate() {
        bytes += usize::from(segment);
        if bytes <= body.len() && segment < 255 {
            (whole_bytes, whole_segments) = (bytes, at + 1);
        }
    }
    head[27 + whole_segments..].fill(0);
    head[22..26].fill(0);
    let mut sum = 0_u32;
    for &byte in head.iter().chain(&body[..whole_bytes]) {
        sum ^= u32::from(byte) << 24;
        for _ in 0..8 {
            sum = if sum & 0x8000_0000 == 0 { sum << 1 } else { sum << 1 ^ 0x04C1_1DB7 };
        }
    }
    head[22..26].copy_from_slice(&sum.to_le_bytes());
    head
}

fn u32_le(bytes: &[u8]) -> u32 {
    bytes[..4].try_into().map_or(0, u32::from_le_bytes)
}

fn u32_be(bytes: &[u8]) -> u32 {
    bytes[..4].try_into().map_or(0, u32::from_be_bytes)
}

fn u64_be(bytes: &[u8]) -> u64 {
    bytes[..8].try_into().map_or(0, u64::from_be_bytes)
}

/// A file with some bytes read as others.
pub(crate) struct Corrected<F> {
    pub file: F,
    pub at: u64,
    pub length: u64,
    pub corrections: Vec<(u64, Vec<u8>)>,
}

impl<F: Read> Read for Corrected<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        let here = self.at..self.at + read as u64;
        for (from, bytes) in &self.corrections {
            for (position, byte) in (*from..).zip(bytes) {
                if here.contains(&position) {
                    into[usize::try_from(position - here.start).unwrap_or(0)] = *byte;
                }
            }
        }
        self.at = here.end;
        Ok(read)
    }
}

impl<F: Seek> Seek for Corrected<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

impl<F: Read + Seek + Send + Sync> symphonia::core::io::MediaSource for Corrected<F> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn end(bytes: &[u8]) -> End {
        look(&mut Cursor::new(bytes)).unwrap().end
    }

    fn formats(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../speech/formats/librivox_0880.{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn a_wav_says_where_it_ends_or_that_it_does_not_know() {
        let whole = crate::decode::DEMO_CLIP;
        assert_eq!((end(whole), end(&whole[..whole.len() / 2])), (End::Whole, End::Cut));
        let at = whole.windows(4).position(|w| w == b"data").unwrap();
        for unknown in [0, 0x7FFF_F123, u32::MAX] {
            let mut piped = whole.to_vec();
            piped[4..8].copy_from_slice(&unknown.to_le_bytes());
            piped[at + 4..at + 8].copy_from_slice(&unknown.to_le_bytes());
            let structure = look(&mut Cursor::new(&piped)).unwrap();
            assert_eq!((structure.end, structure.corrections.len()), (End::Whole, 2), "{unknown:x}");
        }
    }

    #[test]
    fn an_ogg_has_a_last_page_and_an_mp4_an_index() {
        for name in ["ogg", "m4a"] {
            let whole = formats(name);
            assert_eq!(end(&whole), End::Whole, "{name}");
            for percent in [30, 50, 70, 95] {
                assert_eq!(end(&whole[..whole.len() * percent / 100]), End::Cut, "{name} at {percent} %");
            }
        }
    }

    #[test]
    fn corrected_bytes_are_read_wherever_reading_begins() {
        let corrections = vec![(3, b"xyz".to_vec())];
        let mut file = Corrected { file: Cursor::new(b"0123456789"), at: 0, length: 10, corrections };
        let mut all = String::new();
        file.read_to_string(&mut all).unwrap();
        assert_eq!(all, "012xyz6789");
        file.seek(SeekFrom::Start(4)).unwrap();
        all.clear();
        file.read_to_string(&mut all).unwrap();
        assert_eq!(all, "yz6789");
    }

    proptest! {
        #[test]
        fn any_bytes_at_all_do_no_harm(
            head in prop::sample::select(vec![
                &b"RIFF\0\0\0\0WAVE"[..], b"RF64\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"caff\0\x01\0\0", b"OggS\0",
                b"\x1A\x45\xDF\xA3", b"\0\0\0\x08ftyp",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [head, &rest].concat();
            look(&mut Cursor::new(bytes)).unwrap();
        }
    }
}
