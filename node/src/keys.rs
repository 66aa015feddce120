//! Account keys: secret URIs as Substrate writes them.

use descent_runtime::AccountId;
use descent_runtime::types::SS58_PREFIX;
use sp_core::crypto::{Ss58AddressFormat, Ss58Codec};
use sp_core::{Pair as _, sr25519};

/// A key, its phrase if it was just made.
pub struct Key {
    /// The pair.
    pub pair: sr25519::Pair,
    /// Twelve words, for a generated key.
    pub phrase: Option<String>,
}

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Neither a phrase, a hexadecimal seed nor a derivation path.
    #[error("not a secret: expected a 12 to 24 word phrase, a 0x-prefixed 32-byte seed or a path like //Alice ({0})")]
    Secret(String),
    /// Neither an address nor a public key.
    #[error("not an address of this network, a public key or a secret")]
    Address,
}

impl Key {
    /// A new key with a twelve-word phrase.
    pub fn generate() -> Self {
        let (pair, phrase, _) = sr25519::Pair::generate_with_phrase(None);
        Self { pair, phrase: Some(phrase) }
    }

    /// The key of a secret URI.
    ///
    /// # Errors
    /// [`KeyError::Secret`].
    pub fn from_uri(uri: &str) -> Result<Self, KeyError> {
        if uri.is_empty() {
            // Substrate reads nothing as the phrase of the development accounts, whose keys everyone has.
            return Err(KeyError::Secret("it is empty".into()));
        }
        let pair = sr25519::Pair::from_string(uri, None).map_err(|e| KeyError::Secret(format!("{e:?}")))?;
        Ok(Self { pair, phrase: None })
    }

    /// The account that it controls.
    pub fn account(&self) -> AccountId {
        self.pair.public().into()
    }
}

/// The textual form of an account.
pub fn address(account: &AccountId) -> String {
    account.to_ss58check_with_version(Ss58AddressFormat::custom(SS58_PREFIX))
}

/// An account from an address, a hexadecimal public key or a secret URI.
///
/// # Errors
/// [`KeyError::Address`].
pub fn parse_account(text: &str) -> Result<AccountId, KeyError> {
    if let Ok((account, format)) = AccountId::from_ss58check_with_version(text) {
        return if u16::from(format) == SS58_PREFIX { Ok(account) } else { Err(KeyError::Address) };
    }
    let bytes = text.strip_prefix("0x").and_then(|h| hex::decode(h).ok()).and_then(|b| <[u8; 32]>::try_from(b).ok());
    match bytes {
        Some(bytes) => Ok(AccountId::new(bytes)),
        None => Key::from_uri(text).map(|k| k.account()).map_err(|_| KeyError::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alice_has_her_well_known_address() {
        let alice = Key::from_uri("//Alice").unwrap().account();
        assert_eq!(address(&alice), "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY");
        assert_eq!(parse_account(&address(&alice)).unwrap(), alice);
        assert_eq!(parse_account("//Alice").unwrap(), alice);
        assert_eq!(parse_account(&format!("0x{}", hex::encode::<&[u8; 32]>(alice.as_ref()))).unwrap(), alice);
    }

    #[test]
    fn generated_phrases_lead_back_to_their_key() {
        let key = Key::generate();
        let again = Key::from_uri(key.phrase.as_deref().expect("just made")).unwrap();
        assert_eq!(again.account(), key.account());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Key::from_uri("twelve words these are not").is_err());
        assert!(parse_account("5GrwvaEF").is_err());
        assert!(Key::from_uri("").is_err());
        assert!(parse_account("").is_err());
    }
}
