//! Exporting a checkpoint for other tools.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use consensus_upow::{Checkpoint, ModelConfig};
use descent_runtime::{StateRead, storage};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::json;

use super::answer;
use super::setup::{existing_chain, start_logging, start_threads};
use crate::cli::ExportArgs;

/// Writes a round's weights to a new folder: complete, or not at all.
///
/// # Errors
/// Whatever keeps the checkpoint from being had or written.
pub(super) fn export(args: &ExportArgs) -> Result<()> {
    start_logging(&args.chain.log)?;
    start_threads(args.chain.threads)?;
    if args.dir.exists() {
        bail!("{}: exists already, and is not overwritten", args.dir.display());
    }
    let chain = existing_chain(&args.chain)?;
    let round = match args.round.as_str() {
        "latest" => storage::CURRENT_ROUND.get(&chain.store().best_state()? as &dyn StateRead)?,
        text => text.parse().with_context(|| format!("round {text:?}: expected a number or `latest`"))?,
    };
    let (root, checkpoint) = chain.checkpoint(round)?.with_context(|| format!("round {round} is not reached yet"))?;
    let model = chain.engine().task().model();
    write(&args.dir, model, &checkpoint, &format!("{root:?}"), round)?;
    if args.json {
        answer(json!({ "round": round, "checkpointRoot": root, "step": checkpoint.step, "dir": args.dir }))
    } else {
        let (step, dir) = (checkpoint.step, args.dir.display());
        answer(format_args!("wrote round {round} (step {step}, root {root:?}) to {dir}"))
    }
}

/// Makes the folder under a temporary name beside its place and moves it there once everything is on disk.
fn write(dir: &Path, model: &ModelConfig, checkpoint: &Checkpoint, root: &str, round: u32) -> Result<()> {
    let name = || dir.display().to_string();
    let parent =
        dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&parent).with_context(name)?;
    let temporary = tempfile::Builder::new().prefix(".descent-export").tempdir_in(&parent).with_context(name)?;
    let put = |file: &str, bytes: &[u8]| -> Result<()> {
        let path = temporary.path().join(file);
        fs::write(&path, bytes).with_context(|| dir.join(file).display().to_string())?;
        fs::File::open(&path).and_then(|f| f.sync_all()).with_context(|| dir.join(file).display().to_string())
    };
    put("model.safetensors", &safetensors(model, checkpoint, root, round)?)?;
    put("config.json", format!("{:#}\n", config(model)).as_bytes())?;
    // From here on the folder is no temporary one.
    let written = temporary.keep();
    fs::rename(&written, dir).with_context(name).inspect_err(|_| {
        // Nothing half-written stays behind.
        let _ = fs::remove_dir_all(&written);
    })
}

/// One exported tensor: `[outputs][inputs]`, as PyTorch lays linear layers out.
struct Exported {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Columns `range` of a `[rows][cols]` matrix, transposed.
fn transposed(x: &[f32], cols: usize, range: std::ops::Range<usize>) -> Vec<u8> {
    range.flat_map(|c| x.chunks_exact(cols).map(move |row| row[c])).flat_map(f32::to_le_bytes).collect()
}

/// The tensors under the names of Hugging Face's `LlamaForCausalLM`.
fn tensors(model: &ModelConfig, weights: &[f32]) -> Vec<Exported> {
    let (d, f) = (model.d_model, model.d_ff);
    let mut all = Vec::new();
    for tensor in model.tensors() {
        let x = &weights[tensor.range()];
        let plain = |name: String, shape: Vec<usize>| Exported {
            name,
            shape,
            bytes: x.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let part = |name: String, range: std::ops::Range<usize>| Exported {
            name,
            shape: vec![range.len(), tensor.rows],
            bytes: transposed(x, tensor.cols, range),
        };
        let layer = tensor.name.strip_prefix("layers.").and_then(|rest| rest.split_once('.'));
        match (tensor.name.as_str(), layer) {
            ("embed", _) => all.push(plain("model.embed_tokens.weight".into(), vec![tensor.rows, tensor.cols])),
            ("final_norm", _) => all.push(plain("model.norm.weight".into(), vec![d])),
            (_, Some((l, "attention_norm"))) => {
                all.push(plain(format!("model.layers.{l}.input_layernorm.weight"), vec![d]))
            }
            (_, Some((l, "mlp_norm"))) => {
                all.push(plain(format!("model.layers.{l}.post_attention_layernorm.weight"), vec![d]))
            }
            (_, Some((l, "qkv"))) => {
                for (i, which) in ["q", "k", "v"].into_iter().enumerate() {
                    all.push(part(format!("model.layers.{l}.self_attn.{which}_proj.weight"), i * d..(i + 1) * d));
                }
            }
            (_, Some((l, "out"))) => all.push(part(format!("model.layers.{l}.self_attn.o_proj.weight"), 0..d)),
            (_, Some((l, "gate_up"))) => {
                for (i, which) in ["gate", "up"].into_iter().enumerate() {
                    all.push(part(format!("model.layers.{l}.mlp.{which}_proj.weight"), i * f..(i + 1) * f));
                }
            }
            (_, Some((l, _))) => all.push(part(format!("model.layers.{l}.mlp.down_proj.weight"), 0..d)),
            _ => all.push(part("lm_head.weight".into(), 0..tensor.cols)),
        }
    }
    all
}

fn safetensors(model: &ModelConfig, checkpoint: &Checkpoint, root: &str, round: u32) -> Result<Vec<u8>> {
    let exported = tensors(model, &checkpoint.weights);
    let views = exported.iter().map(|t| Ok((t.name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), &t.bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = [("format", "pt".to_owned()), ("checkpoint_root", root.to_owned()), ("round", round.to_string())];
    let metadata: HashMap<String, String> = metadata.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Ok(serialize(views, Some(metadata))?)
}

fn config(model: &ModelConfig) -> serde_json::Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.d_model,
        "intermediate_size": model.d_ff,
        "num_hidden_layers": model.n_layers,
        "num_attention_heads": model.n_heads,
        "num_key_value_heads": model.n_heads,
        "max_position_embeddings": model.seq_len,
        "vocab_size": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "tie_word_embeddings": false,
        "torch_dtype": "float32",
        "bos_token_id": null,
        "eos_token_id": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_holds_every_weight_once_under_llama_names() {
        let model = ModelConfig::TINY;
        let weights: Vec<f32> = (0..model.weights()).map(|i| i as f32).collect();
        let checkpoint = Checkpoint::initial(weights.clone());
        let bytes = safetensors(&model, &checkpoint, "0x00", 3).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 9 * model.n_layers + 3);
        let mut values: Vec<f32> = (read.tensors().iter())
            .flat_map(|(_, t)| {
                t.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>()
            })
            .collect();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, weights);
        // Element (output 1, input 0) of k_proj is column d + 1 of the fused matrix's first row.
        let k = read.tensor("model.layers.0.self_attn.k_proj.weight").unwrap();
        let d = model.d_model;
        assert_eq!(k.shape(), [d, d]);
        let qkv = model.tensors().into_iter().find(|t| t.name == "layers.0.qkv").expect("exists");
        let got = f32::from_le_bytes(k.data()[4 * d..4 * d + 4].try_into().unwrap());
        assert_eq!(got, weights[qkv.offset + d + 1]);
    }
}
