//! Where every word went: said once as if nobody had disturbed anything, or cut by a gap that was told, lost and told, or
//! kept as sound.

use anyhow::{Context, Result, ensure};
use std::ops::Range;
use system_tests::{Event, TimedWord, WordErrors, align, lost_in_a_row, lost_words, words_in};

/// So far from a gap the voice detector may have decided otherwise.
const MARGIN_FRAMES: u64 = 48_000;
/// A listener that took over in the middle re-reads a little before its mark, and may cut a sentence elsewhere.
const ERRORS_MAX: usize = 2;
/// Words in a row that the recogniser may leave out, or hear where there are none: who takes over in the middle may cut a
/// sentence elsewhere.
const ASTRAY_IN_A_ROW: usize = 1;
/// Frames a second of all rings.
pub(crate) const RATE_HZ: u64 = 48_000;

/// Words, and where in the source they are.
#[derive(Debug, Clone)]
pub(crate) struct Utterance {
    /// Frames of the source.
    pub span: Range<u64>,
    /// At seconds of the source.
    pub words: Vec<TimedWord>,
}

/// What a session told of one of its files.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Written down.
    pub heard: Vec<Utterance>,
    /// Where the source was interrupted: gaps take no time of the source.
    cuts: Vec<u64>,
    lost: Vec<Range<u64>>,
}

/// Utterances by what became of them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Account {
    /// Said in the same words.
    pub same: usize,
    /// Said in nearly the same words: live text depends on when its answers come.
    pub nearly: usize,
    /// At a gap that was told.
    pub cut: usize,
    /// Lost, and that was told.
    pub lost: usize,
    /// Neither said nor told, and kept as sound.
    pub kept: usize,
    /// Words of the first two kinds.
    pub words: usize,
    /// Of those, the other ones.
    pub errors: usize,
}

impl std::ops::AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.same += other.same;
        self.nearly += other.nearly;
        self.cut += other.cut;
        self.lost += other.lost;
        self.kept += other.kept;
        self.words += other.words;
        self.errors += other.errors;
    }
}

/// Events of a stream in the order of their frames.
fn of_kind<'a>(events: &'a [Event], stream: &str, kind: &str) -> Result<Vec<(Range<u64>, &'a Event)>> {
    let ours = events.iter().filter(|event| event.is(kind) && event.fields["stream"] == stream);
    let mut spans = ours.map(|event| Ok((event.span()?, event))).collect::<Result<Vec<_>>>()?;
    spans.sort_by_key(|(span, _)| span.start);
    Ok(spans)
}

impl Told {
    /// What these events tell of a stream whose file began at this frame.
    ///
    /// # Errors
    /// When an event is malformed, gaps overlap, or anything was written down twice.
    pub(crate) fn of(events: &[Event], stream: &str, first_frame: u64) -> Result<Self> {
        let told = |kind| of_kind(events, stream, kind);
        let (finals, gaps, lost) = (told("final")?, told("gap")?, told("lost")?);
        for told in [&finals, &gaps] {
            for pair in told.windows(2) {
                ensure!(pair[0].0.end <= pair[1].0.start, "told twice: {} {}", pair[0].1.fields, pair[1].1.fields);
            }
        }
        let position = |frame: u64| {
            let without = gaps.iter().map(|(gap, _)| gap.end.min(frame).saturating_sub(gap.start.max(first_frame)));
            frame.saturating_sub(first_frame).saturating_sub(without.sum())
        };
        let at = |span: &Range<u64>| position(span.start)..position(span.end);
        let in_source_s = |frame: u64| position(frame) as f64 / RATE_HZ as f64;
        let events: Vec<&Event> = finals.iter().map(|&(_, event)| event).collect();
        let words = words_in(&events, in_source_s)?;
        let heard = finals.iter().zip(words).map(|((span, _), words)| Utterance { span: at(span), words });
        Ok(Self {
            heard: heard.collect(),
            cuts: gaps.iter().map(|(gap, _)| position(gap.start)).collect(),
            lost: lost.iter().map(|(span, _)| at(span)).collect(),
        })
    }

    /// Compares it, as far as the source had come, with what is said undisturbed.
    ///
    /// # Errors
    /// What was neither said nor reported, and what was said otherwise.
    pub(crate) fn compare(&self, undisturbed: &[Utterance], until: u64, kept: usize) -> Result<Account> {
        let mut account = Account::default();
        for group in groups(undisturbed, &self.heard) {
            if group.span.end > until {
                continue;
            }
            let (utterances, span) = (group.utterances, &group.span);
            let near = |cut: &u64| (span.start.saturating_sub(MARGIN_FRAMES)..span.end + MARGIN_FRAMES).contains(cut);
            if self.cuts.iter().any(near) {
                account.cut += utterances;
            } else if self.lost.iter().any(|lost| lost.start < span.end && span.start < lost.end) {
                account.lost += utterances;
            } else if group.heard.is_empty() {
                account.kept += utterances;
                ensure!(account.kept <= kept, "neither said nor reported: {group:?} of {self:?}");
            } else {
                let found = group.errors();
                let errors = found.errors();
                *(if errors == 0 { &mut account.same } else { &mut account.nearly }) += utterances;
                (account.words, account.errors) = (account.words + group.said.len(), account.errors + errors);
                ensure!(
                    found.deletions == 0 && errors <= ERRORS_MAX,
                    "said otherwise: {group:?}; cuts {:?}",
                    self.cuts
                );
                group.look_for_lost_words().with_context(|| format!("cuts {:?}", self.cuts))?;
            }
        }
        Ok(account)
    }
}

/// Utterances of both that overlap, and so are the same speech.
#[derive(Debug)]
struct Group {
    span: Range<u64>,
    utterances: usize,
    said: Vec<TimedWord>,
    heard: Vec<TimedWord>,
}

impl Group {
    fn errors(&self) -> WordErrors {
        let texts = |words: &[TimedWord]| words.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
        align(&texts(&self.said), &texts(&self.heard))
    }

    /// Every word has one at its time in the other, if not the same.
    fn look_for_lost_words(&self) -> Result<()> {
        let (said, heard) = (&self.said, &self.heard);
        let (lost, invented) = (lost_words(said, heard), lost_words(heard, said));
        let in_a_row = lost_in_a_row(said, heard).max(lost_in_a_row(heard, said));
        ensure!(in_a_row <= ASTRAY_IN_A_ROW, "lost {lost:?}, invented {invented:?}: {self:?}");
        Ok(())
    }
}

fn groups(undisturbed: &[Utterance], heard: &[Utterance]) -> Vec<Group> {
    let mut all: Vec<(&Utterance, bool)> =
        undisturbed.iter().map(|said| (said, true)).chain(heard.iter().map(|heard| (heard, false))).collect();
    all.sort_by_key(|(utterance, _)| utterance.span.start);
    let mut groups: Vec<Group> = Vec::new();
    for (utterance, said) in all {
        let new = groups.last().is_none_or(|group| group.span.end <= utterance.span.start);
        if new {
            let (span, said, heard) = (utterance.span.clone(), Vec::new(), Vec::new());
            groups.push(Group { span, utterances: 0, said, heard });
        }
        let Some(group) = groups.last_mut() else { continue };
        group.span.end = group.span.end.max(utterance.span.end);
        group.utterances += usize::from(said);
        let words = if said { &mut group.said } else { &mut group.heard };
        words.extend(utterance.words.iter().cloned());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utterance(span: Range<u64>, words: &str) -> Utterance {
        let (words, at_s) = (words.split(' '), |frame: u64| frame as f64 / RATE_HZ as f64);
        let (start_s, each_s) = (at_s(span.start), at_s(span.end - span.start) / words.clone().count() as f64);
        let word = |(n, text): (u32, &str)| {
            let start_s = start_s + each_s * f64::from(n);
            TimedWord { text: text.to_owned(), start_s, end_s: start_s + each_s }
        };
        Utterance { span, words: (0..).zip(words).map(word).collect() }
    }

    fn said() -> Vec<Utterance> {
        vec![utterance(100_000..200_000, "a b c d"), utterance(300_000..400_000, "e f g h")]
    }

    #[test]
    fn what_is_missing_and_what_is_said_otherwise_is_found() {
        let told = |heard: &[Utterance]| Told { heard: heard.to_vec(), ..Told::default() };
        assert_eq!(told(&said()).compare(&said(), u64::MAX, 0).expect("the same").same, 2);
        let second_missing = told(&said()[..1]);
        assert!(second_missing.compare(&said(), u64::MAX, 0).is_err());
        assert_eq!(second_missing.compare(&said(), u64::MAX, 1).expect("kept").kept, 1);
        assert_eq!(second_missing.compare(&said(), 399_999, 0).expect("it had not come so far").same, 1);
        let without = |missing: Range<usize>| {
            let mut first = said().remove(0);
            first.words.drain(missing);
            told(&[first, said()[1].clone()]).compare(&said(), u64::MAX, 0)
        };
        assert!(without(1..2).is_err() && without(1..3).is_err());
        let mut other = said();
        other[0].words[1].text = "x".into();
        let one_other = told(&other).compare(&said(), u64::MAX, 0).expect("live text may differ");
        assert_eq!((one_other.same, one_other.nearly, one_other.errors, one_other.words), (1, 1, 1, 8));
        let in_two = [utterance(100_000..140_000, "a b"), utterance(150_000..201_000, "c d"), said()[1].clone()];
        assert_eq!(told(&in_two).compare(&said(), u64::MAX, 0).expect("the same words").same, 2);
        let invented = told(&[said(), vec![utterance(500_000..600_000, "who said this")]].concat());
        assert!(invented.compare(&said(), u64::MAX, 0).is_err());
    }

    #[test]
    fn what_was_reported_is_excused() {
        let cut = Told { heard: said()[..1].to_vec(), cuts: vec![350_000], lost: Vec::new() };
        let account = cut.compare(&said(), u64::MAX, 0).expect("cut");
        assert_eq!((account.same, account.cut), (1, 1));
        let lost =
            Told { heard: said()[1..].to_vec(), cuts: Vec::new(), lost: std::iter::once(150_000..160_000).collect() };
        assert_eq!(lost.compare(&said(), u64::MAX, 0).expect("lost").lost, 1);
    }
}
