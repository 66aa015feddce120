//! Accounts of the development phrase that all Substrate tools know. Their keys are public: never worth anything.

use descent_runtime::AccountId;
use sp_core::crypto::Pair as _;
use sp_core::sr25519::Pair;

/// Names of the accounts, each of them the derivation path `//Name` of the development phrase.
pub const NAMES: [&str; 6] = ["Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie"];

/// Account of a well-known name, or none if the name is not listed.
pub fn well_known(name: &str) -> Option<AccountId> {
    Some(key_pair(name)?.public().into())
}

/// Key pair of a well-known name, or none if the name is not listed.
pub fn key_pair(name: &str) -> Option<Pair> {
    if !NAMES.contains(&name) {
        return None;
    }
    // A path without a phrase derives from the development phrase; a name of letters always parses.
    Pair::from_string(&format!("//{name}"), None).ok()
}

/// All well-known accounts with their names, in the order of [`NAMES`].
pub fn all() -> impl Iterator<Item = (&'static str, AccountId)> {
    NAMES.into_iter().filter_map(|name| Some((name, well_known(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::crypto::Ss58Codec;

    #[test]
    fn accounts_are_those_of_every_substrate_tool() {
        let known = [
            ("Alice", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
            ("Bob", "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"),
            ("Charlie", "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"),
            ("Dave", "5DAAnrj7VHTznn2AWBemMuyBwZWs6FNFjdyVXUeYum3PTXFy"),
            ("Eve", "5HGjWAeFDfFCWPsjFQdVV2Msvz2XtMktvgocEZcCj68kUMaw"),
            ("Ferdie", "5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL"),
        ];
        let ours: Vec<_> = all().map(|(name, account)| (name, account.to_ss58check())).collect();
        assert_eq!(ours, known.map(|(name, address)| (name, address.to_owned())));
    }

    #[test]
    fn other_names_are_nobody() {
        for name in ["", "alice", "Alice//stash", "Grace"] {
            assert_eq!(well_known(name), None);
        }
    }
}
