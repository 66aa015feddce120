//! Printing a chain specification.

use anyhow::Result;

use super::answer;
use super::setup::load_spec;
use crate::cli::SpecArgs;

pub(super) fn build_spec(args: &SpecArgs) -> Result<()> {
    let (spec, _) = load_spec(&args.chain, args.preset.as_deref(), args.dataset.as_deref())?;
    answer(spec.to_json().trim_end())
}
