//! Descriptors that a process got from whoever started it: a script's lock, a terminal, a pipe. One that stays for days
//! would hold them for days.
#![expect(unsafe_code, reason = "descriptors that nobody in this process owns can only be closed by their numbers")]

/// Closes all but the standard three. Only while this process has opened nothing itself.
pub(crate) fn close_all() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // The folder's own descriptor is among them, and closed when the list is complete.
    let open: Vec<i32> = numbers.filter(|&number| number > 2).collect();
    for number in open {
        // SAFETY: the caller has opened nothing and has no other thread, so no value of this process owns the descriptor.
        unsafe { rustix::io::close(number) };
    }
}
