//! The node's own identity: one ed25519 key, kept in a file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use libp2p::identity::{Keypair, ed25519};

/// A secret in hexadecimal, and a line's end.
const MAX_FILE_BYTES: u64 = 256;

/// Why the node's key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("{}: not a node key: got {got} bytes, expected 64 hexadecimal digits", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
        /// Bytes found.
        got: usize,
    },
}

/// Reads the key of a file; makes a new one where there is none.
///
/// # Errors
/// [`IdentityError`].
pub fn load_or_generate(path: &Path) -> Result<Keypair, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => read(path, file),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = ed25519::Keypair::generate();
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            // Whoever reads it can pass for this node.
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let text = format!("{}\n", hex::encode(key.secret()));
            file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all())).map_err(failed)?;
            Ok(key.into())
        }
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Path, file: File) -> Result<Keypair, IdentityError> {
    let mut text = Vec::new();
    let read = file.take(MAX_FILE_BYTES).read_to_end(&mut text);
    read.map_err(|source| IdentityError::File { path: path.to_owned(), source })?;
    let malformed = || IdentityError::Malformed { path: path.to_owned(), got: text.len() };
    let digits = text.trim_ascii();
    let mut secret = [0; 32];
    hex::decode_to_slice(digits, &mut secret).map_err(|_| malformed())?;
    Keypair::ed25519_from_bytes(&mut secret).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network/node-key");
        let first = load_or_generate(&path).unwrap().public();
        assert_eq!(load_or_generate(&path).unwrap().public(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for text in ["", "key", &"0".repeat(62), &"g".repeat(64), &"0".repeat(300)] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(load_or_generate(&path), Err(IdentityError::Malformed { .. })), "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(matches!(load_or_generate(folder.path()), Err(IdentityError::File { .. })));
    }
}
