//! The words of an English text, in a form in which what sounds the same is the same: without case, punctuation and
//! fillers, contractions and titles in full, numbers in digits, one spelling. Other languages lose case and punctuation.

use super::numbers::in_digits;
use super::spelling::american;

/// Sounds that are no words.
const FILLERS: [&str; 9] = ["ah", "eh", "er", "hm", "hmm", "mhm", "mm", "uh", "um"];

/// Contractions that follow no rule, and titles.
const IN_FULL: [(&str, &str); 34] = [
    ("ain't", "is not"),
    ("can't", "can not"),
    ("cannot", "can not"),
    ("capt", "captain"),
    ("dept", "department"),
    ("dr", "doctor"),
    ("etc", "et cetera"),
    ("gen", "general"),
    ("gonna", "going to"),
    ("gotta", "got to"),
    ("gov", "governor"),
    ("jr", "junior"),
    ("let's", "let us"),
    ("lt", "lieutenant"),
    ("ma'am", "madam"),
    ("mr", "mister"),
    ("mrs", "missus"),
    ("pres", "president"),
    ("prof", "professor"),
    ("rev", "reverend"),
    ("sen", "senator"),
    ("sgt", "sergeant"),
    ("shan't", "shall not"),
    ("sr", "senior"),
    ("st", "saint"),
    ("vs", "versus"),
    ("wanna", "want to"),
    ("won't", "will not"),
    ("y'all", "you all"),
    ("'em", "them"),
    ("'tis", "it is"),
    ("'twas", "it was"),
    ("c'mon", "come on"),
    ("kg", "kilograms"),
];

/// What a contraction's end stands for. "'s" is mostly "is", and a genitive in both texts.
const ENDINGS: [(&str, &str); 7] =
    [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'m", "am"), ("'d", "would"), ("'s", "is")];

/// The words to compare.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut plain = Vec::new();
    for token in money_last(tokens(text)) {
        spell_out(&token, &mut plain);
    }
    in_digits(&plain.iter().map(String::as_str).collect::<Vec<_>>())
}

/// "$3 million" is said "3 million dollars".
fn money_last(tokens: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut owed = None;
    for token in tokens {
        let currency = match token.as_str() {
            "$" => "dollar",
            "£" => "pound",
            "€" => "euro",
            _ => "",
        };
        let counts = matches!(token.as_str(), "hundred" | "thousand" | "million" | "billion" | "trillion");
        let number = token.starts_with(|letter: char| letter.is_ascii_digit());
        match owed.take() {
            Some((name, false)) if number => {
                owed = Some((name, true));
                out.push(token);
                continue;
            }
            Some((name, true)) if counts => {
                owed = Some((name, true));
                out.push(token);
                continue;
            }
            Some((name, true)) => out.push(named(name, out.last())),
            // A sign without a number is not said.
            Some((_, false)) | None => {}
        }
        if currency.is_empty() {
            out.push(token);
        } else {
            owed = Some((currency, false));
        }
    }
    if let Some((name, true)) = owed {
        out.push(named(name, out.last()));
    }
    out
}

fn named(currency: &str, number: Option<&String>) -> String {
    if number.is_some_and(|number| number == "1") { currency.to_owned() } else { format!("{currency}s") }
}

fn spell_out(token: &str, out: &mut Vec<String>) {
    if let Some((_, full)) = IN_FULL.iter().find(|(short, _)| *short == token) {
        return out.extend(full.split(' ').map(american));
    }
    let ending = ENDINGS.iter().find_map(|(ending, full)| Some((token.strip_suffix(ending)?, full)));
    if let Some((rest, full)) = ending.filter(|(rest, _)| !rest.is_empty()) {
        spell_out(rest, out);
        out.push((*full).to_owned());
    } else if token.contains('\'') {
        // What is left of quotes and genitives.
        spell_out(&token.replace('\'', ""), out);
    } else if !token.is_empty() && !FILLERS.contains(&token) {
        out.push(american(token));
    }
}

/// Words as they stand in the text: letters and digits in lower case, apostrophes, points within numbers. Remarks in
/// brackets are left out.
fn tokens(text: &str) -> Vec<String> {
    let text = without_remarks(text).to_lowercase();
    let letters: Vec<char> = text.chars().collect();
    let mut spaced = String::with_capacity(text.len());
    for (at, &letter) in letters.iter().enumerate() {
        let digit = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_digit);
        let inside_number = digit(at.checked_sub(1)) && digit(Some(at + 1));
        match letter {
            ',' if inside_number => {}
            '.' if inside_number => spaced.push('.'),
            '\u{2019}' | '\u{2018}' | '\u{2bc}' | '\'' => spaced.push('\''),
            '%' => spaced.push_str(" percent "),
            '$' | '£' | '€' => spaced.extend([' ', letter, ' ']),
            '&' => spaced.push_str(" and "),
            '+' => spaced.push_str(" plus "),
            // "U.S.A." is a word of three letters.
            '.' if is_initial(&letters, at) => {}
            letter if letter.is_alphanumeric() => push_plain(&mut spaced, letter),
            // Accents that stand alone.
            '\u{300}'..='\u{36f}' => {}
            _ => spaced.push(' '),
        }
    }
    let trimmed = spaced.split_whitespace().map(|token| match token {
        "'em" | "'tis" | "'twas" => token,
        _ => token.trim_matches('\''),
    });
    trimmed.filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// Whether the point at this place ends a single letter that another one follows or comes before.
fn is_initial(letters: &[char], at: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(|c| c.is_alphabetic());
    let alone = |at: usize| letter(Some(at)) && !letter(at.checked_sub(1));
    let Some(before) = at.checked_sub(1).filter(|&before| alone(before)) else { return false };
    let followed = letter(Some(at + 1)) && !letter(Some(at + 2)) && letters.get(at + 2) == Some(&'.');
    let follows = before.checked_sub(2).is_some_and(|two| letters[before - 1] == '.' && alone(two));
    followed || follows
}

fn without_remarks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find(['[', '(', '<']) {
        let close = match rest.as_bytes()[open] {
            b'[' => ']',
            b'(' => ')',
            _ => '>',
        };
        let Some(end) = rest[open..].find(close) else { break };
        out.push_str(&rest[..open]);
        out.push(' ');
        rest = &rest[open + end + 1..];
    }
    out.push_str(rest);
    out
}

/// The letter without its accent.
fn push_plain(out: &mut String, letter: char) {
    let plain = match letter {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'è'..='ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì'..='ï' | 'ī' => "i",
        'ñ' | 'ń' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ß' => "ss",
        'ś' | 'š' => "s",
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        other => return out.push(other),
    };
    out.push_str(plain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> String {
        words(text).join(" ")
    }

    #[test]
    fn what_sounds_the_same_is_the_same() {
        for (one, other) in [
            ("Mr. Smith's colour, um, isn't twenty-one!", "mister smith is color is not 21"),
            ("He was not an ill-disposed young man.", "he was not an ill disposed young man"),
            ("I can't; you cannot.", "i can not you can not"),
            ("It\u{2019}s 5:30, o\u{2019}clock", "it is 530 o'clock"),
            ("$1,234.50 (laughs) [BLANK_AUDIO]", "1234.50 dollars"),
            ("It cost $3 million, or £1.", "it cost three million dollars or one pound"),
            ("$ and €5", "and five euros"),
            ("They've won 50% & we'll see", "they have won 50 percent and we will see"),
            ("the U.S.A. and the U.S. Army", "the usa and the us army"),
            ("He left. I came.", "he left i came"),
            ("Café Zoë", "cafe zoe"),
            ("'Twas the dogs' night, let 'em", "it was the dogs night let them"),
            ("St. John", "saint john"),
            ("the 1st and the first", "the first and the 1st"),
            ("", " ... "),
        ] {
            assert_eq!(words(one), words(other), "{one}");
        }
        assert_eq!(plain("Mr. Smith's colour, um, isn't twenty-one!"), "mister smith is color is not 21");
        assert_eq!(plain("straße in 京都"), "strasse in 京都");
    }

    #[test]
    fn different_words_stay_different() {
        assert_ne!(words("asked not"), words("ask not"));
        assert_ne!(words("ill sposed"), words("ill disposed"));
        assert_ne!(words("fourteen"), words("forty"));
    }

    proptest! {
        #[test]
        fn a_second_time_changes_nothing(text in "[a-zA-Z0-9'., -]{0,60}") {
            let once = plain(&text);
            prop_assert_eq!(plain(&once), once);
        }

        #[test]
        fn numbers_side_by_side_never_panic(
            list in proptest::collection::vec(proptest::sample::select(vec![
                "a", "and", "one", "zero", "ten", "twenty", "hundred", "thousand", "million", "point", "7", "100",
                "999999999999999999999", "first", "thousandth", "2.5",
            ]), 0..12)
        ) {
            let once = plain(&list.join(" "));
            prop_assert!(once.is_empty() == list.is_empty());
        }

        #[test]
        fn any_text_gives_plain_words(text in any::<String>()) {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            }
        }

        #[test]
        fn case_and_spaces_do_not_count(list in proptest::collection::vec("[a-z]{1,8}", 0..8)) {
            let (small, large) = (list.join(" "), list.join("  ").to_uppercase());
            prop_assert_eq!(words(&small), words(&large));
        }
    }
}
