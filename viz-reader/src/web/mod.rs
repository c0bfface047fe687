//! Pictures in a browser: a local server with one page, which is in the program.
//!
//! ```text
//! ring ─► feed (a thread for each stream that is looked at) ─► bounded queue of each page ─► WebSocket ─► worker: WASM ─► picture
//! ```
//!
//! A page gets the samples and draws; the server knows nothing of pictures. Any number of pages may look: each ring is read
//! once. What it never does: ask for anything from outside, or wait for a page.

mod assets;
mod catalogue;
mod client;
mod feed;
mod gate;
mod history;
mod loudness;
mod request;
mod wire;
mod words;

use crate::cli::{Arguments, Look};
use crate::refusal::refusal;
use crate::rings::{RingPlace, runtime_folder};
use anyhow::{Context, Result};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use catalogue::{Catalogue, Stream};
use client::{Client, refused};
use control_protocol::Exit;
use feed::Feeds;
use gate::Gate;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use words::Words;

/// Pages that are served at once.
const PAGES_MAX: usize = 32;
/// Questions about the past that are worked on at once: each may read a whole ring.
const READERS_MAX: usize = 2;
/// How long a list of streams is good for: looking at all rings maps them all.
const STREAMS_FRESH: Duration = Duration::from_millis(500);

/// What all pages share.
struct Server {
    gate: Gate,
    catalogue: Catalogue,
    feeds: Arc<Feeds>,
    words: Arc<Words>,
    loudness: watch::Receiver<loudness::Told>,
    look: Value,
    readers: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    listed: Mutex<Option<(Instant, Vec<Stream>)>>,
}

impl Server {
    /// The streams, looked for at most twice a second, however many pages ask.
    fn streams(&self) -> Vec<Stream> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, streams)) = &*listed
            && at.elapsed() < STREAMS_FRESH
        {
            return streams.clone();
        }
        let streams = self.catalogue.streams();
        *listed = Some((Instant::now(), streams.clone()));
        streams
    }
}

/// Serves the page until it is told to end (SIGINT, SIGTERM). Prints its address on standard output.
///
/// # Errors
/// When a ring is not there, or the address cannot be had.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let folder = runtime_folder();
    let named = arguments.names.iter().map(|name| RingPlace::find(&folder, name)).collect::<Result<Vec<_>, _>>()?;
    let catalogue = Catalogue::new(folder, (!named.is_empty()).then_some(named));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime for the server")?;
    runtime.block_on(serve(arguments, catalogue))?;
    // A feed may sleep in a ring; nobody waits for it.
    runtime.shutdown_background();
    Ok(Exit::Clean)
}

async fn serve(arguments: &Arguments, catalogue: Catalogue) -> Result<()> {
    let web = &arguments.web;
    let wished = resolve(&web.host, web.port)?;
    let listener = TcpListener::bind(wished).await.map_err(|error| {
        refusal!(Refused, "cannot listen on {wished}: {error}; --port takes another port, and 0 any that is free")
    })?;
    let address = listener.local_addr().context("the server's own address")?;
    let gate = Gate::new(address, &web.host);
    let url = gate.url();
    let folder = catalogue.folder().to_owned();
    let (told, loudness) = watch::channel(None);
    let server = Arc::new(Server {
        gate,
        catalogue,
        feeds: Arc::default(),
        words: Words::new(),
        loudness,
        look: look(&arguments.look),
        readers: Arc::new(Semaphore::new(READERS_MAX)),
        pages: Arc::new(Semaphore::new(PAGES_MAX)),
        listed: Mutex::default(),
    });
    // A reader who is gone is told by the first signal only; the page is served all the same.
    let _ = writeln!(std::io::stdout(), "{url}");
    if !web.no_open {
        open_browser(&url);
    }
    tokio::spawn(Arc::clone(&server.words).ask(folder.clone()));
    tokio::spawn(loudness::look(folder, told));
    // Messages are small and many: kept back until the one before is acknowledged they would come in bursts, 40 ms late.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let router = Router::new().route("/ws", any(socket)).fallback(get(file)).with_state(server);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        ended = axum::serve(listener, router) => ended.context("the server")?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr> {
    let found = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    Ok(found
        .ok_or_else(|| refusal!(Refused, "--host {host} is no address of this machine; 127.0.0.1 is the usual one"))?)
}

/// How the page looks at first, from the command line.
fn look(look: &Look) -> Value {
    json!({
        "window": look.window.name(), "fft": look.fft, "hop": look.hop, "low_db": look.range.low_db,
        "high_db": look.range.high_db, "colours": look.colours.name(), "scale": look.scale.name(),
        "channels": look.channels.as_ref().map(|channels| &channels.0),
    })
}

async fn file(State(server): State<Arc<Server>>, request: Request) -> Response {
    if !server.gate.host_is_ours(request.headers()) {
        return refused(StatusCode::MISDIRECTED_REQUEST, "this server has another name\n");
    }
    match assets::asset(request.uri().path()) {
        Some((headers, bytes)) => (headers, bytes).into_response(),
        None => refused(StatusCode::NOT_FOUND, "there is no such file\n"),
    }
}

async fn socket(
    State(server): State<Arc<Server>>,
    headers: axum::http::HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !server.gate.host_is_ours(&headers) {
        return refused(StatusCode::MISDIRECTED_REQUEST, "this server has another name\n");
    }
    if !Gate::origin_is_ours(&headers) {
        return refused(StatusCode::FORBIDDEN, "a page of another origin may not listen\n");
    }
    let Ok(place) = Arc::clone(&server.pages).try_acquire_owned() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n");
    };
    let upgrade = upgrade.max_message_size(request::BYTES_MAX).max_frame_size(request::BYTES_MAX);
    upgrade.on_upgrade(move |socket| async move {
        let _place = place;
        Client::new(server, socket).serve().await;
    })
}

/// Opens the page where there is a desktop and somebody in front of it. Where that fails, the address is printed anyway.
fn open_browser(url: &str) {
    let desktop =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if !desktop || !std::io::stdout().is_terminal() {
        return;
    }
    let mut command = Command::new("xdg-open");
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Ok(mut child) = command.spawn() {
        // It may stay for as long as the browser: somebody must bury it.
        std::thread::spawn(move || child.wait());
    }
}
