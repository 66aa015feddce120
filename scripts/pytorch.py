#!/usr/bin/env python3
"""Times PyTorch's forward and backward pass of the models that `cargo bench --bench microbatch` measures.

The same model as in the benches (RMSNorm, rotary attention, SwiGLU, byte vocabulary), the same number of tokens, f32 on
the CPU. Needs `pip install torch numpy`. Prints the median and least time of a microbatch for each preset, to be set
beside the bench's table from the same machine.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

VOCABULARY = 256
# d_model, layers, heads, d_ff, sequence length, windows: ml-kernels/src/config.rs.
PRESETS = {"nano": (256, 4, 4, 768, 128, 4), "small": (512, 8, 8, 1376, 256, 4)}


class Layer(torch.nn.Module):
    def __init__(self, d, heads, d_ff):
        super().__init__()
        linear = lambda rows, cols: torch.nn.Linear(rows, cols, bias=False)
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.RMSNorm(d, eps=1e-5), torch.nn.RMSNorm(d, eps=1e-5)
        self.qkv, self.out = linear(d, 3 * d), linear(d, d)
        self.gate_up, self.down = linear(d, 2 * d_ff), linear(d_ff, d)

    def forward(self, x, cos, sin):
        batch, length, d = x.shape
        split = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, d // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, d))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


class Model(torch.nn.Module):
    def __init__(self, d, layers, heads, d_ff, length):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, d)
        self.layers = torch.nn.ModuleList(Layer(d, heads, d_ff) for _ in range(layers))
        self.norm = torch.nn.RMSNorm(d, eps=1e-5)
        self.head = torch.nn.Linear(d, VOCABULARY, bias=False)
        half = d // heads // 2
        angles = torch.outer(torch.arange(length), 10_000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x))


def measure(preset, rounds):
    d, layers, heads, d_ff, length, windows = PRESETS[preset]
    model = Model(d, layers, heads, d_ff, length)
    data = torch.randint(0, VOCABULARY, (windows, length + 1))
    times = []
    for _ in range(rounds + 1):
        model.zero_grad(set_to_none=True)
        start = time.perf_counter()
        logits = model(data[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), data[:, 1:].flatten(), reduction="sum").backward()
        times.append(time.perf_counter() - start)
    times = times[1:]
    return statistics.median(times), min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="timed microbatches of each preset (default 15)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: its own choice)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    for preset in PRESETS:
        middle, least = measure(preset, args.rounds)
        print(f"{preset:8} median {middle * 1e3:9.1f} ms   least {least * 1e3:9.1f} ms")


if __name__ == "__main__":
    main()
