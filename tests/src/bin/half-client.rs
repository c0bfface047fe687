//! `half-client SOCKET`: a client of the control socket that says half of a request and then nothing, for a test to
//! stop or to kill. It says on standard output when it has come so far, and ends with its standard input.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

fn main() -> std::io::Result<()> {
    let socket = std::env::args_os().nth(1).expect("usage: half-client SOCKET");
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"{\"command\":")?;
    let mut out = std::io::stdout();
    out.write_all(b"half\n")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(|_| ())
}
