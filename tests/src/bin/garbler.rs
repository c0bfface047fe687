//! Stands in for `transcriber-worker`: greets as a worker does, takes its configuration, and answers with bytes that are no
//! message.

use anyhow::{Result, bail};
use control_link::{LinkReceiver, LinkSender};
use control_protocol::{Role, ToWorker};

fn main() -> Result<()> {
    if !std::env::args().any(|argument| argument == "worker") {
        bail!("only a worker's place is taken");
    }
    // A list of bytes where a message of a worker's is expected: its length is read as a variant that does not exist.
    let (sender, mut receiver): (LinkSender<Vec<u8>>, LinkReceiver<ToWorker>) = control_link::connect(Role::Worker)?;
    receiver.recv()?;
    sender.send(&vec![0xa5; 300])?;
    // It never ends by itself: that is for the supervisor to do.
    while receiver.recv().is_ok() {}
    Ok(())
}
