//! Keys on the command line.

use std::io::Read;

use anyhow::{Context, Result};
use descent_runtime::AccountId;
use serde_json::json;

use super::answer;
use crate::cli::KeyCommand;
use crate::keys::{Key, address, parse_account};

/// Longest input read from standard input.
const MAX_INPUT: u64 = 4096;

pub(super) fn key(command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Generate { json } => {
            let key = Key::generate();
            print(&key.account(), key.phrase.as_deref(), *json)
        }
        KeyCommand::Inspect { uri, json } => {
            let mut text = String::new();
            if uri == "-" {
                std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).context("standard input")?;
            } else {
                text.clone_from(uri);
            }
            print(&parse_account(text.trim())?, None, *json)
        }
    }
}

fn print(account: &AccountId, phrase: Option<&str>, as_json: bool) -> Result<()> {
    let public = format!("0x{}", hex::encode::<&[u8; 32]>(account.as_ref()));
    if as_json {
        let mut value = json!({ "scheme": "sr25519", "publicKey": public, "address": address(account) });
        if let Some(phrase) = phrase {
            value["phrase"] = phrase.into();
        }
        return answer(value);
    }
    if let Some(phrase) = phrase {
        answer(format_args!("phrase:     {phrase}"))?;
    }
    answer(format_args!("public key: {public}\naddress:    {}", address(account)))
}
