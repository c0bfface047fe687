//! Numbers in words and in digits meet in one form: digits.

/// What a word adds to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Unit(u64),
    Teen(u64),
    Tens(u64),
    Hundred,
    Scale(u64),
    Digits(u64),
}

/// Twenty and more words of a number never follow each other; no number is larger than this.
const MAX: u64 = 1_000_000_000_000_000;

const UNITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(&str, u64); 4] =
    [("thousand", 1_000), ("million", 1_000_000), ("billion", 1_000_000_000), ("trillion", 1_000_000_000_000)];
/// Ordinals that are not the number and "th".
const ORDINALS: [(&str, &str); 20] = [
    ("first", "one"),
    ("second", "two"),
    ("third", "three"),
    ("fifth", "five"),
    ("eighth", "eight"),
    ("ninth", "nine"),
    ("twelfth", "twelve"),
    ("twentieth", "twenty"),
    ("thirtieth", "thirty"),
    ("fortieth", "forty"),
    ("fiftieth", "fifty"),
    ("sixtieth", "sixty"),
    ("seventieth", "seventy"),
    ("eightieth", "eighty"),
    ("ninetieth", "ninety"),
    ("hundredth", "hundred"),
    ("thousandth", "thousand"),
    ("millionth", "million"),
    ("billionth", "billion"),
    ("trillionth", "trillion"),
];

fn part(word: &str) -> Option<Part> {
    let place = |list: &[&str]| list.iter().position(|name| *name == word).map(|at| at as u64);
    if let Some(n) = place(&UNITS) {
        return Some(Part::Unit(n));
    }
    if let Some(n) = place(&TEENS) {
        return Some(Part::Teen(n + 10));
    }
    if let Some(n) = place(&TENS) {
        return Some(Part::Tens((n + 2) * 10));
    }
    if word == "hundred" {
        return Some(Part::Hundred);
    }
    if let Some((_, scale)) = SCALES.iter().find(|(name, _)| *name == word) {
        return Some(Part::Scale(*scale));
    }
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|&n| digits && n < MAX).map(Part::Digits)
}

fn ordinal(word: &str) -> Option<Part> {
    if let Some((_, cardinal)) = ORDINALS.iter().find(|(name, _)| *name == word) {
        return part(cardinal);
    }
    part(word.strip_suffix("th")?).filter(|part| !matches!(part, Part::Digits(_)))
}

/// A number while its words come.
#[derive(Debug, Clone, Copy, Default)]
struct Number {
    done: u64,
    group: u64,
    last: Option<Part>,
    scale: Option<u64>,
}

impl Number {
    /// The number with another part, where it can follow.
    fn with(mut self, part: Part) -> Option<Self> {
        let opens = matches!(self.last, None | Some(Part::Hundred | Part::Scale(_)));
        match part {
            Part::Unit(0) | Part::Digits(_) if self.last.is_some() => return None,
            Part::Unit(n) if opens || matches!(self.last, Some(Part::Tens(_))) => self.group += n,
            Part::Teen(n) | Part::Tens(n) | Part::Digits(n) if opens => self.group += n,
            Part::Hundred if self.last.is_none() => self.group = 100,
            Part::Hundred if (1..100).contains(&self.group) && !matches!(self.last, Some(Part::Scale(_))) => {
                self.group *= 100;
            }
            Part::Scale(scale) if self.scale.is_none_or(|before| scale < before) => {
                if self.group == 0 && self.last.is_some() {
                    return None;
                }
                self.done += self.group.max(1).checked_mul(scale).filter(|&n| n < MAX)?;
                (self.group, self.scale) = (0, Some(scale));
            }
            Part::Unit(_) | Part::Teen(_) | Part::Tens(_) | Part::Digits(_) | Part::Hundred | Part::Scale(_) => {
                return None;
            }
        }
        self.last = Some(part);
        Some(self)
    }

    const fn value(&self) -> u64 {
        self.done + self.group
    }

    /// Whether "and" can stand inside it here, as in "a hundred and five".
    const fn takes_and(&self) -> bool {
        matches!(self.last, Some(Part::Hundred | Part::Scale(_)))
    }
}

fn suffix(n: u64) -> &'static str {
    match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

/// A number at the beginning of these words: how it is written, and how many words it takes.
fn read(words: &[&str]) -> Option<(String, usize)> {
    let mut number = Number::default();
    let mut taken = 0;
    // "a hundred" is "one hundred".
    if let [article, next, ..] = words
        && matches!(*article, "a" | "an")
        && matches!(part(next), Some(Part::Hundred | Part::Scale(_)))
    {
        taken = 1;
    }
    let begins = taken;
    loop {
        let mut at = taken;
        if words.get(at) == Some(&"and") && number.takes_and() {
            at += 1;
        }
        let Some(word) = words.get(at) else { break };
        if let Some(more) = part(word).and_then(|part| number.with(part)) {
            (number, taken) = (more, at + 1);
        } else if let Some(more) = ordinal(word).and_then(|part| number.with(part)) {
            return Some((format!("{}{}", more.value(), suffix(more.value())), at + 1));
        } else {
            break;
        }
    }
    if taken == begins {
        return None;
    }
    // Leading zeros are said.
    let mut text = match words[..taken] {
        [only] if matches!(number.last, Some(Part::Digits(_))) => only.to_owned(),
        _ => number.value().to_string(),
    };
    let digit = |word: &&str| match part(word) {
        Some(Part::Unit(n)) => Some(n),
        _ => None,
    };
    if words.get(taken) == Some(&"point") && words.get(taken + 1).is_some_and(|word| digit(word).is_some()) {
        text.push('.');
        taken += 1;
        while let Some(n) = words.get(taken).and_then(digit) {
            text.push_str(&n.to_string());
            taken += 1;
        }
    }
    Some((text, taken))
}

/// The words with every number in digits. Numbers side by side become one ("nineteen ninety", "5 5 5 1 2 3 4"), for how
/// they are grouped cannot be heard.
pub(super) fn in_digits(words: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let all_digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut at = 0;
    while at < words.len() {
        let (text, taken) = read(&words[at..]).unwrap_or_else(|| (words[at].to_owned(), 1));
        match out.last_mut() {
            Some(before) if all_digits(before) && all_digits(&text) => before.push_str(&text),
            _ => out.push(text),
        }
        at += taken;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> String {
        in_digits(&text.split(' ').collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn words_become_digits() {
        for (words, written) in [
            ("twenty one guns", "21 guns"),
            ("one hundred and five", "105"),
            ("a hundred and a dog", "100 and a dog"),
            ("two thousand three hundred and forty five", "2345"),
            ("nineteen ninety", "1990"),
            ("four million", "4000000"),
            ("4 million", "4000000"),
            ("five five five one two three four", "5551234"),
            ("three point one four", "3.14"),
            ("the twenty first of may", "the 21st of may"),
            ("the first time", "the 1st time"),
            ("twelfth night", "12th night"),
            ("one hundredth", "100th"),
            ("zero", "0"),
            ("007", "007"),
            ("bread and butter", "bread and butter"),
            ("one and two", "1 and 2"),
            ("thousand", "1000"),
            ("a thousand and one nights", "1001 nights"),
            ("a man", "a man"),
            ("the point one makes", "the point 1 makes"),
            ("twelve hundred", "1200"),
            ("one million two hundred thousand", "1200000"),
        ] {
            assert_eq!(digits(words), written);
            assert_eq!(digits(written), written, "a second time changes nothing");
        }
    }
}
