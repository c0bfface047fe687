use super::*;
use proptest::prelude::*;

/// Stretches of looks: (looks, probability, power).
fn script() -> impl Strategy<Value = Vec<(usize, f32, f32)>> {
    let probability = prop_oneof![Just(0.0_f32), Just(0.4), Just(1.0), 0.0_f32..1.0];
    let looks = prop_oneof![1_usize..4, 4_usize..60, 60_usize..1_200];
    prop::collection::vec((looks, probability, 0.0_f32..1.0), 1..12)
}

fn looks(script: &[(usize, f32, f32)]) -> Vec<Look> {
    script
        .iter()
        .flat_map(|&(looks, probability, power)| std::iter::repeat_n(Look { probability, power }, looks))
        .collect()
}

fn policies() -> impl Strategy<Value = Policy> {
    (any::<bool>(), 1_000_u64..40_000)
        .prop_map(|(join, ms)| if join { Policy::OFFLINE } else { Policy::LIVE }.within(ms * MS))
}

fn run(policy: Policy, floor: u64, looks: &[Look], tail: u64) -> Vec<Utterance> {
    let mut segmenter = Segmenter::new(policy, 0, floor);
    let mut utterances: Vec<_> = looks.iter().filter_map(|&look| segmenter.push(look)).collect();
    utterances.extend(segmenter.finish(looks.len() as u64 * LOOK_SAMPLES + tail));
    utterances
}

proptest! {
    #[test]
    fn utterances_are_ordered_disjoint_and_bounded(
        policy in policies(), script in script(), floor in 0_u64..200_000, tail in 0..LOOK_SAMPLES,
    ) {
        let looks = looks(&script);
        let end = looks.len() as u64 * LOOK_SAMPLES + tail;
        let mut before = floor;
        for utterance in run(policy, floor, &looks, tail) {
            prop_assert!(before <= utterance.from, "{utterance:?} begins before {before}");
            prop_assert!(utterance.from < utterance.speech_end && utterance.speech_end <= utterance.to);
            prop_assert!(utterance.to <= end);
            prop_assert!(utterance.to - utterance.from <= policy.longest, "{utterance:?}");
            before = utterance.to;
        }
    }

    #[test]
    fn all_speech_is_in_an_utterance(policy in policies(), script in script()) {
        let looks = looks(&script);
        let utterances = run(policy, 0, &looks, 0);
        let needed = usize::try_from(policy.speech_min.div_ceil(LOOK_SAMPLES)).expect("small");
        for (i, stretch) in looks.windows(needed).enumerate() {
            if stretch.iter().all(|look| look.probability >= policy.enter) {
                let (from, to) = (i as u64 * LOOK_SAMPLES, (i + needed) as u64 * LOOK_SAMPLES);
                let covered: u64 =
                    utterances.iter().map(|u| u.to.min(to).saturating_sub(u.from.max(from))).sum();
                prop_assert_eq!(covered, to - from, "speech {}..{} in {:?}", from, to, utterances);
            }
        }
    }

    #[test]
    fn the_mark_never_goes_back_and_covers_what_is_to_come(policy in policies(), script in script()) {
        let mut segmenter = Segmenter::new(policy, 0, 0);
        let mut mark = 0;
        for look in looks(&script) {
            let given = segmenter.push(look);
            prop_assert!(given.is_none_or(|u| u.from >= mark && segmenter.mark() >= u.to));
            prop_assert!(segmenter.mark() >= mark && segmenter.mark() <= segmenter.position());
            prop_assert!(segmenter.growing().is_none_or(|u| u.from == segmenter.mark()));
            mark = segmenter.mark();
        }
    }

    #[test]
    fn beginning_again_at_a_mark_finds_the_rest(script in script(), stop in 0_usize..2_000) {
        let looks = looks(&script);
        let whole = run(Policy::LIVE, 0, &looks, 0);
        let mut first = Segmenter::new(Policy::LIVE, 0, 0);
        let stop = stop.min(looks.len());
        let mut halves: Vec<_> = looks[..stop].iter().filter_map(|&look| first.push(look)).collect();
        // The one before is killed here; the next hears everything after the mark.
        let mark = first.mark();
        let start = usize::try_from(mark / LOOK_SAMPLES).expect("small");
        let mut second = Segmenter::new(Policy::LIVE, start as u64 * LOOK_SAMPLES, mark);
        halves.extend(looks[start..].iter().filter_map(|&look| second.push(look)));
        halves.extend(second.finish(looks.len() as u64 * LOOK_SAMPLES));
        // A cut in mid-speech may leave less than a click behind, which only the first remembers to be speech, and
        // speech between `leave` and `enter` continues a run but does not begin one.
        let plain = script.iter().all(|&(_, p, _)| !(0.35..0.5).contains(&p)) && whole.iter().all(|u| u.to - u.from < 19 * 16_000);
        if plain {
            prop_assert_eq!(halves, whole);
        }
    }
}

fn speech(looks: usize) -> (usize, f32, f32) {
    (looks, 0.9, 0.5)
}

fn silence(looks: usize) -> (usize, f32, f32) {
    (looks, 0.01, 0.0)
}

/// The utterance of a stretch of speech of so many looks, and how long after the speech it was known.
fn alone(spoken: usize) -> (Utterance, u64) {
    let mut segmenter = Segmenter::new(Policy::LIVE, 0, 0);
    let utterance =
        looks(&[silence(50), speech(spoken), silence(99)]).into_iter().find_map(|look| segmenter.push(look));
    let utterance = utterance.expect("one utterance");
    (utterance, segmenter.position() - utterance.speech_end)
}

#[test]
fn live_speech_ends_after_the_pause_and_a_word_alone_after_a_longer_one() {
    for (spoken, pause) in [(9, Policy::LIVE.pause_short), (120, Policy::LIVE.pause)] {
        let (start, end) = (50 * LOOK_SAMPLES, (50 + spoken as u64) * LOOK_SAMPLES);
        let to = end + Policy::LIVE.settle;
        let expected = Utterance { from: start - Policy::LIVE.padding, to, speech_end: end };
        assert_eq!(alone(spoken), (expected, pause.next_multiple_of(LOOK_SAMPLES)));
    }
}

#[test]
fn an_end_is_foreseen_once_in_each_pause() {
    let script = [silence(50), speech(30), silence(8), speech(30), silence(1), speech(9), silence(99)];
    let mut segmenter = Segmenter::new(Policy::LIVE, 0, 0);
    let (mut foreseen, mut given) = (Vec::new(), Vec::new());
    for look in looks(&script) {
        given.extend(segmenter.push(look));
        foreseen.extend(segmenter.tentative());
    }
    assert_eq!(foreseen.iter().map(|u| u.speech_end / LOOK_SAMPLES).collect::<Vec<_>>(), [80, 128]);
    assert_eq!(given, foreseen[1..], "the second one has come true");
}

#[test]
fn a_click_is_no_speech() {
    assert_eq!(run(Policy::LIVE, 0, &looks(&[silence(50), speech(3), silence(40)]), 0), []);
    assert_eq!(run(Policy::OFFLINE, 0, &looks(&[silence(50), speech(3), silence(1_000)]), 0), []);
}

#[test]
fn a_long_speech_is_cut_where_it_was_quiet() {
    let script = [speech(500), (3, 0.9, 0.1), speech(600), silence(30)];
    let utterances = run(Policy::LIVE, 0, &looks(&script), 0);
    assert_eq!(utterances.len(), 2, "{utterances:?}");
    assert_eq!(utterances[0].to, utterances[1].from);
    assert!((500..=503).contains(&(utterances[0].to / LOOK_SAMPLES)), "{utterances:?}");
}

#[test]
fn a_recording_is_joined_and_cut_at_its_longest_pause() {
    // 8 s, 1 s pause, 8 s, 2 s pause, 8 s, 1 s pause, 8 s
    let script =
        [speech(250), silence(31), speech(250), silence(62), speech(250), silence(31), speech(250), silence(99)];
    let utterances = run(Policy::OFFLINE, 0, &looks(&script), 0);
    let ends: Vec<_> = utterances.iter().map(|u| u.speech_end / LOOK_SAMPLES).collect();
    assert_eq!(ends, [531, 1_124]);
    assert_eq!(utterances[0].to - utterances[0].speech_end, Policy::OFFLINE.padding);
}

#[test]
fn a_short_pause_is_shared_between_its_neighbours() {
    let script = [speech(600), silence(10), speech(600), silence(99)];
    let utterances = run(Policy::OFFLINE, 0, &looks(&script), 0);
    assert_eq!(utterances[0].to, 605 * LOOK_SAMPLES);
    assert_eq!(utterances[1].from, 605 * LOOK_SAMPLES);
}
