//! A child's side of the beginning.

use crate::link::{Ends, LinkError, LinkReceiver, LinkSender};
use crate::server::{GENERATION, LINK, SUPERVISOR};
use control_protocol::{Hello, PROTOCOL_VERSION, Role, greet, version_of};
use ipc_channel::ipc::{IpcSender, bytes_channel};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Connects this process to the supervisor that started it, and binds its life to the supervisor's: the kernel kills it
/// when the supervisor dies, however that happens.
///
/// # Errors
/// [`LinkError::Orphaned`] when no supervisor started it or it is gone already, [`LinkError::Version`] when it comes
/// from another build.
pub fn connect<Out, In>(role: Role) -> Result<(LinkSender<Out>, LinkReceiver<In>), LinkError> {
    let variable = |name| std::env::var(name).map_err(|_| LinkError::Orphaned(format!("{name} is not set")));
    let (link, generation, supervisor) = (variable(LINK)?, variable(GENERATION)?, variable(SUPERVISOR)?);
    let number = |text: &str| text.parse().map_err(|_| LinkError::Orphaned(format!("{text:?} is no number")));
    let (generation, supervisor): (u32, u32) = (number(&generation)?, number(&supervisor)?);

    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| LinkError::Io(e.into()))?;
    // The supervisor may have died before the line above: then nobody will ever signal us.
    let parent = getppid().map(|pid| pid.as_raw_pid().unsigned_abs());
    if parent != Some(supervisor) {
        return Err(LinkError::Orphaned(format!("supervisor {supervisor} is gone")));
    }

    let bootstrap = IpcSender::connect(link)?;
    let (to_child, from_supervisor) = bytes_channel()?;
    let (to_supervisor, from_child) = bytes_channel()?;
    bootstrap.send(Ends { to_child, from_child }).map_err(|_| LinkError::Closed)?;

    let (sender, receiver) = (LinkSender::new(to_supervisor), LinkReceiver::new(from_supervisor));
    sender.send_bytes(&greet(Hello::new(role, generation))?)?;
    let theirs = version_of(&receiver.recv_bytes()?)?;
    if theirs != PROTOCOL_VERSION {
        return Err(LinkError::Version { ours: PROTOCOL_VERSION, theirs });
    }
    Ok((sender, receiver))
}
