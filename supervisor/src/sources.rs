//! Sources as users write them: `URI` or `NAME=URI`.

use crate::refusal::{Refusal, refuse};
use anyhow::{Context, Result};
use control_protocol::{Exit, SOURCES_MAX, StreamName, URI_BYTES_MAX};
use std::collections::HashSet;
use std::io::IsTerminal;

/// URI schemes, each with the name its streams get by default.
const SCHEMES: [(&str, &str); 7] = [
    ("device:", "mic"),
    ("file:", "file"),
    ("demo:", "demo"),
    ("stdin:", "stdin"),
    // Never the ring's own name: in the rings' folder that belongs to its writer.
    ("ring:", "ring"),
    ("test:", "test"),
    ("virtual:", "test"),
];

/// Why `stdin:` is no source for an instance that runs already.
pub(crate) const STDIN_BELONGS_TO_RUN: &str =
    "an instance that runs already has its own standard input, or none; `tympan run stdin:` reads a pipe";

/// Name and URI of one source more, beside streams of these names.
///
/// # Errors
/// When it is no source; says what is.
pub(crate) fn parse_one_more(text: &str, taken: &[StreamName]) -> Result<(StreamName, String)> {
    if text == "-"
        || text.starts_with("stdin:")
        || text.split_once('=').is_some_and(|(_, uri)| uri.starts_with("stdin:"))
    {
        refuse!(Usage, "stdin: {STDIN_BELONGS_TO_RUN}");
    }
    let (name, uri) = parse(&[text.to_owned()])?.remove(0);
    let is_named = split(text)?.0.is_some();
    if is_named {
        return Ok((name, uri));
    }
    let taken = taken.iter().cloned().chain([StreamName::mix()]).collect();
    Ok((free_name(default_name(&uri), &taken)?, uri))
}

/// Names and URIs of the wanted sources. Paths of files become absolute, for the engine has its own folder.
///
/// # Errors
/// When one is not a source; says what is.
pub(crate) fn parse(wanted: &[String]) -> Result<Vec<(StreamName, String)>> {
    let mut taken = HashSet::from([StreamName::mix()]);
    let mut sources = Vec::new();
    for text in wanted {
        let (name, uri) = split(text)?;
        let uri = match (uri.strip_prefix("file:"), uri.strip_prefix("ring:")) {
            (Some(path), _) => absolute_file(path)?,
            (_, Some(ring)) if ring.contains('/') => format!("ring:{}", absolute(ring)?),
            _ => uri,
        };
        if uri.len() > URI_BYTES_MAX {
            let begin: String = uri.chars().take(60).collect();
            refuse!(
                Usage,
                "{begin}... has {} bytes, and a source at most {URI_BYTES_MAX}; a link to the file is shorter",
                uri.len()
            );
        }
        if uri.starts_with("stdin:") {
            if std::io::stdin().is_terminal() {
                refuse!(
                    Usage,
                    "stdin: standard input is a terminal; pipe sound into it, as in `ffmpeg -i talk.mp3 -f wav - | tympan run stdin:`"
                );
            }
            if sources.iter().any(|(_, other): &(_, String)| other.starts_with("stdin:")) {
                refuse!(Usage, "stdin: can be given once only");
            }
        }
        let name = match name {
            Some(name) => StreamName::new(name).map_err(|e| Refusal::new(Exit::Usage, e.to_string()))?,
            None => free_name(default_name(&uri), &taken)?,
        };
        if !taken.insert(name.clone()) {
            refuse!(Usage, "the stream name {name} is given twice, or is `mix`, which the engine needs");
        }
        sources.push((name, uri));
    }
    if sources.len() > SOURCES_MAX {
        refuse!(Usage, "{} sources: {SOURCES_MAX} are the most", sources.len());
    }
    Ok(sources)
}

fn default_name(uri: &str) -> &'static str {
    SCHEMES.iter().find(|(scheme, _)| uri.starts_with(scheme)).map_or("source", |(_, name)| name)
}

fn split(text: &str) -> Result<(Option<&str>, String)> {
    let is_uri = |text: &str| SCHEMES.iter().any(|(scheme, _)| text.starts_with(scheme));
    if is_uri(text) {
        return Ok((None, text.to_owned()));
    }
    if let Some((name, uri)) = text.split_once('=')
        && is_uri(uri)
    {
        return Ok((Some(name), uri.to_owned()));
    }
    if text == "-" {
        return Ok((None, "stdin:".to_owned()));
    }
    if text.contains("://") {
        refuse!(Usage, "{text} is on the network; fetch it first, or: ffmpeg -i {text} -f wav - | tympan run -");
    }
    // People name files as files.
    let path = std::path::Path::new(text);
    if path.exists() {
        return Ok((None, format!("file:{text}")));
    }
    if text.contains('/') || path.extension().is_some() {
        refuse!(NoInput, "there is no file {text}");
    }
    let known: Vec<_> = SCHEMES.iter().map(|(scheme, _)| *scheme).collect();
    let meant =
        if known.contains(&format!("{text}:").as_str()) { format!("did you mean {text}:? ") } else { String::new() };
    refuse!(
        Usage,
        "{text} is no file here and no source; {meant}a source begins with one of {}, and `tympan help run` has examples",
        known.join(" ")
    );
}

fn absolute_file(path: &str) -> Result<String> {
    let path = path.strip_prefix("//").map_or(path, |rest| rest);
    if path.is_empty() {
        refuse!(Usage, "file: needs a path, as in file:talk.wav");
    }
    Ok(format!("file:{}", absolute(path)?))
}

fn absolute(path: &str) -> Result<String> {
    let path = std::path::absolute(path)?;
    Ok(path.to_str().with_context(|| format!("{}: a path that is not UTF-8", path.display()))?.to_owned())
}

fn free_name(base: &str, taken: &HashSet<StreamName>) -> Result<StreamName> {
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    for name in std::iter::once(base.to_owned()).chain(numbered) {
        let name = StreamName::new(name)?;
        if !taken.contains(&name) {
            return Ok(name);
        }
    }
    refuse!(Usage, "no free stream name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<_> = wanted.iter().map(|&s| s.to_owned()).collect();
        parse(&wanted).unwrap().into_iter().map(|(name, uri)| format!("{name}={uri}")).collect()
    }

    #[test]
    fn names_come_from_the_scheme_or_the_user() {
        let seen = names(&[
            "device:",
            "test:tone",
            "virtual:noise?hz=3",
            "guest=file:/a/b=c.wav",
            "/dev/null",
            "ring:call",
            "ring:/a/call.ring",
        ]);
        let expected = [
            "mic=device:",
            "test=test:tone",
            "test-2=virtual:noise?hz=3",
            "guest=file:/a/b=c.wav",
            "file=file:/dev/null",
            "ring=ring:call",
            "ring-2=ring:/a/call.ring",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn one_more_has_a_name_that_is_free() {
        let taken = ["mic", "test"].map(|name| StreamName::new(name).unwrap());
        let one = |text: &str| parse_one_more(text, &taken).map(|(name, uri)| format!("{name}={uri}"));
        assert_eq!(one("device:").unwrap(), "mic-2=device:");
        assert_eq!(one("/dev/null").unwrap(), "file=file:/dev/null");
        assert_eq!(one("mic=test:tone").unwrap(), "mic=test:tone", "whoever names it is told");
        for stdin in ["-", "stdin:", "pipe=stdin:rate=8000"] {
            assert!(one(stdin).unwrap_err().to_string().contains("runs already"), "{stdin}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused_in_words() {
        let error = |text: &str| parse(&[text.to_owned()]).unwrap_err().to_string();
        assert!(error("microphone").contains("a source begins with"));
        assert!(error("demo").contains("did you mean demo:?"));
        assert!(error("https://example.org/a.mp3").contains("ffmpeg -i https://example.org/a.mp3"));
        assert_eq!(error("/no/talk.wav"), "there is no file /no/talk.wav");
        assert_eq!(error("talk.wav"), "there is no file talk.wav");
        assert!(error("Bad Name=test:tone").contains("stream name"));
        assert!(error("mix=test:tone").contains("mix"));
        assert!(error("file:").contains("needs a path"));
        let many: Vec<_> = (0..65).map(|n| format!("s{n}=test:silence")).collect();
        assert_eq!(parse(&many).unwrap_err().to_string(), "65 sources: 64 are the most");
        let long = error(&format!("file:/{}", "x".repeat(URI_BYTES_MAX)));
        assert!(long.contains("3078 bytes") && long.len() < 200, "{long}");
    }
}
