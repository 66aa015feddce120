//! Exporting a checkpoint for other tools.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use consensus_upow::{Checkpoint, ModelConfig, TensorKind, TensorSpec};
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
    put("model.safetensors", &safetensors(model, checkpoint)?)?;
    put("config.json", format!("{:#}\n", config(model, checkpoint.step, root, round)).as_bytes())?;
    // From here on the folder is no temporary one.
    let written = temporary.keep();
    fs::rename(&written, dir).with_context(name).inspect_err(|_| {
        // Nothing half-written stays behind.
        let _ = fs::remove_dir_all(&written);
    })
}

/// One exported tensor.
struct Exported {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A `[rows][cols]` matrix, transposed.
fn transposed(x: &[f32], cols: usize) -> Vec<u8> {
    (0..cols).flat_map(|c| x.chunks_exact(cols).map(move |row| row[c])).flat_map(f32::to_le_bytes).collect()
}

/// The name of a tensor in Hugging Face's `LlamaForCausalLM`.
fn llama_name(name: &str) -> String {
    let Some((layer, which)) = name.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "embed" => "model.embed_tokens.weight".into(),
            "final_norm" => "model.norm.weight".into(),
            _ => "lm_head.weight".into(),
        };
    };
    let part = match which {
        "attention_norm" => "input_layernorm",
        "mlp_norm" => "post_attention_layernorm",
        "q" => "self_attn.q_proj",
        "k" => "self_attn.k_proj",
        "v" => "self_attn.v_proj",
        "out" => "self_attn.o_proj",
        "gate" => "mlp.gate_proj",
        "up" => "mlp.up_proj",
        _ => "mlp.down_proj",
    };
    format!("model.layers.{layer}.{part}.weight")
}

/// The tensors as Llama checkpoints hold them: linear layers as `[outputs][inputs]`.
fn tensors(model: &ModelConfig, weights: &[f32]) -> Vec<Exported> {
    let export = |tensor: TensorSpec| {
        let x = &weights[tensor.range()];
        let plain = || x.iter().flat_map(|v| v.to_le_bytes()).collect();
        let (shape, bytes) = match tensor.kind {
            TensorKind::Embedding => (vec![tensor.rows, tensor.cols], plain()),
            TensorKind::Norm => (vec![tensor.cols], plain()),
            TensorKind::Linear => (vec![tensor.cols, tensor.rows], transposed(x, tensor.cols)),
        };
        Exported { name: llama_name(&tensor.name), shape, bytes }
    };
    model.tensors().into_iter().map(export).collect()
}

fn safetensors(model: &ModelConfig, checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let exported = tensors(model, &checkpoint.weights);
    let views = exported.iter().map(|t| Ok((t.name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), &t.bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    // One entry only: the order of several would differ from run to run, and with it the file's bytes.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(serialize(views, Some(metadata))?)
}

fn config(model: &ModelConfig, step: u32, root: &str, round: u32) -> serde_json::Value {
    json!({
        "descent": { "round": round, "step": step, "checkpoint_root": root },
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
        let bytes = safetensors(&model, &checkpoint).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 9 * model.n_layers + 3);
        let mut values: Vec<f32> = (read.tensors().iter())
            .flat_map(|(_, t)| {
                t.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>()
            })
            .collect();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, weights);
        // Element (output 1, input 0) of k_proj is column 1 of the matrix's first row.
        let k = read.tensor("model.layers.0.self_attn.k_proj.weight").unwrap();
        let d = model.d_model;
        assert_eq!(k.shape(), [d, d]);
        let ours = model.tensors().into_iter().find(|t| t.name == "layers.0.k").expect("exists");
        let got = f32::from_le_bytes(k.data()[4 * d..4 * d + 4].try_into().unwrap());
        assert_eq!(got, weights[ours.offset + 1]);
    }
}
