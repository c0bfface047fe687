//! How long it took, and how exact the times of words are: pure, of what was played and what was said.

use super::errors::{Step, steps};
use super::join::{Clip, Joined};
use super::normalise::words;
use super::rounded;
use super::said::{Kind, Said};
use serde::Serialize;

/// Times of one kind, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    /// Half of them are shorter.
    pub p50_s: f64,
    /// One of twenty is longer.
    pub p95_s: f64,
    /// The longest.
    pub max_s: f64,
    /// How many there are.
    pub count: usize,
    /// How many there should have been besides.
    pub missing: usize,
}

impl Latency {
    /// Of these times; `None` when there is none.
    fn of(times_s: Vec<f64>, wanted: usize) -> Option<Self> {
        let times_s = sorted(times_s);
        let max_s = rounded(*times_s.last()?);
        let part = |part: f64| rounded(quantile(&times_s, part));
        let count = times_s.len();
        Some(Self { p50_s: part(0.5), p95_s: part(0.95), max_s, count, missing: wanted.saturating_sub(count) })
    }
}

/// The value below which this part of the sorted values lies; between two of them in proportion.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// From the first sound of a recording until the first text about it.
pub(super) fn first_partial(joined: &Joined, said: &[Said]) -> Option<Latency> {
    let first = |(at, clip): (usize, &Clip)| {
        let texts = said.iter().filter(|text| matches!(text.kind, Kind::Partial | Kind::Committed));
        // Its beginning may lie before the sound that is heard; its end lies in this recording.
        let of_clip = texts.filter(|text| joined.clip_at(text.end_s) == at && text.end_s > clip.sound_s.start);
        of_clip.map(|text| text.emitted_s - clip.sound_s.start).filter(|&s| s > 0.0).min_by(f64::total_cmp)
    };
    Latency::of(joined.clips.iter().enumerate().filter_map(first).collect(), joined.clips.len())
}

/// From the last sound of a recording until its last final.
pub(super) fn finals(joined: &Joined, said: &[Said]) -> Option<Latency> {
    let last = |(at, clip): (usize, &Clip)| {
        let finals = said.iter().filter(|text| text.kind == Kind::Final && joined.clip_at(text.end_s) == at);
        finals.map(|text| text.emitted_s - clip.sound_s.end).max_by(f64::total_cmp)
    };
    Latency::of(joined.clips.iter().enumerate().filter_map(last).collect(), joined.clips.len())
}

/// A word as it is compared. A word of a text may be several ("cold-hearted", "don't"): then the first has its beginning,
/// and the last its end.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    word: String,
    start_s: Option<f64>,
    end_s: Option<f64>,
    emitted_s: f64,
}

fn parts(text: &str, span_s: Option<(f64, f64)>, emitted_s: f64, out: &mut Vec<Part>) {
    let words = words(text);
    let last = words.len().saturating_sub(1);
    out.extend(words.into_iter().enumerate().map(|(n, word)| Part {
        word,
        start_s: span_s.filter(|_| n == 0).map(|(start_s, _)| start_s),
        end_s: span_s.filter(|_| n == last).map(|(_, end_s)| end_s),
        emitted_s,
    }));
}

/// What is heard, word by word.
fn heard(joined: &Joined) -> Vec<Part> {
    let mut out = Vec::new();
    for clip in &joined.clips {
        match &clip.times {
            Some(times) => times.iter().for_each(|t| parts(&t.word, Some((t.start_s, t.end_s)), 0.0, &mut out)),
            None => clip.transcript.split_whitespace().for_each(|word| parts(word, None, 0.0, &mut out)),
        }
    }
    out
}

fn parts_of(text: &Said, out: &mut Vec<Part>) {
    if text.words.is_empty() {
        text.text.split_whitespace().for_each(|word| parts(word, None, text.emitted_s, out));
    } else {
        text.words.iter().for_each(|word| parts(&word.text, Some((word.start_s, word.end_s)), text.emitted_s, out));
    }
}

/// Every word at the moment from which on it was certain: as it was committed, or with its final.
fn certain(said: &[Said]) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::new();
    let mut open = 0;
    for text in said {
        match text.kind {
            Kind::Partial => {}
            Kind::Committed => {
                let before = out.len();
                parts_of(text, &mut out);
                open += out.len() - before;
            }
            Kind::Final => {
                let mut all = Vec::new();
                parts_of(text, &mut all);
                // Its beginning was committed.
                out.extend(all.into_iter().skip(std::mem::take(&mut open)));
            }
        }
    }
    out
}

/// From the end of a word until it was certain; words that are not what was said have none. A recording without times
/// takes the program's own.
pub(super) fn commits(joined: &Joined, said: &[Said]) -> Option<Latency> {
    let (heard, certain) = (heard(joined), certain(said));
    let (mut times_s, mut wanted) = (Vec::new(), 0);
    for (one, other) in same(&heard, &certain) {
        let (one, other) = (&heard[one], &certain[other]);
        // "Cold-hearted" ends once.
        let end_s = one.end_s.or(other.end_s);
        if end_s.is_none() && one.start_s.or(other.start_s).is_some() {
            continue;
        }
        wanted += 1;
        times_s.extend(end_s.map(|end_s| other.emitted_s - end_s));
    }
    Latency::of(times_s, wanted)
}

/// How far the program's times of words are from those of the recordings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct WordTimes {
    /// Half of all beginnings and ends are nearer.
    pub median_error_s: f64,
    /// Half of the beginnings are.
    pub median_start_error_s: f64,
    /// Half of the ends are.
    pub median_end_error_s: f64,
    /// One of twenty beginnings and ends is further off.
    pub p95_error_s: f64,
    /// By how much beginnings are too late (negative: too early); the median.
    pub start_late_s: f64,
    /// By how much ends are.
    pub end_late_s: f64,
    /// How many beginnings and ends there are.
    pub count: usize,
}

/// Compares the times of the words in finals with those of the recordings; `None` where either has none.
pub(super) fn word_times(joined: &Joined, said: &[Said]) -> Option<WordTimes> {
    let heard = heard(joined);
    let mut finals = Vec::new();
    said.iter().filter(|text| text.kind == Kind::Final).for_each(|text| parts_of(text, &mut finals));
    let (mut starts_s, mut ends_s) = (Vec::new(), Vec::new());
    let late_s = |one: Option<f64>, other: Option<f64>| Some(other? - one?);
    for (one, other) in same(&heard, &finals) {
        let (one, other) = (&heard[one], &finals[other]);
        starts_s.extend(late_s(one.start_s, other.start_s));
        ends_s.extend(late_s(one.end_s, other.end_s));
    }
    let all_s = [starts_s.as_slice(), ends_s.as_slice()].concat();
    let part_of = |list: Vec<f64>, part| (!list.is_empty()).then(|| rounded(quantile(&sorted(list), part)));
    let off = |list: &[f64]| list.iter().map(|s| s.abs()).collect::<Vec<_>>();
    Some(WordTimes {
        median_error_s: part_of(off(&all_s), 0.5)?,
        median_start_error_s: part_of(off(&starts_s), 0.5)?,
        median_end_error_s: part_of(off(&ends_s), 0.5)?,
        p95_error_s: part_of(off(&all_s), 0.95)?,
        start_late_s: part_of(starts_s, 0.5)?,
        end_late_s: part_of(ends_s, 0.5)?,
        count: all_s.len(),
    })
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Which words of one list are which of the other.
fn same(heard: &[Part], said: &[Part]) -> Vec<(usize, usize)> {
    let words = |parts: &[Part]| parts.iter().map(|part| part.word.clone()).collect::<Vec<_>>();
    let pair = |step| match step {
        Step::Same(one, other) => Some((one, other)),
        Step::Replaced(..) | Step::Missing(_) | Step::Added(_) => None,
    };
    steps(&words(heard), &words(said)).into_iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::super::recordings::WordTime;
    use super::super::said::SaidWord;
    use super::*;

    fn clip(begin_s: f64, words: &[(&str, f64, f64)], timed: bool) -> Clip {
        let times: Vec<WordTime> = words
            .iter()
            .map(|(word, start_s, end_s)| WordTime {
                word: (*word).into(),
                start_s: begin_s + start_s,
                end_s: begin_s + end_s,
            })
            .collect();
        let sound_s = times[0].start_s..times[times.len() - 1].end_s;
        let transcript = words.iter().map(|(word, ..)| *word).collect::<Vec<_>>().join(" ");
        Clip { transcript, sound_s, times: timed.then_some(times) }
    }

    fn joined(timed: bool) -> Joined {
        let first = clip(3.0, &[("mister", 0.5, 1.0), ("cold", 1.0, 1.5), ("hearted", 1.5, 2.0)], timed);
        Joined { samples: Vec::new(), clips: vec![first, clip(7.0, &[("so", 0.0, 0.5), ("my", 0.5, 1.0)], timed)] }
    }

    fn text(kind: Kind, emitted_s: f64, words: &[(&str, f64, f64)]) -> Said {
        let words: Vec<SaidWord> = words
            .iter()
            .map(|(text, start_s, end_s)| SaidWord { text: (*text).into(), start_s: *start_s, end_s: *end_s })
            .collect();
        Said {
            kind,
            emitted_s,
            start_s: words[0].start_s,
            end_s: words[words.len() - 1].end_s,
            text: words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
            words,
        }
    }

    fn run() -> Vec<Said> {
        let mut partial = text(Kind::Partial, 4.25, &[("Mister", 3.5, 4.0)]);
        partial.words.clear();
        vec![
            partial,
            text(Kind::Committed, 5.0, &[("Mr.", 3.5, 4.25)]),
            text(Kind::Final, 5.75, &[("Mr.", 3.5, 4.25), ("cold-hearted.", 4.0, 5.0)]),
            text(Kind::Committed, 8.5, &[("So", 7.25, 7.5)]),
            text(Kind::Final, 9.0, &[("So", 7.25, 7.5), ("why", 7.5, 8.0)]),
        ]
    }

    #[test]
    fn latencies_are_counted_from_the_sound() {
        let (joined, said) = (joined(true), run());
        let first = first_partial(&joined, &said).expect("partials");
        // 4.25 - 3.5 and 8.5 - 7.0
        assert_eq!((first.p50_s, first.max_s, first.count, first.missing), (1.125, 1.5, 2, 0));
        let last = finals(&joined, &said).expect("finals");
        // 5.75 - 5.0 and 9.0 - 8.0
        assert_eq!((last.p50_s, last.max_s, last.count), (0.875, 1.0, 2));
        let certain = commits(&joined, &said).expect("words");
        // mister: 5.0 - 4.0; hearted: 5.75 - 5.0; so: 8.5 - 7.5; cold: 5.75 - 4.5; "why" is not what was said.
        assert_eq!((certain.p50_s, certain.max_s, certain.count, certain.missing), (1.0, 1.25, 4, 0));
    }

    #[test]
    fn the_program_s_own_times_do_where_there_are_no_others() {
        let certain = commits(&joined(false), &run()).expect("words");
        // mister: 5.0 - 4.25; cold-hearted: 5.75 - 5.0; so: 8.5 - 7.5
        assert_eq!((certain.p50_s, certain.max_s, certain.count, certain.missing), (0.75, 1.0, 3, 0));
        assert_eq!(word_times(&joined(false), &run()), None);
    }

    #[test]
    fn a_run_without_partials_and_words_has_finals_only() {
        let mut said = run();
        said.retain(|text| text.kind == Kind::Final);
        said.iter_mut().for_each(|text| text.words.clear());
        assert_eq!(first_partial(&joined(true), &said), None);
        assert_eq!(word_times(&joined(true), &said), None);
        // Every word was certain with its final.
        assert_eq!(commits(&joined(true), &said).map(|commits| commits.count), Some(4));
        assert_eq!(commits(&joined(false), &said), None);
        said.truncate(1);
        assert_eq!(finals(&joined(true), &said).map(|finals| (finals.count, finals.missing)), Some((1, 1)));
    }

    #[test]
    fn word_times_are_compared_where_both_are_known() {
        let times = word_times(&joined(true), &run()).expect("times");
        // Starts: mister 0, cold 4.0 (4.0), so 0.25. Ends: mister 0.25, hearted 0, so 0.
        assert_eq!((times.median_start_error_s, times.median_end_error_s, times.count), (0.0, 0.0, 6));
        assert_eq!((times.median_error_s, times.p95_error_s), (0.0, 0.25));
        assert_eq!((times.start_late_s, times.end_late_s), (0.0, 0.0));
        let mut late = run();
        late.iter_mut().flat_map(|text| &mut text.words).for_each(|word| word.end_s += 0.5);
        let times = word_times(&joined(true), &late).expect("times");
        assert_eq!((times.median_end_error_s, times.start_late_s, times.end_late_s), (0.5, 0.0, 0.5));
    }

    #[test]
    fn quantiles_lie_between_values() {
        let latency = Latency::of((0..=20).map(f64::from).rev().collect(), 30).expect("times");
        assert_eq!((latency.p50_s, latency.p95_s, latency.max_s, latency.missing), (10.0, 19.0, 20.0, 9));
        assert_eq!(Latency::of(Vec::new(), 1), None);
    }
}
