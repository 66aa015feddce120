//! Peers that were met, remembered over restarts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// Peers remembered at most.
const MAX_PEERS: usize = 256;
/// Addresses of a peer at most.
const MAX_ADDRESSES: usize = 4;
/// Longest file read: far more than so many addresses take.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The address book.
#[derive(Debug, Default)]
pub struct Book {
    path: PathBuf,
    peers: BTreeMap<PeerId, Vec<Multiaddr>>,
    changed: bool,
}

impl Book {
    /// Reads a book; what can't be read is forgotten, since peers are found again.
    pub fn open(path: &Path) -> Self {
        let mut book = Self { path: path.to_owned(), ..Self::default() };
        let is_short = std::fs::metadata(path).is_ok_and(|meta| meta.len() <= MAX_FILE_BYTES);
        let text = if is_short { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
        let lines: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
        for line in lines {
            if let Some((peer, address)) = line.parse().ok().and_then(split_peer) {
                book.add(peer, address);
            }
        }
        book.changed = false;
        book
    }

    /// Remembers where a peer is.
    pub fn add(&mut self, peer: PeerId, address: Multiaddr) {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            return;
        }
        let known = self.peers.entry(peer).or_default();
        if known.contains(&address) {
            return;
        }
        self.changed = true;
        known.insert(0, address);
        known.truncate(MAX_ADDRESSES);
    }

    /// Forgets a peer.
    pub fn remove(&mut self, peer: &PeerId) {
        self.changed |= self.peers.remove(peer).is_some();
    }

    /// All peers with their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &Vec<Multiaddr>)> {
        self.peers.iter()
    }

    /// Writes the book if it changed: beside the old one first, so that a crash leaves one of them.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&mut self) -> std::io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let lines: Vec<String> = self
            .peers
            .iter()
            .flat_map(|(peer, list)| list.iter().map(|a| a.clone().with(Protocol::P2p(*peer)).to_string()))
            .collect();
        let beside = self.path.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(serde_json::to_string_pretty(&lines)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        self.changed = false;
        Ok(())
    }
}

/// Splits an address that ends with a peer's identity.
pub fn split_peer(mut address: Multiaddr) -> Option<(PeerId, Multiaddr)> {
    match address.pop()? {
        Protocol::P2p(peer) => Some((peer, address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_remembered_and_rubbish_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        let (peer, address): (_, Multiaddr) = (PeerId::random(), "/ip4/192.0.2.1/tcp/30333".parse().unwrap());
        let mut book = Book::open(&path);
        book.add(peer, address.clone());
        book.save().unwrap();
        let again: Vec<_> = Book::open(&path).iter().map(|(p, a)| (*p, a.clone())).collect();
        assert_eq!(again, [(peer, vec![address])]);
        for rubbish in ["", "{}", "[1]", "[\"/ip4/192.0.2.1/tcp/30333\"]", "[\"nonsense\"]"] {
            std::fs::write(&path, rubbish).unwrap();
            assert_eq!(Book::open(&path).iter().count(), 0, "{rubbish}");
        }
    }

    #[test]
    fn a_book_is_bounded() {
        let mut book = Book::default();
        for port in 0..1000_u16 {
            book.add(PeerId::random(), format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap());
        }
        assert_eq!(book.iter().count(), MAX_PEERS);
        let first = *book.iter().next().unwrap().0;
        for port in 0..100_u16 {
            book.add(first, format!("/ip4/192.0.2.2/tcp/{port}").parse().unwrap());
        }
        assert_eq!(book.iter().next().unwrap().1.len(), MAX_ADDRESSES);
    }
}
