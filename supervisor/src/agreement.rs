//! Words as they are spoken: which of them stay.
//!
//! An utterance is recognised again and again while it grows. A word is *committed* when two successive answers agree on
//! it and on all before it (LocalAgreement-2, Liu et al. 2020, as in `whisper_streaming`), and when another word follows
//! it: what ends an answer may be half a word, or may still get its full stop. A word that the recogniser itself doubts
//! needs three answers; in noise all words need more sound behind them; and where it doubts the first of all, it may be
//! another one, or one before it may be missing, and none stays for a while. What is committed never changes. The utterance's last answer settles the rest.
//!
//! Answers are matched with what stays by words *and* times: whichever part of an answer is closest to the words that
//! stand already, by edits and by where it ends, says the same; the rest is new. So an answer may begin with words that
//! were said before, which costs no second mention, and a repeated sentence is no less than one.
//!
//! An utterance whose listener died is heard again by the next one, under another name and with beginnings and ends that may
//! differ. The next utterance that has some of its sound goes on with its words. Where none does, the words that were
//! committed are all there is of it.
//!
//! Pure: no clock, no I/O.

use control_protocol::{CLEAR_DB, Hearing, Job, JobId, JobKind, Word, text_of};
use shm_layout::{Epoch, FrameIndex};
use std::collections::BTreeMap;

/// Of what is not heard as a whole so much is heard again before the first word that is not committed, so that the
/// recogniser knows the voice and the sentence.
const CONTEXT_MIN_S: f64 = 1.5;
const CONTEXT_MAX_S: f64 = 3.5;
/// What is heard of the time before a word at least.
const SOFT_S: f64 = 0.12;
/// What a second between the ends of two texts counts, in edits.
const EDITS_PER_S: f64 = 2.0;
/// When words stay.
struct Care {
    /// How sure the recogniser must be of a word, in percent; else it takes three answers.
    sure: u8,
    /// An answer about less sound than this counts for nothing, in seconds: the beginning of a sentence is often misheard,
    /// and twice in the same way ("How do you marry" of "Had he married", by two models).
    young_s: f64,
    /// How much is heard behind a word, in seconds.
    behind_s: f64,
    /// Where the recogniser is less sure than this of the first word of all, in percent, nothing stays before so much of the
    /// utterance is heard, in seconds: it changes its mind ("Howdy, Mary" of "Had he married").
    first_sure: u8,
    first_s: f64,
    /// … and where that word takes longer than `LONG_S`, before so much: a short word before it may be missing in it (tiny.en
    /// leaves out the "And" of "And Mr. John" five times in a row, and then knows it).
    long_first_s: f64,
    /// An utterance that is no longer than this is heard as a whole, in seconds.
    whole_s: f64,
    /// Where it and the one before it are together no longer than this, in seconds, both are heard for its last text.
    both_s: f64,
}
/// In a quiet place. The recogniser's shortest context covers so much as a whole, with the margin that it needs.
const IN_QUIET: Care = Care {
    sure: 30,
    young_s: 0.4,
    behind_s: 0.0,
    first_sure: 50,
    first_s: 2.5,
    long_first_s: 4.5,
    whole_s: 5.1,
    both_s: 0.0,
};
/// In noise ([`CLEAR_DB`]) words settle later, and more is heard at once: with noise 10 dB below the speech, tiny.en has 14 %
/// errors so, and 19 % as in a quiet place. A last text that is heard with the sentence before it has fewer errors still (199
/// of 1,840 words, 236 without), and comes 0.15 s later; in a quiet place it would come later for nothing.
const IN_NOISE: Care = Care {
    sure: 50,
    young_s: 3.0,
    behind_s: 1.0,
    first_sure: 0,
    first_s: 0.0,
    long_first_s: 0.0,
    whole_s: 8.0,
    both_s: 22.0,
};
/// A first word that takes longer than this may be two, in seconds.
const LONG_S: f64 = 0.4;
/// Beyond a longer pause the sentence before says nothing about this one, in seconds.
const PAUSE_BETWEEN_S: f64 = 4.0;
/// How far a word of this utterance may be placed before it, in seconds, where the one before was heard, too.
const PLACED_EARLY_S: f64 = 0.3;
/// Words that are kept for what follows them.
const KEPT: usize = 120;
/// Bytes of the prompt.
const PROMPT_BYTES: usize = 80;

/// What was said in one stream.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    sample_rate_hz: u32,
    epoch: Epoch,
    /// The last words of the utterances that are settled.
    said: Vec<Word>,
    open: BTreeMap<JobId, Utterance>,
    /// Utterances with lower names are settled, or will be by the answer that counts: what else is heard of them is late.
    current: JobId,
    /// Where the last settled utterance was.
    before: Option<Before>,
    /// What is before this frame is not heard any more.
    heard_from: FrameIndex,
}

/// An utterance that is settled.
#[derive(Debug, Clone, Copy)]
struct Before {
    epoch: Epoch,
    from: FrameIndex,
    to: FrameIndex,
}

/// An utterance that is not settled.
#[derive(Debug, Clone)]
struct Utterance {
    epoch: Epoch,
    from: FrameIndex,
    /// How far it was heard.
    to: FrameIndex,
    committed: Vec<Word>,
    /// What the last answer had behind the committed words, and how many answers in a row had the same.
    tail: Vec<(Word, u32)>,
    /// Whether an answer had any words.
    worded: bool,
    /// How far it stands out of the noise, by the last answer.
    snr_db: u8,
}

/// An utterance that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its first frame.
    pub from: FrameIndex,
    /// One past the last frame of it that was heard.
    pub to: FrameIndex,
    /// Its words.
    pub words: Vec<Word>,
    /// Whether there were words of it before its end, be they other ones.
    pub worded: bool,
}

/// What an answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Words that stay from now on.
    pub committed: Vec<Word>,
    /// All of the utterance so far that stays.
    pub fixed: String,
    /// The whole utterance so far.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
}

impl Spoken {
    /// Nothing was said yet.
    pub(crate) const fn new(sample_rate_hz: u32) -> Self {
        Self {
            sample_rate_hz,
            epoch: Epoch(0),
            said: Vec::new(),
            open: BTreeMap::new(),
            current: JobId(0),
            before: None,
            heard_from: FrameIndex(0),
        }
    }

    /// Nothing before this frame is heard again: a pause, in which nobody was meant to listen, begins or ends there.
    pub(crate) fn forget_sound_before(&mut self, frame: FrameIndex) {
        self.heard_from = self.heard_from.max(frame);
    }

    /// An utterance goes on, or is complete. What its sound was said to be under another name, by a listener that died, is
    /// its own from now on. Given back are utterances before it of which nothing more comes. `comes` says of which there
    /// will be a last answer.
    pub(crate) fn meet(&mut self, job: &Job, comes: impl Fn(JobId) -> bool) -> Vec<Ended> {
        self.current = self.current.max(job.id);
        let before: Vec<JobId> = self.open.range(..job.id).map(|(&id, _)| id).filter(|&id| !comes(id)).collect();
        let mut ended = Vec::new();
        for id in before {
            let Some(orphan) = self.open.get(&id) else { continue };
            // Its sound may still come, in an utterance behind this one.
            if orphan.epoch == job.epoch && orphan.from >= job.to {
                continue;
            }
            let within = orphan.epoch == job.epoch && job.from < orphan.to;
            let Some(orphan) = self.open.remove(&id) else { continue };
            if within {
                let heir = self.open.entry(job.id).or_insert_with(|| Utterance::of(job));
                heir.committed.extend(orphan.committed);
                heir.tail = orphan.tail;
                heir.worded |= orphan.worded;
            } else {
                ended.push(self.end(orphan));
            }
        }
        ended
    }

    /// No utterance that is not known yet begins before this frame. Given back are those that will have no last answer.
    pub(crate) fn pass(&mut self, epoch: Epoch, frame: FrameIndex, comes: impl Fn(JobId) -> bool) -> Vec<Ended> {
        let is_over = |id: JobId, open: &Utterance| (open.epoch, open.to) <= (epoch, frame) && !comes(id);
        let over: Vec<JobId> = self.open.iter().filter(|(id, open)| is_over(**id, open)).map(|(&id, _)| id).collect();
        over.into_iter().filter_map(|id| self.give_up(id)).collect()
    }

    /// From where a worker should listen, and what was said before that.
    pub(crate) fn window(&self, job: &Job) -> (FrameIndex, String) {
        let committed = self.own(job);
        let care = self.open.get(&job.id).map_or(IN_QUIET, |utterance| care_in(utterance.snr_db));
        if let Some(before) =
            self.before.filter(|before| job.kind != JobKind::Partial && self.is_near(*before, job, &care))
        {
            return (before.from, String::new());
        }
        if job.to.since(job.from) <= self.frames(care.whole_s) || committed.is_empty() {
            // No prompt: with the sentence before it, short models hear that one again ("Had he married" became "How do you
            // marry"; 12 % word errors instead of 6).
            return (job.from, String::new());
        }
        let first = self.place_to_begin(committed);
        (self.just_before(committed, first), prompt(&committed[..first]))
    }

    /// Whether the utterance before is worth hearing with this one.
    fn is_near(&self, before: Before, job: &Job, care: &Care) -> bool {
        before.epoch == job.epoch
            && before.from >= self.heard_from
            && before.from < job.from
            && job.to.since(before.from) <= self.frames(care.both_s)
            && job.from.since(before.to) <= self.frames(PAUSE_BETWEEN_S)
    }

    /// Which of the committed words of a long utterance is heard again first: some seconds before the first word that is not
    /// committed, where the pause before it is longest.
    fn place_to_begin(&self, committed: &[Word]) -> usize {
        let end = committed.last().map_or(FrameIndex(0), |last| last.to);
        let (earliest, latest) = (end.back(self.frames(CONTEXT_MAX_S)), end.back(self.frames(CONTEXT_MIN_S)));
        let pause = |&at: &usize| committed[at].from.since(committed[at - 1].to);
        let places = (1..committed.len()).filter(|&at| (earliest..=latest).contains(&committed[at].from));
        places.max_by_key(pause).unwrap_or(committed.len().saturating_sub(1))
    }

    /// In the pause before a word, or a little before it: alignments are late rather than early.
    fn just_before(&self, words: &[Word], at: usize) -> FrameIndex {
        let word = &words[at];
        let pause = at.checked_sub(1).map_or(0, |before| word.from.since(words[before].to));
        word.from.back((pause / 2).max(self.frames(SOFT_S)))
    }

    /// An answer about an utterance that may go on; none where it comes too late.
    pub(crate) fn hear(&mut self, job: &Job, hearing: Hearing, answer: Vec<Word>) -> Option<Heard> {
        if job.id < self.current {
            return None;
        }
        self.enter(job.epoch);
        let mut new = self.news(job, hearing.from, answer);
        let care = care_in(hearing.snr_db);
        let [young, behind] = [care.young_s, care.behind_s].map(|seconds| self.frames(seconds));
        let doubted = |first: &Word| {
            let is_long = first.to.since(first.from) > self.frames(LONG_S);
            self.frames(if is_long { care.long_first_s } else { care.first_s })
        };
        let is_doubtful =
            |first: &Word| first.confidence < care.first_sure && job.to.since(first.from) < doubted(first);
        let begins_in_doubt = new.first().is_some_and(is_doubtful);
        let utterance = self.open.entry(job.id).or_insert_with(|| Utterance::of(job));
        utterance.to = utterance.to.max(job.to);
        utterance.snr_db = hearing.snr_db;
        let agreed = new.iter().zip(&utterance.tail).take_while(|(word, (before, _))| same(word, before)).count();
        shorten(&mut new[..agreed], &utterance.tail);
        let young = new.first().is_some_and(|first| job.to.since(first.from) < young);
        let doubtful = utterance.committed.is_empty() && begins_in_doubt;
        let once = u32::from(!young);
        let times = |at: usize| if at < agreed { utterance.tail[at].1 + once } else { once };
        let mut new: Vec<(Word, u32)> = new.into_iter().enumerate().map(|(at, word)| (word, times(at))).collect();
        let stays = |(word, times): &&(Word, u32)| {
            (*times > 2 || (*times == 2 && word.confidence >= care.sure)) && job.to.since(word.to) >= behind
        };
        let most = if doubtful { 0 } else { new.len().saturating_sub(1) };
        let stay = new.iter().take_while(stays).count().min(most);
        utterance.tail = new.split_off(stay);
        let committed: Vec<Word> = new.into_iter().map(|(word, _)| word).collect();
        utterance.committed.extend_from_slice(&committed);
        let tail = utterance.tail.iter().map(|(word, _)| word.clone());
        let words: Vec<Word> = utterance.committed.iter().cloned().chain(tail).collect();
        utterance.worded |= !words.is_empty();
        Some(Heard { committed, fixed: text_of(&utterance.committed), text: text_of(&words), words })
    }

    /// The last answer about an utterance: all of its words.
    pub(crate) fn settle(&mut self, job: &Job, hearing: Hearing, answer: Vec<Word>) -> Ended {
        self.enter(job.epoch);
        let new = self.news(job, hearing.from, answer);
        let mut utterance = self.close(job.id).unwrap_or_else(|| Utterance::of(job));
        utterance.committed.extend(new);
        self.end(utterance)
    }

    /// An utterance of which no last answer comes: the words that stay, where something of it was heard.
    pub(crate) fn give_up(&mut self, id: JobId) -> Option<Ended> {
        self.close(id).map(|utterance| self.end(utterance))
    }

    fn close(&mut self, id: JobId) -> Option<Utterance> {
        self.current = self.current.max(JobId(id.0.saturating_add(1)));
        self.open.remove(&id)
    }

    fn end(&mut self, utterance: Utterance) -> Ended {
        let Utterance { epoch, from, to, committed: words, worded, .. } = utterance;
        self.before = Some(Before { epoch, from, to });
        if epoch == self.epoch {
            self.said.extend_from_slice(&words);
            self.said.drain(..self.said.len().saturating_sub(KEPT));
        }
        Ended { from, to, words, worded }
    }

    /// The part of an answer that is new: what stands already is left out.
    fn news(&self, job: &Job, heard_from: FrameIndex, mut answer: Vec<Word>) -> Vec<Word> {
        let end = self.standing(job).last().map(|last| last.to);
        let heard: Vec<&Word> = self.standing(job).filter(|word| middle(word) >= heard_from.0).collect();
        let known = match end {
            Some(end) if !heard.is_empty() => self.overlap(&heard, &answer, end),
            _ => 0,
        };
        let mut new = answer.split_off(known);
        if self.own(job).is_empty() {
            // What another text would add to the utterance before comes too late.
            let earliest = job.from.back(self.frames(PLACED_EARLY_S));
            new.retain(|word| middle(word) >= earliest.0);
        }
        // Times go forward.
        let mut end = end.unwrap_or_default();
        for word in &mut new {
            word.from = word.from.max(end);
            word.to = word.to.max(word.from);
            end = word.to;
        }
        new
    }

    /// How many words of an answer say what stands, which ends at `end`.
    fn overlap(&self, standing: &[&Word], answer: &[Word], end: FrameIndex) -> usize {
        // Edits between all that stands and the first n words of the answer.
        let mut edits: Vec<usize> = (0..=answer.len()).collect();
        for (row, word) in standing.iter().enumerate() {
            let mut diagonal = edits[0];
            edits[0] = row + 1;
            for (at, other) in answer.iter().enumerate() {
                let replaced = diagonal + usize::from(!same(word, other));
                diagonal = edits[at + 1];
                edits[at + 1] = replaced.min(diagonal + 1).min(edits[at] + 1);
            }
        }
        let cost = |count: usize| {
            // Between two words is where the one ends and the other begins.
            let ends = count.checked_sub(1).and_then(|last| answer.get(last)).map_or(FrameIndex(0), |word| word.to);
            let begins = answer.get(count).map_or(FrameIndex(u64::MAX), |word| word.from);
            let apart = end.since(begins).max(ends.since(end));
            #[expect(clippy::cast_precision_loss, reason = "words")]
            let edits = edits[count] as f64;
            edits + FrameIndex(apart).seconds(self.sample_rate_hz) * EDITS_PER_S
        };
        (0..=answer.len()).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(0)
    }

    /// The words that stand before what is new in a job: of settled utterances, and its own. A settled one may have had
    /// some of its sound, where a listener died.
    fn standing<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Word> {
        // Frames of another ring say nothing of these.
        let said = if job.epoch == self.epoch { self.said.as_slice() } else { &[] };
        said.iter().filter(|word| middle(word) < job.to.0).chain(self.own(job))
    }

    /// The words of a job's utterance that are committed.
    fn own(&self, job: &Job) -> &[Word] {
        let utterance = self.open.get(&job.id).filter(|_| job.epoch == self.epoch);
        utterance.map(|utterance| utterance.committed.as_slice()).unwrap_or_default()
    }

    fn enter(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            // Frames of another ring cannot be heard together with these.
            self.said.clear();
            self.epoch = epoch;
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
    fn frames(&self, seconds: f64) -> u64 {
        (seconds * f64::from(self.sample_rate_hz)) as u64
    }
}

/// The care that so much noise takes.
const fn care_in(snr_db: u8) -> Care {
    if snr_db < CLEAR_DB { IN_NOISE } else { IN_QUIET }
}

impl Utterance {
    const fn of(job: &Job) -> Self {
        Self {
            epoch: job.epoch,
            from: job.from,
            to: job.to,
            committed: Vec::new(),
            tail: Vec::new(),
            worded: false,
            snr_db: u8::MAX,
        }
    }
}

/// Where two answers agree on words, the earlier end of each is right: what an answer ends with may be left without any time of
/// its own, and the word before it has that time, too. The last word of the answer before may have ended only with its sound.
fn shorten(agreed: &mut [Word], before: &[(Word, u32)]) {
    let ended = before.len().saturating_sub(1);
    for (word, (before, _)) in agreed.iter_mut().zip(&before[..ended]) {
        if before.to > word.from {
            word.to = word.to.min(before.to);
        }
    }
}

/// The end of what was said.
fn prompt(words: &[Word]) -> String {
    let text = text_of(words);
    let beyond = text.len().saturating_sub(PROMPT_BYTES);
    let begins = |&at: &usize| at == 0 || text[..at].ends_with(' ');
    let from = text.char_indices().map(|(at, _)| at).filter(|&at| at >= beyond).find(begins);
    from.map_or_else(String::new, |from| text[from..].to_owned())
}

const fn middle(word: &Word) -> u64 {
    word.from.0 + (word.to.0.saturating_sub(word.from.0)) / 2
}

/// Whether two words are the same but for case and punctuation.
fn same(a: &Word, b: &Word) -> bool {
    fn letters(word: &Word) -> impl Iterator<Item = char> {
        word.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
    }
    letters(a).eq(letters(b))
}

#[cfg(test)]
#[path = "agreement/tests.rs"]
mod tests;
