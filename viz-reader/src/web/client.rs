//! One page: what it listens to, what it asks, what it is told.
//!
//! It is told what is new a hundred times a second at the most. Whoever takes no message for five seconds is sent away;
//! until then its share of each stream is bounded, and what does not fit is told as lost.

use super::catalogue::Stream;
use super::feed::{Block, Happened, Life, Listener};
use super::history::{self, Asked};
use super::request::{self, Request};
use super::wire::{self, Head, Kind, Span, Why};
use super::{Server, assets};
use crate::rings::Shape;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often a page is told what is new.
const EVERY: Duration = Duration::from_millis(10);
/// How often it is told which streams there are, if that has changed.
const STREAMS_EVERY: Duration = Duration::from_secs(1);
/// How long a page may take for a message.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Senseless messages after which a page is sent away.
const NONSENSE_MAX: u32 = 16;
/// Streams that a page listens to at the most.
const SUBSCRIPTIONS_MAX: usize = 64;

/// Why a page is not served any longer.
enum End {
    /// It went, or does not take what it is sent.
    Gone,
    /// It is told why.
    Close(u16, &'static str),
}

/// A stream that a page listens to.
struct Subscription {
    id: u32,
    channels: u64,
    listener: Listener,
    /// The ring that it was told of last, and one past the last frame.
    told: Option<(Arc<Life>, u64)>,
    /// Messages of it were missed.
    missed: bool,
}

pub(super) struct Client {
    server: Arc<Server>,
    socket: WebSocket,
    subscriptions: BTreeMap<String, Subscription>,
    streams: Vec<Stream>,
    nonsense: u32,
}

impl Client {
    pub(super) const fn new(server: Arc<Server>, socket: WebSocket) -> Self {
        Self { server, socket, subscriptions: BTreeMap::new(), streams: Vec::new(), nonsense: 0 }
    }

    /// Serves it to its end.
    pub(super) async fn serve(mut self) {
        let End::Close(code, reason) = self.converse().await.err().unwrap_or(End::Gone) else { return };
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(TAKEN_WITHIN, self.socket.send(close)).await;
    }

    async fn converse(&mut self) -> Result<(), End> {
        self.admit().await?;
        let (said, mut words) = self.server.words.listen();
        self.say(json!({"type": "hello", "version": 1, "look": self.server.look})).await?;
        self.tell_streams().await?;
        if let Some(said) = said {
            self.send(Message::Text(said.into())).await?;
        }
        let mut loudness = self.server.loudness.clone();
        // What was told last is of now, or is told again in a moment.
        loudness.mark_changed();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut streams_at = Instant::now();
        loop {
            tokio::select! {
                message = self.socket.recv() => self.heed(message).await?,
                _ = ticks.tick() => {
                    self.tell_blocks().await?;
                    if streams_at.elapsed() >= STREAMS_EVERY {
                        self.tell_streams().await?;
                        streams_at = Instant::now();
                    }
                }
                said = words.recv() => match said {
                    Ok(said) => self.send(Message::Text(said.as_ref().into())).await?,
                    Err(broadcast::error::RecvError::Lagged(messages)) => {
                        self.say(json!({"type": "words", "session": null, "lost": messages, "words": []})).await?;
                    }
                    Err(broadcast::error::RecvError::Closed) => return Err(End::Gone),
                },
                changed = loudness.changed() => {
                    changed.map_err(|_| End::Gone)?;
                    let told = loudness.borrow_and_update().clone();
                    if let Some(told) = told {
                        self.send(Message::Text(told.as_ref().into())).await?;
                    }
                }
            }
        }
    }

    /// Waits for the token, where one is wanted.
    async fn admit(&mut self) -> Result<(), End> {
        if self.server.gate.token().is_none() {
            return Ok(());
        }
        let first = timeout(super::gate::TOKEN_WITHIN, self.socket.recv()).await;
        if let Ok(Some(Ok(Message::Text(text)))) = first
            && let Ok(Request::Token { token }) = serde_json::from_str(text.as_str())
            && self.server.gate.is_token(&token)
        {
            return Ok(());
        }
        Err(End::Close(close_code::POLICY, "the token is wanted that the address has which tympan viz --web printed"))
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(TAKEN_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn say(&mut self, message: Value) -> Result<(), End> {
        self.send(Message::Text(message.to_string().into())).await
    }

    async fn heed(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => return self.complain("messages to this server are text", None).await,
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            // Too long, or no message at all.
            Some(Err(_)) => return Err(End::Close(close_code::SIZE, "no message, or one that is too long")),
        };
        match serde_json::from_str::<Request>(text.as_str()) {
            Ok(request) => self.answer(request).await,
            Err(error) => self.complain(&format!("no request: {error}"), None).await,
        }
    }

    /// Says what is wrong with a request. Who sends nothing else goes.
    async fn complain(&mut self, error: &str, request: Option<u32>) -> Result<(), End> {
        self.nonsense += 1;
        self.say(json!({"type": "error", "error": error, "request": request})).await?;
        if self.nonsense >= NONSENSE_MAX {
            return Err(End::Close(close_code::POLICY, "too many requests that are none"));
        }
        Ok(())
    }

    async fn answer(&mut self, request: Request) -> Result<(), End> {
        match request {
            // Where none is wanted, one does no harm.
            Request::Token { .. } => Ok(()),
            Request::Subscribe { stream, channels } => match request::mask(channels.as_deref()) {
                Ok(mask) => self.subscribe(stream, mask).await,
                Err(error) => self.complain(&error, None).await,
            },
            Request::Unsubscribe { stream } => {
                self.subscriptions.remove(&stream);
                Ok(())
            }
            Request::Frames { request, stream, from, to, channels } => {
                self.past(request, stream, (from, to), channels.as_deref(), None).await
            }
            Request::Overview { request, stream, from, to, columns, channels } => {
                self.past(request, stream, (from, to), channels.as_deref(), Some(columns)).await
            }
        }
    }

    async fn subscribe(&mut self, stream: String, channels: u64) -> Result<(), End> {
        if let Some(subscription) = self.subscriptions.get_mut(&stream) {
            subscription.channels = channels;
            return Ok(());
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return self.complain(&format!("{SUBSCRIPTIONS_MAX} streams are the most"), None).await;
        }
        let Some(listener) = self.server.feeds.listen(&self.server.catalogue, &stream) else {
            return self.complain(&format!("there is no stream \"{stream}\""), None).await;
        };
        let id = self.server.catalogue.id(&stream);
        self.subscriptions.insert(stream, Subscription { id, channels, listener, told: None, missed: false });
        Ok(())
    }

    /// Answers a question about the past. Reading takes a while: others are served meanwhile, this page is not.
    async fn past(
        &mut self,
        request: u32,
        stream: String,
        (from, to): (u64, u64),
        channels: Option<&[usize]>,
        columns: Option<u32>,
    ) -> Result<(), End> {
        let channels = match request::mask(channels) {
            Ok(mask) => mask,
            Err(error) => return self.complain(&error, Some(request)).await,
        };
        let asked = Asked { stream, from, to, channels, request };
        let Ok(permit) = Arc::clone(&self.server.readers).acquire_owned().await else { return Err(End::Gone) };
        let server = Arc::clone(&self.server);
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            columns.map_or_else(
                || history::frames(&server.catalogue, &asked),
                |columns| history::overview(&server.catalogue, &asked, columns),
            )
        });
        match answer.await {
            Ok(Ok(bytes)) => self.send(Message::Binary(bytes.into())).await,
            Ok(Err(error)) => self.complain(&error, Some(request)).await,
            Err(_) => Err(End::Gone),
        }
    }

    async fn tell_streams(&mut self) -> Result<(), End> {
        let streams = self.server.streams();
        let same =
            |a: &Stream, b: &Stream| (a.id, a.epoch, a.state, &a.session) == (b.id, b.epoch, b.state, &b.session);
        let changed =
            streams.len() != self.streams.len() || !streams.iter().zip(&self.streams).all(|(a, b)| same(a, b));
        self.streams.clone_from(&streams);
        // Before the first one, an empty list says that there is none.
        if changed || streams.is_empty() {
            self.say(json!({"type": "streams", "streams": streams})).await?;
        }
        Ok(())
    }

    async fn tell_blocks(&mut self) -> Result<(), End> {
        let mut messages = Vec::new();
        let mut gone = Vec::new();
        for (stream, subscription) in &mut self.subscriptions {
            let mut blocks: Vec<Arc<Block>> = Vec::new();
            loop {
                match subscription.listener.try_recv() {
                    Ok(Happened::Block(block)) => {
                        if blocks.last().is_some_and(|last| !follows(last, &block)) {
                            subscription.tell(stream, &std::mem::take(&mut blocks), &mut messages);
                        }
                        blocks.push(block);
                    }
                    Ok(Happened::Ended { state, at }) => {
                        subscription.tell(stream, &std::mem::take(&mut blocks), &mut messages);
                        let state = state.as_str();
                        messages.push(text(json!({"type": "ended", "stream": stream, "state": state, "at": at})));
                    }
                    Ok(Happened::Failed(error)) => {
                        messages.push(text(json!({"type": "error", "error": &*error, "stream": stream})));
                    }
                    Err(TryRecvError::Lagged(_)) => {
                        subscription.tell(stream, &std::mem::take(&mut blocks), &mut messages);
                        subscription.missed = true;
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Closed) => {
                        gone.push(stream.clone());
                        break;
                    }
                }
            }
            subscription.tell(stream, &blocks, &mut messages);
        }
        for message in messages {
            self.send(message).await?;
        }
        for stream in gone {
            self.subscriptions.remove(&stream);
            self.say(json!({"type": "gone", "stream": stream})).await?;
        }
        Ok(())
    }
}

fn text(message: Value) -> Message {
    Message::Text(message.to_string().into())
}

/// Whether both can go in one message: nothing is between them, and they are of one ring.
fn follows(earlier: &Block, later: &Block) -> bool {
    Arc::ptr_eq(&earlier.life, &later.life) && earlier.end_frame() == later.first_frame && later.spans.is_empty()
}

impl Subscription {
    /// One message of blocks that follow each other, and before it what the page must know to understand it.
    fn tell(&mut self, stream: &str, blocks: &[Arc<Block>], messages: &mut Vec<Message>) {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return };
        let mut spans = first.spans.clone();
        if std::mem::take(&mut self.missed)
            && let Some((told, end)) = &self.told
        {
            if told.is_counted_as(&first.life) {
                spans = with_losses(*end, first.first_frame, spans);
            } else {
                // What else was read of the ring before is told as its own: frames of the next one are others.
                if let Some((left, read_to)) = &first.life.left
                    && std::ptr::eq(left.as_ptr(), Arc::as_ptr(told))
                    && end < read_to
                {
                    let lost = Span { from: *end, to: *read_to, why: Why::Lost };
                    messages.push(self.message(&told.shape, *read_to, &[lost], &[]));
                }
                spans = with_losses(first.life.entered, first.first_frame, spans);
            }
        }
        let life = &first.life;
        if !self.told.as_ref().is_some_and(|(told, _)| Arc::ptr_eq(told, life)) {
            messages.push(self.epoch(
                stream,
                life,
                spans.iter().map(|span| span.from).fold(first.first_frame, u64::min),
            ));
        }
        if blocks.iter().any(|block| block.frames > 0) || !spans.is_empty() {
            messages.push(self.message(&life.shape, first.first_frame, &spans, blocks));
        }
        self.told = Some((Arc::clone(life), last.end_frame()));
    }

    /// A ring was entered. What is told of it begins with frame `at`, be it there or missing.
    fn epoch(&self, stream: &str, life: &Life, at: u64) -> Message {
        let shape = &life.shape;
        text(json!({
            "type": "epoch", "stream": stream, "id": self.id, "epoch": shape.epoch,
            "session": shape.session.map(|session| session.to_string()),
            "file": life.file.map(|(device, inode)| format!("{device:x}-{inode:x}")),
            "sample_rate_hz": shape.sample_rate_hz, "channels": shape.channels,
            "labels": (0..shape.channels).map(|channel| shape.label(channel)).collect::<Vec<_>>(),
            "first_frame": shape.first_frame.0, "capacity_frames": shape.capacity_frames,
            "at": at,
        }))
    }

    /// What is missing, and the frames of blocks of one ring.
    fn message(&self, shape: &Shape, first_frame: u64, spans: &[Span], blocks: &[Arc<Block>]) -> Message {
        let frames: usize = blocks.iter().map(|block| block.frames).sum();
        let chosen: Vec<usize> = wire::chosen(self.channels, shape.channels).collect();
        let head = Head {
            kind: Kind::Live,
            stream: self.id,
            epoch: shape.epoch,
            first_frame,
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            sample_rate_hz: shape.sample_rate_hz,
            channels: chosen.iter().fold(0, |mask, channel| mask | 1 << channel),
            written_us: blocks.last().map_or(0, |block| block.written_us),
            request: 0,
            span_frames: frames as u64,
        };
        let mut bytes = wire::begin(&head, spans, frames * chosen.len());
        for channel in chosen {
            for block in blocks {
                wire::add(&mut bytes, &block.planar[channel * block.frames..(channel + 1) * block.frames]);
            }
        }
        Message::Binary(bytes.into())
    }
}

/// Spans in order, and as lost what they leave out of frames `from..to`: nothing is told twice.
fn with_losses(from: u64, to: u64, mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| span.from);
    let mut all = Vec::with_capacity(spans.len() + 1);
    let mut rest = from;
    for span in spans {
        if rest < span.from.min(to) {
            all.push(Span { from: rest, to: span.from.min(to), why: Why::Lost });
        }
        rest = rest.max(span.to);
        all.push(span);
    }
    if rest < to {
        all.push(Span { from: rest, to, why: Why::Lost });
    }
    all
}

/// An answer without a page.
pub(super) fn refused(status: StatusCode, why: &'static str) -> Response {
    (status, assets::rules(), why).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::wire::{HEAD_BYTES, SPAN_BYTES};
    use super::*;
    use shm_layout::{FrameIndex, SessionId};

    fn life(session: Option<u8>, epoch: u64, entered: u64, left: Option<(&Arc<Life>, u64)>) -> Arc<Life> {
        let shape = Shape {
            version: if session.is_some() { 2 } else { 1 },
            session: session.map(|byte| SessionId([byte; 16])),
            epoch,
            sample_rate_hz: 8_000,
            channels: 1,
            capacity_frames: 1_000,
            first_frame: FrameIndex(0),
            labels: Vec::new(),
        };
        let left = left.map(|(life, read_to)| (Arc::downgrade(life), read_to));
        Arc::new(Life { shape, file: Some((1, epoch)), entered, left })
    }

    fn block(life: &Arc<Life>, first_frame: u64, frames: usize, spans: &[Span]) -> Arc<Block> {
        let (life, planar) = (Arc::clone(life), vec![0.5; frames]);
        Arc::new(Block { life, first_frame, frames, spans: spans.to_vec(), written_us: 1, planar })
    }

    const fn span(from: u64, to: u64, why: Why) -> Span {
        Span { from, to, why }
    }

    /// A page that was told of a ring up to this frame, and then missed something.
    fn behind(told: &Arc<Life>, end: u64) -> Subscription {
        let listener = Listener::of_nothing();
        Subscription { id: 0, channels: 1, listener, told: Some((Arc::clone(told), end)), missed: true }
    }

    /// What is told with a block: `at` of an epoch, or the spans and frames of a message.
    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        Epoch(u64),
        Frames(Vec<(u64, u64, u32)>, u64, u32),
    }

    fn told(subscription: &mut Subscription, block: Arc<Block>) -> Vec<Told> {
        let mut messages = Vec::new();
        subscription.tell("mic", &[block], &mut messages);
        let read = |message| match message {
            Message::Text(text) => {
                Told::Epoch(serde_json::from_str::<Value>(text.as_str()).unwrap()["at"].as_u64().unwrap())
            }
            Message::Binary(bytes) => {
                let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
                let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
                let count = usize::from(u16::from_le_bytes(bytes[2..4].try_into().unwrap()));
                let at = |index: usize| HEAD_BYTES + index * SPAN_BYTES;
                let spans = (0..count).map(|n| (u64_at(at(n)), u64_at(at(n) + 8), u32_at(at(n) + 16)));
                Told::Frames(spans.collect(), u64_at(16), u32_at(24))
            }
            other => panic!("{other:?}"),
        };
        messages.into_iter().map(read).collect()
    }

    const GAP: u32 = Why::Gap as u32;
    const LOST: u32 = Why::Lost as u32;

    #[test]
    fn what_is_missed_into_the_next_life_is_lost_where_it_is_no_gap() {
        let first = life(Some(7), 1, 0, None);
        let second = life(Some(7), 2, 300, Some((&first, 250)));
        let mut page = behind(&first, 100);
        let news = told(&mut page, block(&second, 300, 0, &[span(250, 300, Why::Gap)]));
        let spans = vec![(100, 250, LOST), (250, 300, GAP)];
        assert_eq!(news, [Told::Epoch(100), Told::Frames(spans, 300, 0)]);
        // Nothing is missed any more.
        assert_eq!(told(&mut page, block(&second, 300, 10, &[])), [Told::Frames(vec![], 300, 10)]);
    }

    #[test]
    fn what_comes_before_the_first_frame_comes_after_the_epoch_s_own() {
        let first = life(Some(7), 1, 0, None);
        let second = life(Some(7), 2, 300, Some((&first, 250)));
        let mut page = Subscription { missed: false, ..behind(&first, 250) };
        let news = told(&mut page, block(&second, 300, 10, &[span(250, 300, Why::Gap)]));
        assert_eq!(news, [Told::Epoch(250), Told::Frames(vec![(250, 300, GAP)], 300, 10)]);
    }

    #[test]
    fn what_is_missed_of_two_rings_is_told_of_each() {
        for session in [None, Some(8)] {
            let first = life(session.map(|_| 7), 0, 0, None);
            let second = life(session, 0, 40, Some((&first, 250)));
            let mut page = behind(&first, 100);
            let news = told(&mut page, block(&second, 60, 10, &[]));
            let end = Told::Frames(vec![(100, 250, LOST)], 250, 0);
            assert_eq!(news, [end, Told::Epoch(40), Told::Frames(vec![(40, 60, LOST)], 60, 10)]);
        }
    }

    #[test]
    fn every_missing_frame_is_told_once() {
        let inside = [span(12, 15, Why::Gap), span(18, 20, Why::Lost), span(23, 26, Why::Gap)];
        for (from, to) in (0..30).flat_map(|from| (from..30).map(move |to| (from, to))) {
            let all = with_losses(from, to, inside.to_vec());
            for frame in 0..30 {
                let why = |spans: &[Span]| {
                    spans
                        .iter()
                        .filter(|span| (span.from..span.to).contains(&frame))
                        .map(|span| span.why)
                        .collect::<Vec<_>>()
                };
                let mut right = why(&inside);
                if right.is_empty() && (from..to).contains(&frame) {
                    right.push(Why::Lost);
                }
                assert_eq!(why(&all), right, "frame {frame} of {from}..{to}");
            }
        }
    }
}
