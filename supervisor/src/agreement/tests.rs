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

#[test]
fn a_word_is_committed_when_two_answers_agree_and_another_follows() {
    let mut spoken = Spoken::new(RATE);
    let heard = spoken.hear(&job(1, 0, 1_900), FrameIndex(0), words("And so", 100));
    assert_eq!((heard.fixed.as_str(), heard.text.as_str()), ("", "And so"));
    let heard = spoken.hear(&job(1, 0, 2_300), FrameIndex(0), words("and so, my", 100));
    assert_eq!((texts(&heard.committed).as_str(), heard.text.as_str()), ("and so,", "and so, my"));
    // It changes its mind about what is not committed, and about what is: the latter stays.
    let heard = spoken.hear(&job(1, 0, 2_700), FrameIndex(0), words("end so by fellow", 100));
    assert_eq!((texts(&heard.committed).as_str(), heard.text.as_str()), ("", "and so, by fellow"));
    let settled = spoken.settle(&job(1, 0, 2_000), FrameIndex(0), words("And so my fellow Americans.", 100));
    assert_eq!(texts(&settled), "and so, my fellow Americans.");
}

#[test]
fn what_is_heard_of_a_first_second_is_not_trusted() {
    let mut spoken = Spoken::new(RATE);
    let committed = [500, 900, 1_400, 1_900, 2_400].map(|to| {
        let answer = if to < 1_200 { words("how do you marry", 100) } else { words("had he married a more", 100) };
        texts(&spoken.hear(&job(1, 0, to), FrameIndex(0), answer).committed)
    });
    assert_eq!(committed, ["", "", "", "had he married a", ""]);
}

#[test]
fn a_word_in_doubt_needs_three_answers() {
    let mut spoken = Spoken::new(RATE);
    let mut answer = words("unless to be rather", 100);
    answer[1].confidence = 30;
    let mut committed = Vec::new();
    for to in [1_700, 2_200, 2_700] {
        committed.push(texts(&spoken.hear(&job(1, 0, to), FrameIndex(0), answer.clone()).committed));
    }
    assert_eq!(committed, ["", "unless", "to be"]);
}

#[test]
fn a_repeated_phrase_is_said_as_often_as_it_was() {
    let mut spoken = Spoken::new(RATE);
    let text = "ask what you can do ask what you can do";
    let first = spoken.settle(&job(1, 0, 2_100), FrameIndex(0), words("ask what you can do", 100));
    assert_eq!(texts(&first), "ask what you can do");
    // Heard from within the first one on.
    let from = FrameIndex(100);
    assert_eq!(texts(&spoken.settle(&job(2, 2_100, 4_200), from, words(text, 100))), "ask what you can do");
    // All of it twice.
    let answer = words(&format!("{text} {text}"), 100);
    assert_eq!(texts(&spoken.settle(&job(3, 4_100, 8_200), FrameIndex(100), answer)), text);
}

#[test]
fn what_an_answer_leaves_out_of_the_words_before_costs_nothing() {
    let mut spoken = Spoken::new(RATE);
    spoken.settle(&job(1, 0, 2_100), FrameIndex(0), words("he was not an ill", 100));
    let short = spoken.clone().settle(&job(2, 2_100, 3_300), FrameIndex(100), words("disposed young man", 2_100));
    assert_eq!(texts(&short), "disposed young man");
    let wrong =
        spoken.settle(&job(2, 2_100, 3_300), FrameIndex(100), words("he was nothing ill disposed young man", 500));
    assert_eq!(texts(&wrong), "disposed young man");
}

#[test]
fn a_window_holds_what_is_not_committed_and_some_words_before() {
    let mut spoken = Spoken::new(RATE);
    let long = "a b c d e f g h i j k l m n o p q r s t";
    spoken.settle(&job(1, 0, 8_100), FrameIndex(0), words(long, 100));
    let text = |(from, prompt): (FrameIndex, String)| (from.0, prompt);
    assert_eq!(text(spoken.window(&job(2, 8_200, 9_000))), (8_200, String::new()));
    // In a long utterance the window follows what is committed, and begins in the longest pause.
    let mut answer = words(long, 20_100);
    answer[12].from = FrameIndex(answer[12].from.0 + 100);
    for to in [28_000, 28_400] {
        spoken.hear(&job(3, 20_000, to), FrameIndex(20_000), answer.clone());
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
        spoken.hear(&job(1, 0, to), FrameIndex(0), words("and so my", 100));
    }
    assert_eq!(texts(&spoken.give_up(JobId::new(1, 1))), "and so");
    assert_eq!(spoken.give_up(JobId::new(1, 1)), []);
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
        spoken.settle(&job(1, 0, 2_000), FrameIndex(0), words("a b c d", 100));
        let mut committed: Vec<Word> = Vec::new();
        let (last, before) = answers.split_last().expect("one at least");
        let said = |(letters, at): &(Vec<u8>, u64)| {
            let text: Vec<String> = letters.iter().map(|letter| char::from(b'a' + letter).to_string()).collect();
            words(&text.join(" "), *at)
        };
        for (count, answer) in before.iter().enumerate() {
            let heard = spoken.hear(&job(2, 2_000, 3_000 + count as u64 * 500), FrameIndex(from), said(answer));
            committed.extend(heard.committed.iter().cloned());
            prop_assert!(heard.words.starts_with(&committed));
            prop_assert_eq!(&heard.fixed, &text_of(&committed));
            prop_assert!(heard.text.starts_with(&heard.fixed));
        }
        let settled = spoken.settle(&job(2, 2_000, 9_000), FrameIndex(from), said(last));
        prop_assert!(settled.starts_with(&committed));
        prop_assert!(settled.iter().all(|word| word.from <= word.to));
        prop_assert!(settled.is_sorted_by(|a, b| a.to <= b.from));
    }
}
