//! The page's files, in the program, and the rules that browsers are given with them.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the page may do: run its own scripts and module, talk to its own server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($path:literal, $file:literal, $kind:literal) => {
        Asset { path: $path, kind: $kind, bytes: include_bytes!(concat!("../../web/dist/", $file)) }
    };
}

/// All of them. `scripts/build-web` makes them.
static ASSETS: [Asset; 6] = [
    asset!("/", "index.html", "text/html; charset=utf-8"),
    asset!("/page.css", "page.css", "text/css; charset=utf-8"),
    asset!("/page.js", "page.js", "text/javascript; charset=utf-8"),
    asset!("/worker.js", "worker.js", "text/javascript; charset=utf-8"),
    asset!("/tympan.wasm", "tympan.wasm", "application/wasm"),
    asset!("/icon.svg", "icon.svg", "image/svg+xml"),
];

/// The file at a path, and the headers that go with it.
pub(super) fn asset(path: &str) -> Option<(HeaderMap, Bytes)> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut headers = rules();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    Some((headers, Bytes::from_static(asset.bytes)))
}

/// The headers of every answer.
pub(super) fn rules() -> HeaderMap {
    // The first two isolate the page, so that it may share memory between its threads.
    let rules: [(HeaderName, &str); 7] = [
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program may be behind the same address a moment later.
        (header::CACHE_CONTROL, "no-store"),
    ];
    rules.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}
