//! `tympan bench`
mod errors;
mod normalise;
mod numbers;
mod spelling;
