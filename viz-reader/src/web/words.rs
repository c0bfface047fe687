//! The words of a running instance: asked of its control socket a few times a second, for all pages at once.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

/// How often is asked.
const EVERY: Duration = Duration::from_millis(150);
/// How often is looked for an instance, or whether it answers now.
const RETRY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The longest answer that a control socket gives.
const ANSWER_BYTES_MAX: u64 = 256 << 10;
/// What a page that comes later is told.
const KEPT: usize = 500;
/// Messages that a page may be behind.
const BEHIND: usize = 64;

/// What was said, and who is told.
#[derive(Debug)]
pub(super) struct Words {
    kept: Mutex<Kept>,
    sender: broadcast::Sender<Arc<str>>,
}

#[derive(Debug, Default)]
struct Kept {
    words: VecDeque<Value>,
    /// Whose words they are.
    session: Value,
}

impl Words {
    /// Nothing was said yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), sender: broadcast::channel(BEHIND).0 })
    }

    /// All that was said of late, as a message, and what will be.
    pub(super) fn listen(&self) -> (Option<String>, broadcast::Receiver<Arc<str>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<Value> = kept.words.iter().cloned().collect();
        let said = (!words.is_empty()).then(|| message(&kept.session, &words, 0));
        (said, self.sender.subscribe())
    }

    /// Takes an answer in; how far words are known then. `None`: it is none. Another session's words are numbered anew.
    fn take(&self, answer: &Value, known: u64) -> Option<u64> {
        let last = answer.get("last")?.as_u64()?;
        let words = answer.get("words")?.as_array()?;
        let session = answer.get("session").unwrap_or(&Value::Null);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.session != *session {
            *kept = Kept { words: VecDeque::new(), session: session.clone() };
            if known > 0 {
                return Some(0);
            }
        }
        // What was said before anybody asked is no loss.
        let forgotten = answer.get("forgotten").and_then(Value::as_u64).unwrap_or(0);
        let lost = if known > 0 { forgotten.saturating_sub(known) } else { 0 };
        if words.is_empty() && lost == 0 {
            return Some(last);
        }
        kept.words.retain(|old| !words.iter().any(|new| stands_for(new, old)));
        kept.words.extend(words.iter().cloned());
        let surplus = kept.words.len().saturating_sub(KEPT);
        kept.words.drain(..surplus);
        // With the lock held: a page that listens now is told once.
        let _ = self.sender.send(message(session, words, lost).into());
        Some(last)
    }

    /// Asks for as long as it is polled. Without an instance there are no words, and that is no fault.
    pub(super) async fn ask(self: Arc<Self>, folder: PathBuf) {
        let mut known = 0;
        loop {
            // What breaks the connection is the instance's end, or an older version that knows no such question.
            let _ = self.converse(&folder, &mut known).await;
            sleep(RETRY).await;
        }
    }

    async fn converse(&self, folder: &Path, known: &mut u64) -> io::Result<()> {
        let stream = UnixStream::connect(folder.join("control.sock")).await?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let mut line = Vec::new();
        loop {
            if self.sender.receiver_count() > 0 {
                let request = format!("{}\n", json!({"command": "words", "after": known, "live": true}));
                write.write_all(request.as_bytes()).await?;
                line.clear();
                let answer = timeout(ANSWER_WITHIN, read_line(&mut read, &mut line)).await;
                answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                let answer: Value = serde_json::from_slice(&line)?;
                *known = self.take(&answer, *known).ok_or(io::ErrorKind::Unsupported)?;
            }
            sleep(EVERY).await;
        }
    }
}

/// Whether a newer text stands for an older one: what is unfinished of a stream is replaced by what comes next of it.
fn stands_for(new: &Value, old: &Value) -> bool {
    let replaces = new["event"] == "partial" || new["event"] == "final";
    old["event"] == "partial" && replaces && new["stream"] == old["stream"]
}

async fn read_line(read: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> io::Result<()> {
    use tokio::io::AsyncReadExt;
    let bytes = (&mut *read).take(ANSWER_BYTES_MAX).read_until(b'\n', line).await?;
    if bytes == 0 || line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn message(session: &Value, words: &[Value], lost: u64) -> String {
    json!({"type": "words", "session": session, "lost": lost, "words": words}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    /// An instance that knows two words, and tells of them once it was asked so often.
    async fn instance(listener: UnixListener) {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let mut after = Vec::new();
        for turn in 0..3 {
            let mut line = Vec::new();
            read_line(&mut read, &mut line).await.unwrap();
            let request: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(request["command"], "words");
            after.push(request["after"].as_u64().unwrap());
            let words =
                if turn == 1 { vec![json!({"event": "committed", "number": 7, "text": "hello"})] } else { vec![] };
            let last = if turn == 0 { 6 } else { 7 };
            let answer = format!("{}\n", json!({"session": "a", "last": last, "forgotten": 0, "words": words}));
            write.write_all(answer.as_bytes()).await.unwrap();
        }
        assert_eq!(after, [0, 6, 7]);
    }

    #[test]
    fn another_session_begins_anew_and_what_was_forgotten_is_told() {
        let words = Words::new();
        let (_, mut receiver) = words.listen();
        let word = json!({"event": "committed", "text": "x"});
        let answer = |session: &str, forgotten: u64, last: u64| json!({"session": session, "last": last, "forgotten": forgotten, "words": [word]});
        assert_eq!(words.take(&answer("a", 30, 40), 0), Some(40));
        assert_eq!(serde_json::from_str::<Value>(&receiver.try_recv().unwrap()).unwrap()["lost"], 0);
        assert_eq!(words.take(&answer("a", 50, 60), 40), Some(60));
        assert_eq!(serde_json::from_str::<Value>(&receiver.try_recv().unwrap()).unwrap()["lost"], 10);
        // It is asked for all of the new session's words.
        assert_eq!(words.take(&answer("b", 0, 3), 60), Some(0));
        assert!(receiver.try_recv().is_err());
        assert_eq!(words.take(&answer("b", 0, 3), 0), Some(3));
        let told: Value = serde_json::from_str(&receiver.try_recv().unwrap()).unwrap();
        assert_eq!((&told["session"], &told["words"]), (&json!("b"), &json!([word])));
        assert_eq!(words.take(&json!({"error": "no such command"}), 3), None);
    }

    #[test]
    fn of_unfinished_texts_the_newest_is_kept() {
        let words = Words::new();
        let event = |event: &str, stream: &str, text: &str| json!({"event": event, "stream": stream, "text": text});
        let mut known = 0;
        let mut take = |said: &[Value]| {
            words.take(&json!({"session": "a", "last": known + 1, "forgotten": 0, "words": said}), known);
            known += 1;
            let (said, _) = words.listen();
            let message: Value = serde_json::from_str(&said.unwrap()).unwrap();
            let texts =
                message["words"].as_array().unwrap().iter().map(|word| word["text"].as_str().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(take(&[event("partial", "a", "one"), event("partial", "b", "two")]), ["one", "two"]);
        assert_eq!(
            take(&[event("committed", "a", "one"), event("partial", "a", "one more")]),
            ["two", "one", "one more"]
        );
        assert_eq!(take(&[event("final", "a", "one more.")]), ["two", "one", "one more."]);
    }

    #[tokio::test]
    async fn words_are_asked_for_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("control.sock")).unwrap();
        let words = Words::new();
        let (said, mut receiver) = words.listen();
        assert_eq!(said, None);
        let asking = tokio::spawn(Arc::clone(&words).ask(dir.path().to_owned()));
        timeout(Duration::from_secs(50), instance(listener)).await.unwrap();
        let told: Value = serde_json::from_str(&receiver.recv().await.unwrap()).unwrap();
        assert_eq!((&told["type"], &told["words"][0]["text"]), (&json!("words"), &json!("hello")));
        assert!(receiver.try_recv().is_err());
        // Who comes later is told the same.
        let (said, _) = words.listen();
        assert_eq!(serde_json::from_str::<Value>(&said.unwrap()).unwrap(), told);
        asking.abort();
    }
}
