//! Where the time of a mined microbatch goes: stages replayed alone, on what a real one handed them.

use descent_benches::Comparison;
use ml_kernels::config::{Op, ProductId};
use ml_kernels::error::KernelError;
use ml_kernels::gradient::to_integers;
use ml_kernels::microbatch::{BSide, Plain, Products, gradient};
use ml_kernels::product::{NoiseB, Operand, mined_product, product};

use crate::fixture::Fixture;

/// No ticket is below it, so nothing but the search is measured.
const NOTHING: [u8; 32] = [0; 32];
const KEY: [u8; 32] = [1; 32];

/// One product's operands.
struct Recorded {
    id: ProductId,
    a: Operand,
    b: Operand,
    /// Made once a block where B is a weight matrix.
    noise: NoiseB,
}

/// Multiplies plainly and keeps the operands.
struct Recorder {
    plain: Plain,
    products: Vec<Recorded>,
}

impl Products for Recorder {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        let noise = NoiseB::new(&KEY, b.operand().vectors(), b.operand().k())?;
        self.products.push(Recorded { id, a: a.clone(), b: b.operand().clone(), noise });
        self.plain.product(id, a, b, out)
    }
}

/// The table for a task and code path.
pub(crate) fn table(fixture: &Fixture, rounds: usize) -> String {
    let (engine, context) = (&fixture.engine, &fixture.context);
    let (model, platform) = (engine.task().model(), engine.platform());
    let mut recorder = Recorder { plain: Plain(platform), products: Vec::new() };
    let float = gradient(platform, &context.weights, &fixture.windows(), &KEY, &mut recorder).expect("own windows");
    let (leaf, _) = to_integers(platform, model, &float.gradient, &context.exponents, &KEY);
    let largest = recorder.products.iter().map(|p| p.a.vectors() * p.b.vectors()).max().expect("products");
    let (mut plain_out, mut mined_out) = (vec![0.0; largest], vec![0.0; largest]);
    let products = &recorder.products;
    let title = format!("{} microbatch, its stages, {rounds} rounds", platform.name());
    let mut index = 0;
    Comparison::new(title, model.microbatch_macs())
        .with("mined, whole", || {
            index += 1;
            fixture.mine(index)
        })
        .with("unmined, whole", || fixture.recompute())
        .with("mined products", || {
            for p in products {
                let out = &mut mined_out[..p.a.vectors() * p.b.vectors()];
                let own = (p.id.op == Op::WeightGradient).then(|| NoiseB::new(&KEY, p.b.vectors(), p.b.k()));
                let own = own.transpose().expect("valid shape");
                let noise = own.as_ref().unwrap_or(&p.noise);
                mined_product(platform, &p.a, &p.b, noise, &KEY, &NOTHING, out).expect("matching shapes");
            }
        })
        .with("unmined products", || {
            for p in products {
                let out = &mut plain_out[..p.a.vectors() * p.b.vectors()];
                product(platform, &p.a, &p.b, out).expect("matching shapes");
            }
        })
        .with("operand commitments", || {
            for p in products {
                std::hint::black_box(Operand::commitment(&p.a.strip_hashes()));
                // Those of the weights are made once a round.
                if p.id.op == Op::WeightGradient {
                    std::hint::black_box(Operand::commitment(&p.b.strip_hashes()));
                }
            }
        })
        .with("leaf hash", || engine.lattice().hash_i8(platform, &leaf).expect("the model's own gradient"))
        .with("gradient to integers", || to_integers(platform, model, &float.gradient, &context.exponents, &KEY))
        .run(rounds)
}
