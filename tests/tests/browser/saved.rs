//! What is saved is what is seen.

use super::judge::clean;
use crate::web::{FakeWords, Page, Writer};
use anyhow::{Context, Result, ensure};
use png::{ColorType, Decoder, Transformations};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Edge of the blocks whose mean colours are compared: within one, letters and smoothed edges come to the same.
const BLOCK: usize = 16;
/// Mean and greatest difference of such blocks between what is saved and what is seen, of 255: a word's button has no edge in
/// what is saved.
const MEAN_MOST: f64 = 1.0;
const BLOCK_MOST: f64 = 30.0;

/// Left, top, right, bottom.
type Place = [usize; 4];

struct Picture {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl Picture {
    fn read(path: &Path) -> Result<Self> {
        let mut decoder = Decoder::new(BufReader::new(File::open(path)?));
        decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info()?;
        let mut rgba = vec![0; reader.output_buffer_size().context("a size")?];
        let info = reader.next_frame(&mut rgba)?;
        ensure!(info.color_type == ColorType::Rgba, "{info:?}");
        Ok(Self { width: info.width as usize, height: info.height as usize, rgba })
    }

    fn at(&self, x: usize, y: usize) -> &[u8] {
        &self.rgba[(y * self.width + x) * 4..][..4]
    }

    /// The mean colour of a block.
    fn mean(&self, left: usize, top: usize) -> [f64; 3] {
        let (right, bottom) = ((left + BLOCK).min(self.width), (top + BLOCK).min(self.height));
        let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
        let mut sums = [0.0; 3];
        for (x, y) in pixels {
            sums.iter_mut().zip(self.at(x, y)).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        sums.map(|sum| sum / ((right - left) * (bottom - top)) as f64)
    }

    /// How many pixels of a place are of other colours than its most frequent one.
    fn drawn(&self, [left, top, right, bottom]: Place) -> usize {
        let mut counts = std::collections::HashMap::new();
        let (right, bottom) = (right.min(self.width), bottom.min(self.height));
        for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
            *counts.entry(self.at(x, y)).or_insert(0) += 1;
        }
        counts.values().sum::<usize>() - counts.values().max().copied().unwrap_or(0)
    }
}

fn place(value: &Value) -> Result<Place> {
    Ok(serde_json::from_value(value.clone())?)
}

/// The saved picture has the page's own pixels, but where names and frequencies stand over them.
fn has_the_pixels(saved: &Picture, folder: &Path, seen: &Value, marks: Place) -> Result<()> {
    let size = |name: &str| seen[name].as_u64().and_then(|size| usize::try_from(size).ok()).context("a size");
    let (width, height) = (size("width")?, size("height")?);
    let pixels = std::fs::read(folder.join(format!("{}.pixels", seen["name"].as_str().context("name")?)))?;
    ensure!(pixels.len() == width * height * 4 && width < saved.width && height < saved.height, "{seen}");
    let mut over = 0;
    for (at, pixel) in pixels.chunks(4).enumerate() {
        let (x, y) = (at % width, at / width);
        let same = saved.at(x, y) == pixel;
        ensure!(same || x < marks[2], "pixel {x}, {y}: {:?}, and not {pixel:?}", saved.at(x, y));
        over += usize::from(!same);
    }
    ensure!(over > 200 && over < marks[2] * height / 2, "{over} pixels are of names and frequencies");
    Ok(())
}

/// It looks like what is seen, all over.
fn looks_as_seen(saved: &Picture, screen: &Picture) -> Result<()> {
    ensure!(
        (saved.width, saved.height) == (screen.width, screen.height),
        "{}x{}, and not {}x{}",
        saved.width,
        saved.height,
        screen.width,
        screen.height
    );
    let (mut sum, mut count, mut most) = (0.0, 0, (0.0, 0, 0));
    for top in (0..saved.height).step_by(BLOCK) {
        for left in (0..saved.width).step_by(BLOCK) {
            let (a, b) = (saved.mean(left, top), screen.mean(left, top));
            let by = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            (sum, count) = (sum + by, count + 1);
            if by > most.0 {
                most = (by, left, top);
            }
        }
    }
    let mean = sum / f64::from(count);
    ensure!(mean <= MEAN_MOST && most.0 <= BLOCK_MOST, "blocks differ by {mean} in the mean, and at most by {most:?}");
    Ok(())
}

#[test]
fn what_is_saved_is_what_is_seen() -> Result<()> {
    const WORDS: [(&str, u64); 2] = [("some", 72_000), ("words", 132_000)];
    let page = Page::new()?;
    let mut known = Writer::start(&page, "known", &["sine:440:0.25", "chirp:100:8000:0.4"])?;
    let spoken = FakeWords::start(&page, "known", &WORDS)?;
    let folder = page.folder();
    // Screens have one pixel of theirs for one of the page's, or more.
    let orders = folder.join("orders");
    std::fs::write(&orders, "")?;
    let follow = known.follow(&orders)?;
    let job = json!({"lanes": 2, "words": WORDS.len(), "wordsS": 3.1, "orders": orders, "folder": folder,
        "shots": [{"name": "one", "scale": 1}, {"name": "two", "scale": 2}]});
    let all = page.serve(&[])?.drive("saved", &job)?;
    drop(follow);
    spoken.were_asked_for()?;
    let all = all.as_array().context("pictures")?;
    ensure!(all.len() == 2, "{all:?}");
    for seen in all {
        clean(seen)?;
        let name = seen["name"].as_str().context("name")?;
        let saved = Picture::read(&folder.join(format!("{name}.png")))?;
        let places = &seen["places"];
        has_the_pixels(&saved, &folder, seen, place(&places["marks"])?).context(name.to_owned())?;
        looks_as_seen(&saved, &Picture::read(&folder.join(format!("{name}-seen.png")))?).context(name.to_owned())?;
        for part in ["meters", "timeline", "words", "scrub"] {
            let drawn = saved.drawn(place(&places[part])?);
            ensure!(drawn > 200, "{name}: of {part} only {drawn} pixels are drawn");
        }
        let words = places["eachWord"].as_array().context("words")?;
        // Two words, and what may still change.
        ensure!(words.len() == 3, "{seen}");
        for word in words {
            let drawn = saved.drawn(place(word)?);
            ensure!(drawn > 40, "{name}: of a word only {drawn} pixels are drawn: {word}");
        }
    }
    Ok(())
}
