//! From arguments to an open chain.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use descent_genesis::{ChainSpec, ChainType, Dataset, MAX_SPEC_BYTES};

use crate::chain::{Chain, database_path};
use crate::cli::ChainArgs;

/// Log directives that stand unless others replace them.
const QUIET: &str = "rocksdb=error,libp2p_swarm=warn,libp2p_kad=error";
/// Largest dataset read.
const MAX_DATASET_BYTES: u64 = 4 << 30;

/// Reads a whole file of at most `limit` bytes; errors name the file.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let meta = file.metadata().with_context(name)?;
    if meta.is_dir() {
        bail!("{}: is a folder, expected a file", path.display());
    }
    if meta.len() > limit {
        bail!("{}: has {} bytes, expected at most {limit}", path.display(), meta.len());
    }
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut off one byte beyond the limit, and refused.
    file.take(limit + 1).read_to_end(&mut bytes).with_context(name)?;
    if bytes.len() as u64 > limit {
        bail!("{}: grew beyond {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// The specification and the dataset that the arguments name.
///
/// # Errors
/// A missing, malformed or unfitting file, by name.
pub fn load_spec(chain: &str, preset: Option<&str>, dataset: Option<&Path>) -> Result<(ChainSpec, Dataset)> {
    let bytes = dataset.map(|path| read_file(path, MAX_DATASET_BYTES)).transpose()?;
    let is_file = !descent_genesis::builtin::CHAINS.contains(&chain);
    let spec = if is_file {
        if preset.is_some() {
            bail!("--preset chooses the model of a built-in chain; {chain} names its own");
        }
        let path = Path::new(chain);
        if !path.exists() {
            let known = descent_genesis::builtin::CHAINS.join(", ");
            bail!("{chain}: no such file, and no built-in chain either, expected one of {known} or a specification");
        }
        let text = read_file(path, MAX_SPEC_BYTES as u64)?;
        let text = String::from_utf8(text).with_context(|| format!("{chain}: not UTF-8"))?;
        ChainSpec::from_json(&text).with_context(|| chain.to_owned())?
    } else {
        ChainSpec::builtin(chain, bytes.as_deref(), preset)?
    };
    let dataset = match (bytes, dataset) {
        (Some(bytes), Some(path)) => Dataset::from_bytes(bytes, spec.task.dataset_root, spec.task.dataset_len)
            .with_context(|| path.display().to_string())?,
        _ => {
            let embedded = Dataset::embedded();
            Dataset::from_bytes(embedded.bytes().clone(), spec.task.dataset_root, spec.task.dataset_len).with_context(
                || format!("{chain}: trains on another text than the built-in one: give it with --dataset"),
            )?
        }
    };
    Ok((spec, dataset))
}

/// Name of the chain that the arguments choose.
fn chain_name(args: &ChainArgs) -> &str {
    match (&args.chain, args.dev) {
        (Some(name), _) => name,
        (None, _) => descent_genesis::dev::ID,
    }
}

/// The base folder: given, or the user's data folder.
pub(super) fn base_path(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = data.filter(|p| p.is_absolute()).or_else(home);
    Ok(data.context("neither XDG_DATA_HOME nor HOME is set: give --base-path")?.join("descent"))
}

/// Starts logging to standard error.
///
/// # Errors
/// A malformed filter.
pub fn start_logging(filter: &str) -> Result<()> {
    // The database tells its settings line by line; a filter that names it still decides.
    let directives = format!("{QUIET},{filter}");
    let filter =
        tracing_subscriber::EnvFilter::try_new(directives).with_context(|| format!("log filter {filter:?}"))?;
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Colours are for terminals. When nobody reads the log any more, the node goes on.
    let format = format.with_ansi(std::io::stderr().is_terminal()).log_internal_errors(false);
    // A second start in one process, as in tests, keeps the first.
    let _ = format.try_init();
    Ok(())
}

/// Makes the worker threads, each of which checks that floating point works as the rules assume.
///
/// # Errors
/// No threads, or a floating-point environment that is not IEEE-754's default.
pub fn start_threads(threads: Option<usize>) -> Result<()> {
    if threads == Some(0) {
        bail!("--threads is 0, expected at least 1");
    }
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    // A second start in one process, as in tests, keeps the first.
    let _ = builder.thread_name(|i| format!("worker-{i}")).build_global();
    let sound = rayon::broadcast(|_| consensus_upow::float_environment_is_default());
    if sound.contains(&false) {
        bail!(
            "floating point of this process flushes subnormals or rounds other than to nearest: its results would split from the network's"
        );
    }
    Ok(())
}

/// Opens the chain that the arguments name; makes it where there is none.
///
/// # Errors
/// Whatever keeps it from opening, by file.
pub fn open_chain(args: &ChainArgs, folder: Option<&Path>) -> Result<Chain> {
    let (spec, dataset) = load_spec(chain_name(args), args.preset.as_deref(), args.dataset.as_deref())?;
    let base = base_path(folder.or(args.base_path.as_deref()))?;
    open(args, spec, &dataset, &base)
}

/// Opens the chain that the arguments name, if it was ever made: what only reads must not start a new one.
///
/// # Errors
/// Whatever keeps it from opening, by file.
pub fn existing_chain(args: &ChainArgs) -> Result<Chain> {
    let (spec, dataset) = load_spec(chain_name(args), args.preset.as_deref(), args.dataset.as_deref())?;
    let base = base_path(args.base_path.as_deref())?;
    let path = database_path(&base, &spec);
    if !path.exists() {
        bail!("{}: no such folder: this chain has no database here", path.display());
    }
    open(args, spec, &dataset, &base)
}

fn open(args: &ChainArgs, spec: ChainSpec, dataset: &Dataset, base: &Path) -> Result<Chain> {
    let path = database_path(base, &spec);
    let hint = if spec.chain_type == ChainType::Development {
        "; another --dataset or --preset is another chain: use another --base-path or --tmp for it"
    } else {
        ""
    };
    Chain::open(spec, dataset, &path, args.pruning).map_err(|error| match error {
        crate::chain::OpenError::Store(e @ crate::store::StoreError::OtherChain { .. }) => anyhow::anyhow!("{e}{hint}"),
        other => other.into(),
    })
}
