//! `tympan viz`: rings and recordings to pictures.
//!
//! What it does: reads rings that others write ([`rings`]) and draws them: into files ([`mod@file`]), a terminal ([`terminal`])
//! or a browser ([`web`]). What it never does: write to a ring, keep a writer waiting, or make a picture look whole where
//! something is missing: what was never captured, and what it was too slow for, is drawn as a gap and told.
//!
//! The transforms, peaks and colours are those of `audio-dsp`, so that all three show the same numbers.

pub mod cli;
pub mod file;
pub mod rings;
pub mod terminal;
pub mod web;

pub use control_protocol::refusal;
