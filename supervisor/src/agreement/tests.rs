use super::*;
use control_protocol::{JobKind, Samples, StreamName};
use proptest::prelude::*;

const RATE: u32 = 1_000;

fn job(count: u32, from: u64, to: u64) -> Job {
    Job {
        id: JobId::new(1, count),
        kind: JobKind::Partial,
        stream: StreamName::new("mic").unwrap(),
        epoch: Epoch(1),
        from: FrameIndex(from),
        to: FrameIndex(to),
        speech_end: FrameIndex(to),
        samples: Samples::Ring,
    }
}

/// Words of 300 ms, one every 400 ms, the first at `at`.
fn words(text: &str, at: u64) -> Vec<Word> {
    let word = |(n, text): (usize, &str)| {
        let from = at + n as u64 * 400;
        Word {
            text: format!(" {text}"),
            from: FrameIndex(from),
            to: FrameIndex(from + 300),
            confidence: 90,
            line: n == 0,
        }
    };
    text.split_whitespace().enumerate().map(word).collect()
}

fn texts(words: &[Word]) -> String {
    text_of(words)
}

/// A job of a listener's life.
fn job_of(life: u32, from: u64, to: u64) -> Job {
    Job { id: JobId::new(life, 1), ..job(1, from, to) }
}

fn clearly(from: u64) -> Hearing {
    Hearing { from: FrameIndex(from), snr_db: 40 }
}

fn hear(spoken: &mut Spoken, job: &Job, heard_from: u64, answer: Vec<Word>) -> Heard {
    spoken.hear(job, clearly(heard_from), answer).expect("in time")
}

fn settle(spoken: &mut Spoken, job: &Job, heard_from: u64, answer: Vec<Word>) -> Vec<Word> {
    spoken.settle(job, clearly(heard_from), answer).words
}

/// No last answer is on its way.
const fn nothing_comes(_: JobId) -> bool {
    false
}

#[test]
fn a_word_is_committed_when_two_answers_agree_and_another_follows() {
    let mut spoken = Spoken::new(RATE);
    let heard = hear(&mut spoken, &job(1, 0, 1_900), 0, words("And so", 100));
    assert_eq!((heard.fixed.as_str(), heard.text.as_str()), ("", "And so"));
    let heard = hear(&mut spoken, &job(1, 0, 2_300), 0, words("and so, my", 100));
    assert_eq!((texts(&heard.committed).as_str(), heard.text.as_str()), ("and so,", "and so, my"));
    // It changes its mind about what is not committed, and about what is: the latter stays.
    let heard = hear(&mut spoken, &job(1, 0, 2_700), 0, words("end so by fellow", 100));
    assert_eq!((texts(&heard.committed).as_str(), heard.text.as_str()), ("", "and so, by fellow"));
    let settled = settle(&mut spoken, &job(1, 0, 2_000), 0, words("And so my fellow Americans.", 100));
    assert_eq!(texts(&settled), "and so, my fellow Americans.");
}

#[test]
fn a_word_that_is_left_without_time_is_not_lost() {
    let mut spoken = Spoken::new(RATE);
    let first = words("made still more real", 100);
    let mut second = words("made still more respectable", 100);
    // The alignment gives its time to the word before it.
    second[2].to = second[3].to;
    second[3].from = second[3].to;
    hear(&mut spoken, &job(1, 0, 1_700), 0, first);
    let heard = hear(&mut spoken, &job(1, 0, 2_300), 0, second);
    assert_eq!((texts(&heard.committed).as_str(), heard.committed[2].to.0), ("made still more", 1_200));
    let settled = settle(&mut spoken, &job(1, 0, 3_500), 0, words("made still more respectable than he", 100));
    assert_eq!(texts(&settled), "made still more respectable than he");
}

#[test]
fn what_is_heard_of_the_first_moments_is_not_trusted() {
    let mut spoken = Spoken::new(RATE);
    let committed = [300, 450, 900, 1_400, 1_900].map(|to| {
        let answer = if to < 500 { words("how do you marry", 100) } else { words("had he married a more", 100) };
        texts(&hear(&mut spoken, &job(1, 0, to), 0, answer).committed)
    });
    assert_eq!(committed, ["", "", "", "had he married a", ""]);
}

#[test]
fn a_word_in_doubt_needs_three_answers() {
    let mut spoken = Spoken::new(RATE);
    let mut answer = words("unless to be rather", 100);
    answer[1].confidence = 29;
    let mut committed = Vec::new();
    for to in [1_700, 2_200, 2_700] {
        committed.push(texts(&hear(&mut spoken, &job(1, 0, to), 0, answer.clone()).committed));
    }
    assert_eq!(committed, ["", "unless", "to be"]);
}

#[test]
fn where_the_first_word_is_in_doubt_one_before_it_may_be_missing() {
    let mut spoken = Spoken::new(RATE);
    let mut mister = words("mr john dashwood had then leisure to consider", 500);
    mister[0].confidence = 45;
    mister[0].from = FrameIndex(100);
    let mut and = words("and mr john dashwood had then leisure to consider how", 100);
    and[0].confidence = 45;
    let mut committed = Vec::new();
    for to in [2_500, 3_000, 3_500, 4_000] {
        committed.push(texts(&hear(&mut spoken, &job(1, 0, to), 0, mister.clone()).committed));
    }
    for to in [4_500, 5_000] {
        committed.push(texts(&hear(&mut spoken, &job(1, 0, to), 0, and.clone()).committed));
    }
    assert_eq!(committed, ["", "", "", "", "", "and mr john dashwood had then leisure to consider"]);
}

#[test]
fn where_a_short_first_word_is_in_doubt_it_may_be_another_one() {
    let mut spoken = Spoken::new(RATE);
    let (mut how, mut had) = (words("how do you marry a", 100), words("had he married a more", 100));
    how[0].confidence = 45;
    had[0].confidence = 45;
    let mut committed = Vec::new();
    for (to, answer) in [(1_000, &how), (1_500, &how), (2_000, &had), (2_500, &had), (3_000, &had)] {
        committed.push(texts(&hear(&mut spoken, &job(1, 0, to), 0, answer.clone()).committed));
    }
    assert_eq!(committed, ["", "", "", "", "had he married a"]);
}

#[test]
fn in_noise_more_is_heard_at_once() {
    let begin = |snr_db| {
        let mut spoken = Spoken::new(RATE);
        for to in [4_500, 5_000] {
            let answer = words("unless to be rather cold hearted and rather selfish", 100);
            let hearing = Hearing { from: FrameIndex(0), snr_db };
            spoken.hear(&job(1, 0, to), hearing, answer).expect("in time");
        }
        spoken.window(&job(1, 0, 7_000)).0.0
    };
    assert_eq!(begin(12), 0);
    assert!(begin(40) > 0);
}

#[test]
fn in_noise_a_last_text_is_heard_with_the_sentence_before() {
    let last = |from, to| Job { kind: JobKind::Final, ..job(2, from, to) };
    let spoken_in = |snr_db| {
        let hearing = |from| Hearing { from: FrameIndex(from), snr_db };
        let mut spoken = Spoken::new(RATE);
        spoken.settle(&job(1, 1_000, 4_000), hearing(1_000), words("he was not ill", 1_200));
        spoken.hear(&job(2, 5_000, 6_000), hearing(5_000), words("so", 5_200)).expect("in time");
        spoken
    };
    assert_eq!(spoken_in(40).window(&last(5_000, 8_000)).0.0, 5_000, "nobody waits longer for nothing");
    let mut spoken = spoken_in(12);
    assert_eq!(spoken.window(&last(5_000, 8_000)), (FrameIndex(1_000), String::new()));
    assert_eq!(spoken.window(&job(2, 5_000, 8_000)).0.0, 5_000, "there will be another text");
    assert_eq!(spoken.window(&last(5_000, 24_000)).0.0, 5_000, "too long together");
    assert_eq!(spoken.window(&Job { epoch: Epoch(2), ..last(5_000, 8_000) }).0.0, 5_000, "another ring");
    // What it says of the sentence before is said already, or comes too late.
    let hearing = Hearing { from: FrameIndex(1_000), snr_db: 12 };
    let answer = [words("he was not very ill", 1_200), words("so old a man", 5_200)].concat();
    assert_eq!(texts(&spoken.clone().settle(&last(5_000, 8_000), hearing, answer).words), "so old a man");
    spoken.forget_sound_before(FrameIndex(4_500));
    assert_eq!(spoken.window(&last(5_000, 8_000)).0.0, 5_000, "nobody listened in between");
    let mut spoken = spoken_in(12);
    spoken.give_up(JobId::new(1, 2));
    spoken.hear(&job(3, 10_500, 12_000), Hearing { from: FrameIndex(10_500), snr_db: 12 }, words("a b", 11_000));
    assert_eq!(spoken.window(&Job { id: JobId::new(1, 3), ..last(10_500, 13_000) }).0.0, 10_500, "a long pause");
}

#[test]
fn in_noise_words_wait_for_what_is_behind_them() {
    let mut spoken = Spoken::new(RATE);
    let text = "unless to be rather cold hearted and rather selfish";
    let noisy = |from| Hearing { from: FrameIndex(from), snr_db: 12 };
    let mut committed = Vec::new();
    for to in [1_700, 2_500, 3_000, 3_500, 4_000] {
        let answer = words(text, 100).into_iter().filter(|word| word.to.0 <= to).collect();
        committed.push(texts(&spoken.hear(&job(1, 0, to), noisy(0), answer).expect("in time").committed));
    }
    assert_eq!(committed, ["", "", "", "", "unless to be rather cold hearted and"]);
}

#[test]
fn a_repeated_phrase_is_said_as_often_as_it_was() {
    let mut spoken = Spoken::new(RATE);
    let text = "ask what you can do ask what you can do";
    let first = settle(&mut spoken, &job(1, 0, 2_100), 0, words("ask what you can do", 100));
    assert_eq!(texts(&first), "ask what you can do");
    // Heard from within the first one on.
    assert_eq!(texts(&settle(&mut spoken, &job(2, 2_100, 4_200), 100, words(text, 100))), "ask what you can do");
    // All of it twice.
    let answer = words(&format!("{text} {text}"), 100);
    assert_eq!(texts(&settle(&mut spoken, &job(3, 4_100, 8_200), 100, answer)), text);
}

#[test]
fn what_an_answer_leaves_out_of_the_words_before_costs_nothing() {
    let mut spoken = Spoken::new(RATE);
    settle(&mut spoken, &job(1, 0, 2_100), 0, words("he was not an ill", 100));
    let short = settle(&mut spoken.clone(), &job(2, 2_100, 3_300), 100, words("disposed young man", 2_100));
    assert_eq!(texts(&short), "disposed young man");
    let wrong = settle(&mut spoken, &job(2, 2_100, 3_300), 100, words("he was nothing ill disposed young man", 500));
    assert_eq!(texts(&wrong), "disposed young man");
}

#[test]
fn a_window_holds_what_is_not_committed_and_some_words_before() {
    let mut spoken = Spoken::new(RATE);
    let long = "a b c d e f g h i j k l m n o p q r s t";
    settle(&mut spoken, &job(1, 0, 8_100), 0, words(long, 100));
    let text = |(from, prompt): (FrameIndex, String)| (from.0, prompt);
    assert_eq!(text(spoken.window(&job(2, 8_200, 9_000))), (8_200, String::new()));
    // In a long utterance the window follows what is committed, and begins in the longest pause.
    let mut answer = words(long, 20_100);
    answer[12].from = FrameIndex(answer[12].from.0 + 100);
    for to in [28_000, 28_400] {
        hear(&mut spoken, &job(3, 20_000, to), 20_000, answer.clone());
    }
    assert_eq!(text(spoken.window(&job(3, 20_000, 29_000))), (24_880, "a b c d e f g h i j k l".to_owned()));
    assert_eq!(spoken.window(&job(3, 20_000, 25_000)).0, FrameIndex(20_000), "short enough to be heard as a whole");
}

#[test]
fn a_prompt_is_the_end_of_what_was_said() {
    let long = vec!["word"; 100].join(" ");
    assert!(prompt(&words(&long, 0)).len() <= PROMPT_BYTES && prompt(&words(&long, 0)).starts_with("word "));
    assert_eq!(prompt(&words("äöü", 0)), "äöü");
    assert_eq!(prompt(&[]), "");
}

#[test]
fn what_is_never_settled_keeps_what_was_committed() {
    let mut spoken = Spoken::new(RATE);
    for to in [1_900, 2_300] {
        hear(&mut spoken, &job(1, 0, to), 0, words("and so my", 100));
    }
    let ended = spoken.give_up(JobId::new(1, 1)).expect("an utterance");
    assert_eq!((texts(&ended.words).as_str(), ended.from.0, ended.to.0, ended.worded), ("and so", 0, 2_300, true));
    assert_eq!(spoken.give_up(JobId::new(1, 1)), None);
    assert_eq!(spoken.hear(&job(1, 0, 2_700), clearly(0), words("and so my", 100)), None, "late");
}

/// "and so my" with two words committed, and its listener is dead.
fn orphaned() -> Spoken {
    let mut spoken = Spoken::new(RATE);
    for to in [1_900, 2_300] {
        hear(&mut spoken, &job_of(1, 1_000, 1_000 + to), 1_000, words("and so my", 1_100));
    }
    spoken
}

#[test]
fn the_next_listener_goes_on_with_what_the_one_before_has_heard() {
    for from in [900, 1_000, 1_300] {
        let mut spoken = orphaned();
        let next = job_of(2, from, 3_700);
        assert_eq!(spoken.meet(&next, nothing_comes), []);
        assert_eq!(spoken.hear(&job_of(1, 1_000, 3_800), clearly(1_000), words("and so my", 1_100)), None, "late");
        let heard = hear(&mut spoken, &next, from, words("And so my fellow Americans", 1_100));
        assert_eq!(texts(&heard.committed), "my", "what was heard before counts");
        assert_eq!(heard.text, "and so my fellow Americans");
        let words = settle(&mut spoken, &next, from, words("And so my fellow Americans.", 1_100));
        assert_eq!(texts(&words), "and so my fellow Americans.");
    }
}

#[test]
fn a_short_utterance_may_have_words_that_were_heard_beyond_it() {
    // The next listener cuts where the first did not.
    let mut spoken = orphaned();
    let (short, rest) = (job_of(2, 1_000, 1_450), Job { id: JobId::new(2, 2), ..job_of(2, 1_460, 4_000) });
    assert_eq!(spoken.meet(&short, nothing_comes), []);
    assert_eq!(spoken.meet(&rest, |id| id == short.id), []);
    assert_eq!(texts(&settle(&mut spoken, &short, 1_000, words("And", 1_100))), "and so");
    assert_eq!(texts(&settle(&mut spoken, &rest, 1_460, words("so my fellow", 1_500))), "my fellow");
}

#[test]
fn what_no_next_listener_hears_ends_with_what_was_committed() {
    let ended = |ended: Vec<Ended>| ended.iter().map(|ended| texts(&ended.words)).collect::<Vec<_>>();
    // The next utterance is another one.
    let mut spoken = orphaned();
    assert_eq!(ended(spoken.meet(&job_of(2, 3_300, 5_000), nothing_comes)), ["and so"]);
    assert_eq!(ended(spoken.meet(&job_of(2, 3_300, 5_500), nothing_comes)), [""; 0]);
    // The place is passed where nobody speaks.
    let mut spoken = orphaned();
    assert_eq!(spoken.pass(Epoch(1), FrameIndex(3_299), nothing_comes), []);
    assert_eq!(spoken.pass(Epoch(1), FrameIndex(3_300), |id| id == JobId::new(1, 1)), [], "its answer comes");
    assert_eq!(ended(spoken.pass(Epoch(1), FrameIndex(3_300), nothing_comes)), ["and so"]);
    assert_eq!(spoken.pass(Epoch(1), FrameIndex(9_000), nothing_comes), []);
    // In a ring that is no more.
    assert_eq!(ended(orphaned().pass(Epoch(2), FrameIndex(10), nothing_comes)), ["and so"]);
    let other = Job { epoch: Epoch(2), ..job_of(2, 1_000, 5_000) };
    assert_eq!(ended(orphaned().meet(&other, nothing_comes)), ["and so"]);
    // An utterance that lies before it changes nothing.
    let mut spoken = orphaned();
    let (before, again) = (job_of(2, 200, 900), Job { id: JobId::new(2, 2), ..job_of(2, 1_000, 3_700) });
    assert_eq!(spoken.meet(&before, nothing_comes), []);
    assert_eq!(texts(&settle(&mut spoken, &before, 200, words("oh", 300))), "oh");
    assert_eq!(spoken.meet(&again, nothing_comes), []);
    assert_eq!(texts(&settle(&mut spoken, &again, 1_000, words("and so my", 1_100))), "and so my");
}

#[test]
fn an_utterance_whose_answer_comes_is_nobody_elses() {
    let mut spoken = orphaned();
    let next = Job { id: JobId::new(1, 2), ..job_of(1, 3_300, 5_000) };
    assert_eq!(spoken.meet(&next, |id| id == JobId::new(1, 1)), []);
    assert_eq!(texts(&settle(&mut spoken, &job_of(1, 1_000, 3_300), 1_000, words("and so my", 1_100))), "and so my");
    assert_eq!(texts(&hear(&mut spoken, &next, 3_300, words("fellow", 3_400)).words), "fellow");
}

#[test]
fn text_of_which_nothing_stays_is_told() {
    let mut spoken = Spoken::new(RATE);
    hear(&mut spoken, &job(1, 0, 1_900), 0, words("you", 100));
    let ended = spoken.settle(&job(1, 0, 2_500), clearly(0), Vec::new());
    assert!(ended.words.is_empty() && ended.worded);
    assert!(!spoken.settle(&job(2, 3_000, 4_000), clearly(0), Vec::new()).worded);
}

/// Answers that have little to do with one another: words, and when the first of them was spoken.
fn answers() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    prop::collection::vec((prop::collection::vec(0_u8..4, 0..12), 0_u64..6_000), 1..12)
}

proptest! {
    /// Whatever the recogniser says: what is committed is the beginning of all that follows.
    #[test]
    fn committed_text_is_append_only(answers in answers(), from in 0_u64..3_000) {
        let mut spoken = Spoken::new(RATE);
        settle(&mut spoken, &job(1, 0, 2_000), 0, words("a b c d", 100));
        let mut committed: Vec<Word> = Vec::new();
        let (last, before) = answers.split_last().expect("one at least");
        let said = |(letters, at): &(Vec<u8>, u64)| {
            let text: Vec<String> = letters.iter().map(|letter| char::from(b'a' + letter).to_string()).collect();
            words(&text.join(" "), *at)
        };
        for (count, answer) in before.iter().enumerate() {
            let heard = hear(&mut spoken, &job(2, 2_000, 3_000 + count as u64 * 500), from, said(answer));
            committed.extend(heard.committed.iter().cloned());
            prop_assert!(heard.words.starts_with(&committed));
            prop_assert_eq!(&heard.fixed, &text_of(&committed));
            prop_assert!(heard.text.starts_with(&heard.fixed));
        }
        let settled = settle(&mut spoken, &job(2, 2_000, 9_000), from, said(last));
        prop_assert!(settled.starts_with(&committed));
        prop_assert!(settled.iter().all(|word| word.from <= word.to));
        prop_assert!(settled.is_sorted_by(|a, b| a.to <= b.from));
    }

    /// Listeners die in the middle of a sentence, again and again, and each finds its beginning a little elsewhere: no word is
    /// lost, none comes twice, and what was committed is the beginning of the words in the end.
    #[test]
    fn no_word_is_lost_or_doubled_by_a_death(deaths in prop::collection::vec((1_200_u64..2_500, 0_u64..300, 0_u64..3), 1..5)) {
        const SENTENCE: &str = "a b c d e f g h i j k l m n o p q r s t u v w x y z";
        let sentence = words(SENTENCE, 1_000);
        let heard_in = |from: u64, to: u64| -> Vec<Word> {
            sentence.iter().filter(|word| middle(word) >= from && word.to.0 <= to).cloned().collect()
        };
        let (mut spoken, mut committed, mut to) = (Spoken::new(RATE), Vec::new(), 1_000);
        for (life, (length, late, unheard)) in (1_u32..).zip(&deaths) {
            let end = (to + length).min(11_000);
            // What was going to be heard when the listener died comes late, or never.
            while to < end {
                to += 500;
                let job = job_of(life, 700 + late, to);
                prop_assert_eq!(spoken.meet(&job, nothing_comes), []);
                let (from, _) = spoken.window(&job);
                let heard = hear(&mut spoken, &job, from.0, heard_in(from.0, to));
                committed.extend(heard.committed);
                prop_assert!(heard.words.starts_with(&committed));
            }
            to = to.saturating_sub(unheard * 500).max(1_000);
        }
        let last = job_of(99, 900, 12_000);
        prop_assert_eq!(spoken.meet(&last, nothing_comes), []);
        let (from, _) = spoken.window(&last);
        let all = settle(&mut spoken, &last, from.0, heard_in(from.0, 12_000));
        prop_assert!(all.starts_with(&committed));
        prop_assert_eq!(texts(&all), SENTENCE);
    }
}
