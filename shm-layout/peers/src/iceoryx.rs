//! iceoryx2 as a peer: publish/subscribe, and an event beside it for those who sleep.
//!
//! Its files have a prefix and a root of this run. What it leaves behind, when a process of it is killed, is removed here,
//! and nothing else.

use crate::os;
use anyhow::{Result, anyhow, ensure};
use iceoryx2::config::Config;
use iceoryx2::node::Node;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use std::fmt::Debug;
use std::time::Duration;

// Short, as the root is: a socket's path has 107 bytes at most, and iceoryx2 takes most of them.
const PREFIX: &str = "ty-peers-";
/// Where iceoryx2 has its shared memory, whatever its root.
const SHARED_MEMORY: &str = "/dev/shm";

/// What both sides of a service agree upon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Samples of a block.
    pub(crate) samples: usize,
    /// Blocks that a reader may fall behind before it loses some.
    pub(crate) blocks: usize,
    pub(crate) readers: usize,
}

/// One side of a service.
pub(crate) struct Side {
    // First, so that the ports are gone before it.
    node: Node<ipc::Service>,
    shape: Shape,
    name: String,
}

fn said<E: Debug>(e: E) -> anyhow::Error {
    anyhow!("iceoryx2: {e:?}")
}

impl Side {
    /// `root` is a folder of this run; `bench` the process that removes what is left.
    pub(crate) fn new(root: &str, bench: u32, name: &str, shape: Shape) -> Result<Self> {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        config.global.set_root_path(&Path::new(format!("{root}/ice").as_bytes()).map_err(said)?);
        config.global.prefix = FileName::new(format!("{PREFIX}{bench}-").as_bytes()).map_err(said)?;
        let node = NodeBuilder::new()
            .config(&config)
            // The bench has its own.
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<ipc::Service>()
            .map_err(said)?;
        Ok(Self { node, shape, name: name.into() })
    }

    fn blocks(
        &self,
    ) -> Result<iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [f32], ()>> {
        self.node
            .service_builder(&self.name.as_str().try_into().map_err(said)?)
            .publish_subscribe::<[f32]>()
            // As a ring: who is slow loses the oldest, and nobody waits for him.
            .enable_safe_overflow(true)
            .subscriber_max_buffer_size(self.shape.blocks)
            .subscriber_max_borrowed_samples(2)
            .history_size(0)
            .max_publishers(1)
            .max_subscribers(self.shape.readers)
            .max_nodes(self.shape.readers + 2)
            .open_or_create()
            .map_err(said)
    }

    fn event(&self) -> Result<iceoryx2::service::port_factory::event::PortFactory<ipc::Service>> {
        let name = format!("{}/event", self.name);
        self.node.service_builder(&name.as_str().try_into().map_err(said)?).event().open_or_create().map_err(said)
    }

    pub(crate) fn publisher(&self) -> Result<Publisher<ipc::Service, [f32], ()>> {
        self.blocks()?
            .publisher_builder()
            .initial_max_slice_len(self.shape.samples)
            .max_loaned_samples(1)
            .create()
            .map_err(said)
    }

    pub(crate) fn subscriber(&self) -> Result<Subscriber<ipc::Service, [f32], ()>> {
        self.blocks()?.subscriber_builder().buffer_size(self.shape.blocks).create().map_err(said)
    }

    pub(crate) fn notifier(&self) -> Result<Notifier<ipc::Service>> {
        self.event()?.notifier_builder().create().map_err(said)
    }

    pub(crate) fn listener(&self) -> Result<Listener<ipc::Service>> {
        self.event()?.listener_builder().create().map_err(said)
    }
}

/// One block from the caller's memory to the subscribers.
pub(crate) fn send(publisher: &Publisher<ipc::Service, [f32], ()>, block: &[f32]) -> Result<()> {
    let sample = publisher.loan_slice_uninit(block.len()).map_err(said)?;
    sample.write_from_slice(block).send().map_err(said)?;
    Ok(())
}

/// Wakes whoever sleeps on the event.
pub(crate) fn notify(notifier: &Notifier<ipc::Service>) -> Result<()> {
    notifier.notify().map_err(said)?;
    Ok(())
}

/// Sleeps until the event comes or the time is over.
pub(crate) fn listen(listener: &Listener<ipc::Service>, at_most: Duration) -> Result<()> {
    let heard = if at_most.is_zero() { listener.try_wait(|_| {}) } else { listener.timed_wait(|_| {}, at_most) };
    heard.map(|_| ()).map_err(said)
}

/// The oldest block that was not taken yet, into the caller's memory; whether there was one.
pub(crate) fn take(subscriber: &Subscriber<ipc::Service, [f32], ()>, block: &mut [f32]) -> Result<bool> {
    let Some(sample) = subscriber.receive().map_err(said)? else { return Ok(false) };
    ensure!(sample.len() == block.len(), "iceoryx2: a block of {} samples", sample.len());
    block.copy_from_slice(&sample);
    Ok(true)
}

/// Removes the shared memory of this run, and that of runs which are gone.
pub(crate) fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir(SHARED_MEMORY) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid: u32| pid == std::process::id() || !os::is_there(pid)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
