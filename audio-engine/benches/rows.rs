//! What every bench shares: a row of the table, which rows are wanted, and quantiles.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// One line of the table and one object of `target/bench.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// The result.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: String,
    /// What it is compared with, and that one's value in the same unit.
    pub(crate) peer: Option<String>,
    /// `value` divided by the peer's value.
    pub(crate) ratio: Option<f64>,
    /// How many measurements are behind it.
    pub(crate) n: usize,
}

impl Row {
    /// A result without a peer.
    pub(crate) fn new(name: &str, value: f64, unit: &str, n: usize) -> Self {
        Self { name: name.into(), value: rounded(value), unit: unit.into(), peer: None, ratio: None, n }
    }

    /// Compares it with something of the same unit.
    pub(crate) fn against(mut self, what: &str, peer_value: f64) -> Self {
        self.peer = Some(format!("{what}: {} {}", rounded(peer_value), self.unit));
        self.ratio = (peer_value != 0.0).then(|| rounded(self.value / peer_value));
        self
    }
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// A function, and the names of all rows that it makes.
pub(crate) struct Measure {
    /// The rows' names.
    pub(crate) names: &'static [&'static str],
    /// Measures them.
    pub(crate) run: fn(&Plan) -> Result<Vec<Row>>,
}

/// What is wanted of a run.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Only rows whose name contains this.
    pub(crate) filter: String,
    /// A tenth of the repetitions: to try a bench out.
    pub(crate) quick: bool,
}

impl Plan {
    /// So many repetitions, or a tenth of them.
    pub(crate) fn times(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }

    /// The wanted rows of a measure; without any it is not run.
    ///
    /// # Errors
    /// Its own, or a row whose name it did not announce.
    pub(crate) fn rows_of(&self, measure: &Measure) -> Result<Vec<Row>> {
        if !measure.names.iter().any(|name| name.contains(&self.filter)) {
            return Ok(Vec::new());
        }
        let mut rows = (measure.run)(self)?;
        for row in &rows {
            ensure!(measure.names.contains(&row.name.as_str()), "a row that was not announced: {}", row.name);
        }
        rows.retain(|row| row.name.contains(&self.filter));
        Ok(rows)
    }
}

/// The sample below which `share` of the samples lie (nearest rank); sorts them. NaN without samples.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is at most their number")]
pub(crate) fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let rank = (samples.len() as f64 * share).ceil() as usize;
    samples.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
