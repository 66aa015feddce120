//! The root binds every part, and only the parts it binds are accepted.

use std::collections::BTreeSet;

use super::*;

const MODEL: ModelConfig = ModelConfig::TINY;

fn checkpoint() -> Checkpoint {
    let values = |seed: u32| {
        (0..MODEL.weights() as u32).map(|i| (i.wrapping_mul(seed) % 1_000) as f32 * 1e-3).collect::<Vec<_>>()
    };
    let mut c = Checkpoint::initial(values(7));
    (c.step, c.beta1_power, c.beta2_power) = (5, 0.59, 0.77);
    (c.first, c.second) = (values(11), values(13));
    c
}

#[test]
fn root_binds_every_part() {
    let c = checkpoint();
    let last = MODEL.weights() - 1;
    let edits: [&dyn Fn(&mut Checkpoint); 12] = [
        &|_| (),
        &|c| c.step += 1,
        &|c| c.beta1_power = 0.6,
        &|c| c.beta2_power = 0.6,
        &|c| std::mem::swap(&mut c.beta1_power, &mut c.beta2_power),
        &|c| c.weights[0] += 1.0,
        &|c| c.weights[last] += 1.0,
        &|c| c.first[last] += 1.0,
        &|c| c.second[last] += 1.0,
        &|c| std::mem::swap(&mut c.first, &mut c.second),
        // Bits count, not values: zeros of both signs are equal numbers.
        &|c| c.weights[1] = 0.0,
        &|c| c.weights[1] = -0.0,
    ];
    let roots: BTreeSet<H256> = edits
        .iter()
        .map(|edit| {
            let mut edited = c.clone();
            edit(&mut edited);
            checkpoint_root(&MODEL, &edited)
        })
        .collect();
    assert_eq!(roots.len(), edits.len());
}

#[test]
fn root_binds_where_tensors_lie() {
    let hashes = tensor_hashes(&MODEL, &checkpoint());
    let shapes: Vec<_> = MODEL.tensors().into_iter().map(|t| (t.name, [t.rows as u32, t.cols as u32])).collect();
    assert_eq!(hashes.into_iter().map(|h| (h.name, h.shape)).collect::<Vec<_>>(), shapes);
}

#[test]
fn parts_make_the_checkpoint_again() {
    let c = checkpoint();
    let root = checkpoint_root(&MODEL, &c);
    let parts = to_parts(&MODEL, &c);
    assert_eq!(parts.len(), 1 + 3 * MODEL.tensors().len());
    assert_eq!(parts.iter().map(|(i, _)| *i).collect::<Vec<_>>(), (0..parts.len() as u32).collect::<Vec<_>>());
    assert_eq!(from_parts(&MODEL, root, |i| Some(parts[i as usize].1.clone())), Ok(c));
}

#[test]
fn each_false_part_is_refused() {
    let c = checkpoint();
    let root = checkpoint_root(&MODEL, &c);
    let parts: Vec<Vec<u8>> = to_parts(&MODEL, &c).into_iter().map(|(_, p)| p).collect();
    for part in 0..parts.len() as u32 {
        let edited = |edit: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
            from_parts(&MODEL, root, |i| {
                if i == part { edit(parts[i as usize].clone()) } else { Some(parts[i as usize].clone()) }
            })
        };
        assert_eq!(edited(&|_| None), Err(CheckpointError::Missing { root, part }));
        let expected = parts[part as usize].len();
        let length = |got| Err(CheckpointError::Length { root, part, got, expected });
        assert_eq!(edited(&|p| Some(p[1..].to_vec())), length(expected - 1));
        assert_eq!(edited(&|p| Some([p, vec![0]].concat())), length(expected + 1));
        let altered = edited(&|mut p| {
            p[expected - 1] ^= 1;
            Some(p)
        });
        assert!(
            matches!(altered, Err(CheckpointError::Root { expected, got }) if expected == root && got != root),
            "part {part}"
        );
    }
    assert_eq!(
        from_parts(&MODEL, H256::zero(), |i| Some(parts[i as usize].clone())),
        Err(CheckpointError::Root { got: root, expected: H256::zero() })
    );
}
