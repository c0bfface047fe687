//! One page: what it listens to, what it asks, what it is told.
//!
//! It is told what is new a hundred times a second at the most. Whoever takes no message for five seconds is sent away;
//! until then its share of each stream is bounded, and what does not fit is told as lost.

use super::catalogue::Stream;
use super::feed::{Block, Happened};
use super::history::{self, Asked};
use super::request::{self, Request};
use super::wire::{self, Head, Kind, Span, Why};
use super::{Server, assets};
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
    receiver: broadcast::Receiver<Happened>,
    /// The shape that it was told last, and one past the last frame.
    told: Option<(Arc<crate::rings::Shape>, u64)>,
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
        let Some(receiver) = self.server.feeds.listen(&self.server.catalogue, &stream) else {
            return self.complain(&format!("there is no stream \"{stream}\""), None).await;
        };
        let id = self.server.catalogue.id(&stream);
        self.subscriptions.insert(stream, Subscription { id, channels, receiver, told: None, missed: false });
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
                match subscription.receiver.try_recv() {
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
    Arc::ptr_eq(&earlier.shape, &later.shape) && earlier.end_frame() == later.first_frame && later.spans.is_empty()
}

impl Subscription {
    /// One message of blocks that follow each other, and before it what the page must know to understand it.
    fn tell(&mut self, stream: &str, blocks: &[Arc<Block>], messages: &mut Vec<Message>) {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return };
        let shape = &first.shape;
        let told =
            self.told.as_ref().map(|(told, end)| (Arc::ptr_eq(told, shape), told.session == shape.session, *end));
        if !told.is_some_and(|(same, _, _)| same) {
            messages.push(text(json!({
                "type": "epoch", "stream": stream, "id": self.id, "epoch": shape.epoch,
                "session": shape.session.map(|session| session.to_string()),
                "sample_rate_hz": shape.sample_rate_hz, "channels": shape.channels,
                "labels": (0..shape.channels).map(|channel| shape.label(channel)).collect::<Vec<_>>(),
                "first_frame": shape.first_frame.0, "capacity_frames": shape.capacity_frames,
                "at": first.first_frame,
            })));
        }
        let mut spans = first.spans.clone();
        if let Some((_, true, end)) = told
            && std::mem::take(&mut self.missed)
            && end < first.first_frame
        {
            spans.insert(0, Span { from: end, to: first.first_frame, why: Why::Lost });
        }
        self.missed = false;
        let frames: usize = blocks.iter().map(|block| block.frames).sum();
        self.told = Some((Arc::clone(shape), last.end_frame()));
        if frames == 0 && spans.is_empty() {
            return;
        }
        let chosen: Vec<usize> = wire::chosen(self.channels, shape.channels).collect();
        let head = Head {
            kind: Kind::Live,
            stream: self.id,
            epoch: shape.epoch,
            first_frame: first.first_frame,
            frames: u32::try_from(frames).unwrap_or(u32::MAX),
            sample_rate_hz: shape.sample_rate_hz,
            channels: chosen.iter().fold(0, |mask, channel| mask | 1 << channel),
            written_us: last.written_us,
            request: 0,
            span_frames: frames as u64,
        };
        let mut bytes = wire::begin(&head, &spans, frames * chosen.len());
        for channel in chosen {
            for block in blocks {
                wire::add(&mut bytes, &block.planar[channel * block.frames..(channel + 1) * block.frames]);
            }
        }
        messages.push(Message::Binary(bytes.into()));
    }
}

/// An answer without a page.
pub(super) fn refused(status: StatusCode, why: &'static str) -> Response {
    (status, assets::rules(), why).into_response()
}
