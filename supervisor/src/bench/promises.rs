//! What the lines of `run --json` promise of one another: committed words are the beginning of their final, and no sound is
//! in two finals.

use super::said::{Kind, Said};

/// Nobody reads more.
const MOST: usize = 20;

/// Texts as they are compared: the space between two words is not said twice.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What breaks a promise, in words. The texts are those of one stream, in the order in which they came.
pub(super) fn broken(said: &[Said]) -> Vec<String> {
    let (mut broken, mut committed, mut end_s) = (Vec::new(), String::new(), f64::MIN);
    let mut shown = "";
    for text in said {
        match text.kind {
            Kind::Partial => shown = &text.text,
            Kind::Committed => committed.push_str(&squeezed(&text.text)),
            Kind::Final => {
                if !squeezed(&text.text).starts_with(&committed) {
                    broken.push(format!("committed {committed:?}, and then {:?}", text.text));
                }
                // Frames are compared as seconds.
                if text.start_s < end_s - 1e-3 {
                    broken.push(format!("{:?} begins at {:.3} s, before {end_s:.3} s", text.text, text.start_s));
                }
                (committed, shown, end_s) = (String::new(), "", text.end_s);
            }
        }
    }
    if !committed.is_empty() {
        broken.push(format!("committed {committed:?}, and then nothing"));
    } else if !shown.is_empty() {
        broken.push(format!("{shown:?} was shown, and then nothing"));
    }
    broken.truncate(MOST);
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind, start_s: f64, end_s: f64, text: &str) -> Said {
        Said { kind, emitted_s: end_s, start_s, end_s, text: text.into(), words: Vec::new() }
    }

    #[test]
    fn finals_begin_with_what_was_committed() {
        let mut all = vec![
            said(Kind::Partial, 0.0, 1.0, "And so by"),
            said(Kind::Committed, 0.0, 0.5, "And so"),
            said(Kind::Committed, 0.5, 1.0, "my"),
            said(Kind::Final, 0.0, 2.0, "And so my fellow Americans."),
            said(Kind::Final, 2.0, 3.0, "Ask not."),
            said(Kind::Partial, 4.0, 5.0, "you"),
            said(Kind::Partial, 4.0, 5.0, ""),
        ];
        assert_eq!(broken(&all), [""; 0]);
        all[2].text = "by".into();
        assert_eq!(broken(&all).len(), 1);
    }

    #[test]
    fn what_has_no_end_and_what_comes_twice_is_told() {
        let open = [said(Kind::Final, 0.0, 2.0, "One."), said(Kind::Committed, 3.0, 4.0, "two")];
        assert_eq!(broken(&open), ["committed \"two\", and then nothing"]);
        assert_eq!(broken(&[said(Kind::Partial, 3.0, 4.0, "two")]), ["\"two\" was shown, and then nothing"]);
        let twice = [said(Kind::Final, 0.0, 2.0, "One."), said(Kind::Final, 1.5, 3.0, "One.")];
        assert_eq!(broken(&twice).len(), 1);
    }
}
