//! Bars on a terminal.

use super::lines::decibels;
use super::screen::Screen;
use super::watch::{News, Watch};
use crate::decibels::dbfs;
use crate::output::{harmless, may_colour};
use anyhow::Result;
use shm_layout::board::{Loudness, Reading};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr;

/// What a bar shows, in dBFS: its left end; its right end is full scale.
const FLOOR_DBFS: f32 = -60.0;
/// Where it turns yellow, and red.
const WARM_DBFS: f32 = -18.0;
const HOT_DBFS: f32 = -6.0;
/// Of a longer name the end is left out.
const NAME_COLUMNS_MAX: usize = 16;
/// Peak, held peak and clips behind the bar.
const NUMBER_COLUMNS: usize = 22;
const BAR_COLUMNS_MIN: usize = 10;

/// How a bar is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    colour: bool,
    /// Up to the mean, from there to the peak, and the peak of late.
    mean: char,
    peak: char,
    held: char,
}

impl Style {
    /// As terminal and language allow.
    fn of_environment() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_uppercase();
        Self::new(may_colour(), locale.contains("UTF-8") || locale.contains("UTF8"))
    }

    const fn new(colour: bool, unicode: bool) -> Self {
        let (mean, peak, held) = if unicode { ('█', '▒', '┃') } else { ('#', '-', '|') };
        Self { colour, mean, peak, held }
    }
}

/// Draws so many times a second, until Ctrl-C, `q`, or the end of the instance. `r` resets.
///
/// # Errors
/// When the terminal takes nothing.
pub(super) fn live(watch: &mut Watch, rate: u32, stop: &AtomicBool, reset: impl Fn()) -> Result<()> {
    let style = Style::of_environment();
    let mut screen = Screen::enter()?;
    let period = Duration::from_secs(1) / rate;
    let mut newest: BTreeMap<String, Reading> = BTreeMap::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) && !watch.is_over() {
        // What came since the last picture is shown as one: no peak is between two pictures.
        let mut since: BTreeMap<String, Reading> = BTreeMap::new();
        for news in watch.look() {
            if let News::Reading { stream, reading, .. } = news {
                since.entry(stream).and_modify(|held| *held = held.joined(&reading)).or_insert(reading);
            }
        }
        newest.append(&mut since);
        let shown: Vec<_> = watch.streams().map(|(name, there)| (name, newest.get(name).filter(|_| there))).collect();
        if !screen.show(&page(&shown, Screen::size(), style))? {
            break;
        }
        due = (due + period).max(Instant::now());
        loop {
            match screen.key(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(100))) {
                Some(b'q') | None => return Ok(()),
                Some(b'r') => reset(),
                Some(_) => {}
            }
            if Instant::now() >= due || stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
    Ok(())
}

/// The lines of a page.
fn page(streams: &[(&str, Option<&Reading>)], (columns, rows): (usize, usize), style: Style) -> Vec<String> {
    // The last column stays free: some terminals begin a line anew there.
    let columns = columns.saturating_sub(1);
    let names: Vec<_> = streams.iter().map(|(name, _)| shortened(&harmless(name))).collect();
    let name_columns = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let bar_columns = columns.saturating_sub(name_columns + 1 + NUMBER_COLUMNS);
    let wide = bar_columns >= BAR_COLUMNS_MIN;
    let bar_columns = if wide { bar_columns } else { columns.saturating_sub(name_columns + 1) };
    let mut lines = vec![heading(name_columns, bar_columns, wide)];
    for ((name, (_, reading)), left) in names.iter().zip(streams).zip((1..=streams.len()).rev()) {
        let wanted = 1 + usize::from(reading.is_some_and(|reading| reading.loudness.is_some()));
        let more = usize::from(left > 1);
        if lines.len() + wanted + more > rows {
            lines.push(format!("... and {left} more"));
            break;
        }
        let pad = " ".repeat(name_columns - name.width());
        let Some(reading) = reading else {
            lines.push(cut(format!("{name}{pad} is gone"), columns));
            continue;
        };
        let mut line = format!("{name}{pad} {}", bar(reading, bar_columns, style));
        if wide {
            let clips = format!("{:>6}", reading.clips);
            let clips = if style.colour && reading.clips > 0 { format!("\x1b[31m{clips}\x1b[0m") } else { clips };
            let number = |level: f32| decibels(dbfs(level));
            line.push_str(&format!(" {:>6}  {:>6} {clips}", number(reading.loudest.peak), number(reading.held_peak)));
        }
        lines.push(line);
        if let Some(loudness) = reading.loudness {
            lines.push(loudness_line(name_columns, &loudness, columns));
        }
    }
    lines.truncate(rows);
    lines
}

/// What is known of the mix's loudness, as much of it as fits.
fn loudness_line(name_columns: usize, loudness: &Loudness, columns: usize) -> String {
    let peak = |level: f32| decibels(dbfs(level));
    let pieces = [
        format!(" M {:>5}", decibels(loudness.momentary)),
        format!("  S {:>5}", decibels(loudness.short_term)),
        format!("  I {:>5} LUFS", decibels(loudness.integrated)),
        format!("  LRA {:.1} LU", loudness.range_lu),
        format!("  TP {:>5}", peak(loudness.true_peak)),
        format!(" max {} dBTP", peak(loudness.true_peak_max)),
    ];
    let mut line = " ".repeat(name_columns);
    for piece in pieces {
        if line.width() + piece.width() > columns {
            break;
        }
        line.push_str(&piece);
    }
    cut(line, columns)
}

/// The scale above the bars, and what the numbers are.
fn heading(name_columns: usize, bar_columns: usize, numbers: bool) -> String {
    let mut scale = vec![' '; bar_columns];
    let mut free = 0;
    for db in [-60.0_f32, -50.0, -40.0, -30.0, -20.0, -10.0, 0.0] {
        let text = format!("{db:.0}");
        let at = cells(db, bar_columns).min(bar_columns.saturating_sub(text.len()));
        if at >= free && at + text.len() <= bar_columns {
            text.chars().enumerate().for_each(|(place, digit)| scale[at + place] = digit);
            free = at + text.len() + 1;
        }
    }
    let scale: String = scale.into_iter().collect();
    let numbers = if numbers { "   peak    held  clips" } else { "" };
    format!("{} {scale}{numbers}", " ".repeat(name_columns)).trim_end().to_owned()
}

/// Cells of a bar below a level.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates; a bar is short")]
fn cells(dbfs: f32, columns: usize) -> usize {
    let share = ((dbfs - FLOOR_DBFS) / -FLOOR_DBFS).clamp(0.0, 1.0);
    (share * columns as f32).round() as usize
}

fn bar(reading: &Reading, columns: usize, style: Style) -> String {
    let of = |level: f32| cells(dbfs(level), columns);
    let (mean, peak, held) = (of(reading.loudest.rms), of(reading.loudest.peak), of(reading.held_peak));
    let (warm, hot) = (cells(WARM_DBFS, columns), cells(HOT_DBFS, columns));
    let mut out = String::new();
    let mut colour = 0;
    for cell in 0..columns {
        let drawn = match cell {
            _ if cell < mean => style.mean,
            // A mark stands at the end of what it marks.
            _ if held > 0 && cell + 1 == held => style.held,
            _ if cell < peak => style.peak,
            _ => ' ',
        };
        let wanted = if drawn == ' ' {
            0
        } else if cell >= hot {
            31
        } else if cell >= warm {
            33
        } else {
            32
        };
        if style.colour && wanted != colour {
            out.push_str(&format!("\x1b[{wanted}m"));
            colour = wanted;
        }
        out.push(drawn);
    }
    if colour != 0 {
        out.push_str("\x1b[0m");
    }
    out
}

fn shortened(name: &str) -> String {
    if name.width() <= NAME_COLUMNS_MAX { name.to_owned() } else { cut(name.to_owned(), NAME_COLUMNS_MAX) }
}

/// As much of a text as fits.
fn cut(mut text: String, columns: usize) -> String {
    while text.width() > columns {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::json::tests::reading;

    fn mix() -> Reading {
        let loudness = Loudness {
            momentary: -9.0,
            short_term: -9.1,
            integrated: f32::NEG_INFINITY,
            range_lu: 0.3,
            momentary_max: -9.0,
            short_term_max: -9.1,
            true_peak: 0.5,
            true_peak_max: 1.0,
        };
        Reading { loudness: Some(loudness), ..reading(0, 800, 0.5) }
    }

    #[test]
    fn a_page_has_a_bar_for_each_stream_and_the_loudness_of_the_mix() {
        let (mic, mix) = (reading(0, 800, 0.1), mix());
        let page =
            page(&[("mic", Some(&mic)), ("call", None), ("mix", Some(&mix))], (68, 24), Style::new(false, false));
        assert_eq!(
            page,
            [
                "     -60    -50   -40    -30    -20   -10   0   peak    held  clips",
                "mic  #######################----            |  -20.0     0.0      2",
                "call is gone",
                "mix  ################################----   |   -6.0     0.0      2",
                "     M  -9.0  S  -9.1  I  -inf LUFS  LRA 0.3 LU  TP  -6.0",
            ]
        );
    }

    #[test]
    fn nothing_is_wider_or_longer_than_the_terminal() {
        let (mic, mix) = (reading(0, 800, 0.5), mix());
        let streams = [("a-very-long-name-of-a-stream", Some(&mic)), ("東京", None), ("mix", Some(&mix))];
        for columns in 1..100 {
            for rows in 1..8 {
                let page = page(&streams, (columns, rows), Style::new(false, true));
                assert!(page.len() <= rows, "{page:?} in {rows} rows");
                let wide = |line: &&String| line.width() >= columns.max(22);
                assert!(!page.iter().any(|line| wide(&line)), "{page:?} in {columns} columns");
            }
        }
        let page = page(&streams, (80, 3), Style::new(false, true));
        assert_eq!(page.last().map(String::as_str), Some("... and 2 more"));
    }

    #[test]
    fn colours_follow_the_scale_and_are_taken_back() {
        let line = bar(&reading(0, 800, 1.0), 60, Style::new(true, true));
        for code in ["\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"] {
            assert_eq!(line.matches(code).count(), 1, "{line:?}");
        }
        assert!(bar(&reading(0, 800, 0.0), 60, Style::new(false, true)).trim_end_matches('┃').trim().is_empty());
    }
}
