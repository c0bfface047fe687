//! Sources to rings: capture, files, standard input and test signals, on one clock.
//!
//! ```text
//! device period ─► callback ─► queue ─┐
//! file, pipe ─► decode, convert ─► queue ─┴► lane (gaps, priming) ─► tick ─► ring of the stream
//!                                                                      └──► mix ring, by way of the rack
//! ```
//!
//! What it does: opens sources by URI ([`uri`]), carries every frame through one lock-free queue, ticks on
//! `CLOCK_MONOTONIC` deadlines (or on credit), and writes one block of every source and of their sum for
//! every tick. Its rate bends to that of the device that leads ([`tempo`]), and every other device is resampled: what was
//! captured at one time stands at one index. A frame index is never skipped; what was not captured is zeros and stands in
//! the ring's table as a gap. Every frame a source delivers arrives once or is counted as lost.
//!
//! A stream's ring, or that of the mix, is played to an output where that is asked for ([`output`]).
//!
//! What it never does: wait for a reader, resample in a device callback, trust a sound server to report its own
//! death, allocate, lock or log on an audio thread. Opening, closing and freeing happen on the control thread
//! ([`engine`]); calls into the sound system on threads that may be abandoned ([`live`]).

#![cfg_attr(rtsan, feature(sanitize))]

mod adapter;
pub mod arrivals;
pub mod asound;
pub mod capture;
pub mod clock;
pub mod delays;
pub mod desk;
mod detour;
pub mod device;
pub mod engine;
pub mod entrant;
pub mod feed;
pub mod frames;
pub mod gauge;
pub mod inputs;
pub mod insert;
mod intake;
pub mod lane;
pub mod limits;
pub mod live;
mod locked;
mod marks;
pub mod mix;
pub mod note;
pub mod output;
mod outputs;
mod own_clock;
pub mod pace;
pub mod queue;
pub mod rack;
pub mod raw;
mod retimer;
mod ring_follow;
pub mod ring_source;
pub mod rings;
pub mod room;
pub mod rt;
pub mod running;
pub mod sound_server;
pub mod source;
pub mod stdin;
pub mod tempo;
pub mod tick;
pub mod track;
mod true_rate;
pub mod uri;
pub mod virtual_device;
pub mod vitals;
pub mod wanted;
