//! The numbers of a picture as a table.

use super::analysis::Step;
use super::save::Output;
use super::source::About;
use crate::cli::View;
use anyhow::Result;
use std::fmt::Write;

/// A row for each transform and channel: peaks and levels. Numbers have a point, columns a comma, and a header says the
/// units. Frames that are not there have a row, whose `what` says why, and no numbers.
pub(super) struct Table {
    out: Output,
    view: View,
    line: String,
    rate_hz: u32,
    labels: Vec<String>,
    bins: usize,
}

impl Table {
    /// Writes the header. `labels` are those of the channels that are shown, `frames` those of a transform.
    pub(super) fn begin(out: Output, view: View, about: &About, labels: Vec<String>, frames: usize) -> Result<Self> {
        let mut table = Self { out, view, line: String::new(), rate_hz: about.rate_hz, labels, bins: frames / 2 + 1 };
        if view == View::Spectrum {
            table.out.put(b"channel,frequency_hz,mean_dbfs,greatest_dbfs\n")?;
            return Ok(table);
        }
        table.line.push_str("channel,frame,time_s,what");
        if view != View::Spectrogram {
            table.line.push_str(",min,max");
        }
        if view != View::Waveform {
            for bin in 0..=frames / 2 {
                let _ = write!(table.line, ",dbfs_{}hz", hertz(table.hz(bin, frames)));
            }
        }
        table.end_line()?;
        Ok(table)
    }

    fn hz(&self, bin: usize, frames: usize) -> f64 {
        bin as f64 * f64::from(self.rate_hz) / frames as f64
    }

    fn end_line(&mut self) -> Result<()> {
        self.line.push('\n');
        self.out.put(self.line.as_bytes())?;
        self.line.clear();
        Ok(())
    }

    /// Takes a transform.
    pub(super) fn step(&mut self, step: &Step<'_>) -> Result<()> {
        if self.view == View::Spectrum {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let seconds = step.frame as f64 / f64::from(self.rate_hz);
        let what = match step.levels {
            // The frames of a wave are its own, those of a transform reach farther.
            Ok(_) => "sound",
            Err(_) if self.view == View::Waveform && !step.peaks.is_none() => "sound",
            Err(why) => why.key(),
        };
        let label = field(&self.labels[step.channel]);
        let _ = write!(self.line, "{label},{},{seconds:.6},{what}", step.frame);
        if self.view != View::Spectrogram {
            let _ = match step.peaks.is_none() {
                true => write!(self.line, ",,"),
                false => write!(self.line, ",{:.7},{:.7}", step.peaks.min, step.peaks.max),
            };
        }
        match step.levels {
            Ok(levels) if self.view != View::Waveform => {
                levels.iter().for_each(|level| _ = write!(self.line, ",{level:.3}"));
            }
            // Cells that are empty, so that every row has as many.
            Err(_) if self.view != View::Waveform => self.line.extend(std::iter::repeat_n(',', self.bins)),
            _ => {}
        }
        self.end_line()
    }

    /// Takes the levels of all the time, of a channel.
    pub(super) fn spectrum(&mut self, channel: usize, mean: &[f32], greatest: &[f32]) -> Result<()> {
        if self.view != View::Spectrum {
            return Ok(());
        }
        let frames = (mean.len() - 1) * 2;
        for (bin, (mean, greatest)) in mean.iter().zip(greatest).enumerate() {
            let hz = hertz(self.hz(bin, frames));
            let _ = write!(self.line, "{},{hz},{mean:.3},{greatest:.3}", field(&self.labels[channel]));
            self.end_line()?;
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        self.out.finish()
    }
}

/// With as many digits as it has, six behind the point at the most.
fn hertz(hz: f64) -> String {
    let text = format!("{hz:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// In quotes where it has to be (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
