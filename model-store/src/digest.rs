//! SHA-256 of files.

use crate::error::StoreError;
use crate::progress::Progress;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Read at once.
const PIECE_BYTES: usize = 256 << 10;

/// A hash that grows with what is written.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes all that `file` has from where it stands.
    pub(crate) fn read_all(
        &mut self,
        file: &mut File,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<u64, StoreError> {
        let (mut piece, mut done) = (vec![0; PIECE_BYTES], 0_u64);
        loop {
            if progress.stopped() {
                return Err(StoreError::Stopped);
            }
            let got = file.read(&mut piece).map_err(StoreError::io("cannot read", path))?;
            if got == 0 {
                return Ok(done);
            }
            self.update(&piece[..got]);
            done += got as u64;
            progress.bytes(done);
        }
    }

    /// In hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sha256_of(path: &Path, progress: &mut dyn Progress) -> Result<String, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("cannot open", path))?;
    let mut hasher = Hasher::default();
    hasher.read_all(&mut file, path, progress)?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(file.path(), &mut Silent).unwrap(), expected);
    }
}
