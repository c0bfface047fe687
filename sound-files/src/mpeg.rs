//! MPEG audio (MP3, and AAC in its plain stream) frame by frame: whether such a file ends inside a frame, or before
//! the number of frames that its first one promises. Only headers are read.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Whether the file ends too early.
pub(crate) struct Ending {
    pub is_cut: bool,
    /// Whether its first frame says how many there are (Xing, Info, VBRI).
    pub promises: bool,
}

/// Frames of one file; each header says how long its frame is.
struct Header {
    bytes: u64,
    /// What does not change within a file: version, layer, rate.
    kind: [u8; 2],
    /// Where the Xing table stands, behind the header.
    xing_at: usize,
}

/// The longest beginning that is looked at: of a frame, or of a tag.
const HEAD_BYTES: usize = 11;

/// Walks through the whole file.
pub(crate) fn ending(file: impl Read + Seek) -> io::Result<Ending> {
    let mut file = io::BufReader::with_capacity(1 << 16, file);
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = skip_tags(&mut file)?;
    let (mut frames, mut end_of_last) = (0_u64, 0);
    let mut promised = None;
    let mut kind = None;
    let mut ends_inside = false;
    file.seek(SeekFrom::Start(at))?;
    while at < length {
        if file.buffer().len() < HEAD_BYTES {
            // At the edge of what was read ahead.
            file.seek(SeekFrom::Start(at))?;
        }
        let head = file.fill_buf()?;
        let Some(header) = header_of(head).filter(|header| kind.is_none_or(|kind| kind == header.kind)) else {
            if is_tag(head) {
                break;
            }
            // Too short for a header, and the beginning of one.
            ends_inside |= head[0] == 0xFF && length - at < 4 && frames > 0 && at == end_of_last;
            file.consume(1);
            at += 1;
            continue;
        };
        if at + header.bytes > length {
            // A stray byte can look like a header: a frame that ends inside follows others without a break.
            ends_inside = frames > 0;
            break;
        }
        if frames == 0 {
            // Chance makes one header, seldom two.
            let mut next = [0; HEAD_BYTES];
            file.seek(SeekFrom::Start(at + header.bytes))?;
            let follows = file.read_exact(&mut next).is_ok() && header_of(&next).is_some_and(|n| n.kind == header.kind);
            if !follows && at + header.bytes < length {
                at += 1;
                file.seek(SeekFrom::Start(at))?;
                continue;
            }
            promised = promise(&mut file, at, &header)?;
            file.seek(SeekFrom::Start(at))?;
        }
        kind = Some(header.kind);
        frames += 1;
        at += header.bytes;
        end_of_last = at;
        file.seek_relative(i64::try_from(header.bytes).unwrap_or(0))?;
    }
    // The frame that holds the promise is not counted by every program.
    let too_few = promised.is_some_and(|promised| frames + 1 < promised);
    Ok(Ending { is_cut: ends_inside || too_few, promises: promised.is_some() })
}

/// The position behind ID3 tags.
fn skip_tags(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let mut at = 0;
    loop {
        let mut head = [0; 10];
        file.seek(SeekFrom::Start(at))?;
        match file.read_exact(&mut head) {
            Ok(()) if &head[..3] == b"ID3" => {
                let bytes = head[6..].iter().fold(0_u64, |sum, &byte| sum << 7 | u64::from(byte & 0x7F));
                let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
                at += 10 + bytes + footer;
            }
            Ok(()) => return Ok(at),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(at),
            Err(e) => return Err(e),
        }
    }
}

/// Tags that stand behind the last frame.
fn is_tag(head: &[u8]) -> bool {
    [&b"TAG"[..], b"APETAGEX", b"LYRICSBEGIN", b"ID3"].iter().any(|tag| head.starts_with(tag))
}

fn header_of(bytes: &[u8]) -> Option<Header> {
    let &[0xFF, b1, b2, b3, ..] = bytes else { return None };
    if b1 & 0xE0 != 0xE0 {
        return None;
    }
    if b1 & 0xF6 == 0xF0 {
        // AAC: thirteen bits of length.
        let (&b4, &b5) = (bytes.get(4)?, bytes.get(5)?);
        let bytes = u64::from(b3 & 3) << 11 | u64::from(b4) << 3 | u64::from(b5) >> 5;
        return (bytes >= 7).then_some(Header { bytes, kind: [b1 & 0xFE, b2 & 0x3C], xing_at: usize::MAX });
    }
    let (version, layer) = ((b1 >> 3) & 3, (b1 >> 1) & 3);
    let (rate_index, rate_step, padding) = (usize::from(b2 >> 4), usize::from((b2 >> 2) & 3), u64::from((b2 >> 1) & 1));
    let is_first = version == 3;
    // 0 is a rate that the frame does not tell, 15 is none.
    if version == 1 || layer == 0 || rate_step == 3 || rate_index == 0 || rate_index == 15 {
        return None;
    }
    let kilobits = match (is_first, layer) {
        (true, 3) => [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        (true, 2) => [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        (true, _) => [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        (false, 3) => [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        (false, _) => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    }[rate_index - 1];
    let rate_hz = [44_100, 48_000, 32_000][rate_step] >> [2_u64, 0, 1, 0][usize::from(version)];
    let bytes = match (layer, is_first) {
        (3, _) => (12 * kilobits * 1_000 / rate_hz + padding) * 4,
        (1, false) => 72 * kilobits * 1_000 / rate_hz + padding,
        _ => 144 * kilobits * 1_000 / rate_hz + padding,
    };
    let is_mono = b3 >> 6 == 3;
    let xing_at = match (is_first, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    Some(Header { bytes, kind: [b1 & 0xFE, b2 & 0x0C], xing_at })
}

/// The number of frames that the first one promises.
fn promise(file: &mut (impl Read + Seek), at: u64, header: &Header) -> io::Result<Option<u64>> {
    let mut frame = Vec::new();
    file.seek(SeekFrom::Start(at + 4))?;
    file.take(header.bytes.saturating_sub(4)).read_to_end(&mut frame)?;
    let number = |at: usize| frame.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let tag = header.xing_at.checked_add(4).and_then(|end| frame.get(header.xing_at..end));
    let promised = if matches!(tag, Some(b"Xing" | b"Info")) {
        number(header.xing_at + 4).filter(|flags| flags & 1 == 1).and_then(|_| number(header.xing_at + 8))
    } else if frame.get(32..36) == Some(b"VBRI") {
        number(32 + 14)
    } else {
        None
    };
    Ok(promised.filter(|&frames| frames > 0).map(u64::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// MPEG 2, layer 3, 64 kbit/s, 16 kHz, mono: 288 bytes a frame.
    fn frame(fill: u8) -> Vec<u8> {
        let mut frame = vec![0xFF, 0xF3, 0x88, 0xC0];
        frame.resize(288, fill);
        frame
    }

    fn is_cut(bytes: &[u8]) -> bool {
        ending(Cursor::new(bytes)).unwrap().is_cut
    }

    #[test]
    fn a_file_that_ends_inside_a_frame_is_cut_and_one_with_tags_is_not() {
        let sound = frame(1).repeat(20);
        assert!(!is_cut(&sound));
        assert!(is_cut(&sound[..sound.len() - 1]) && is_cut(&sound[..288 * 9 + 1]));
        assert!(is_cut(&sound[..sound.len() / 2 + 50]));
        let tagged = [&b"ID3\x03\0\0\0\0\0\x05hello"[..], &sound, b"TAG", &[0; 125]].concat();
        assert!(!is_cut(&tagged));
        assert!(is_cut(&tagged[..tagged.len() - 128 - 10]));
        // Something between the frames is passed over.
        assert!(!is_cut(&[&sound[..], b"noise", &sound].concat()));
    }

    #[test]
    fn a_promise_is_held_against_the_frames() {
        let mut first = frame(0);
        first[4 + 9..4 + 9 + 12].copy_from_slice(b"Xing\0\0\0\x01\0\0\0\x14");
        let whole = [&first[..], &frame(1).repeat(20)].concat();
        assert!(ending(Cursor::new(&whole)).unwrap().promises);
        assert!(!is_cut(&whole));
        assert!(is_cut(&whole[..288 * 11]), "between two frames");
        let mut first = frame(0);
        first[36..36 + 18].copy_from_slice(b"VBRI\0\x01\0\0\0\0\0\0\0\0\0\0\0\x14");
        assert!(is_cut(&[&first[..], &frame(1).repeat(10)].concat()));
        assert!(!is_cut(&[&first[..], &frame(1).repeat(20)].concat()));
    }

    #[test]
    fn a_real_file_is_whole_and_its_parts_are_not() {
        let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../speech/formats/librivox_0880.mp3")).unwrap();
        assert!(!is_cut(&whole));
        for percent in 1..99 {
            assert!(is_cut(&whole[..whole.len() * percent / 100]) || percent < 5, "at {percent} %");
        }
    }

    #[test]
    fn noise_has_no_end() {
        let noise: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let _ = ending(Cursor::new(&noise)).unwrap();
        assert!(!is_cut(b""));
    }
}
