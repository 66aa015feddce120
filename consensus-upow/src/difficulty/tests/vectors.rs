//! Frozen results of ASERT.
//!
//! Both tables come from a separate implementation of the specification in unbounded integers,
//! which also reproduces all 14,000 rows of the vectors that Bitcoin Cash publishes with it
//! (`test_vectors/aserti3-2d`, run01 to run12). The runs here follow the published schedules of the
//! same number, at block times of 600 s and a half-life of two days; heights and times count from
//! the anchor and its parent, since only these differences enter. The published runs 6, 7, 8 and 11
//! have random times: the second table does the same in this chain's units and at full width.

use super::*;

struct Run {
    name: &'static str,
    anchor_bits: u32,
    /// Time delta, height delta, and the resulting target in compact form.
    rows: &'static [(i128, i64, u32)],
}

const RUNS: &[Run] = &[
    Run {
        name: "run 1: 600 s blocks at the easiest target",
        anchor_bits: 0x1d00ffff,
        rows: &[(1200, 1, 0x1d00ffff), (1800, 2, 0x1d00ffff), (3600, 5, 0x1d00ffff), (6600, 10, 0x1d00ffff)],
    },
    Run {
        name: "run 2: 600 s blocks at an arbitrary target",
        anchor_bits: 0x1a2b3c4d,
        rows: &[(1200, 1, 0x1a2b3c4d), (1800, 2, 0x1a2b3c4d), (3600, 5, 0x1a2b3c4d), (6600, 10, 0x1a2b3c4d)],
    },
    Run {
        name: "run 3: 600 s blocks at the hardest target",
        anchor_bits: 0x01010000,
        rows: &[(1200, 1, 0x01010000), (1800, 2, 0x01010000), (3600, 5, 0x01010000), (6600, 10, 0x01010000)],
    },
    Run {
        name: "run 4: a half-life later with every block, from hardest to easiest",
        anchor_bits: 0x01010000,
        rows: &[
            (174000, 1, 0x01020000),
            (347400, 2, 0x01040000),
            (520800, 3, 0x01080000),
            (1387800, 8, 0x02010000),
            (1561200, 9, 0x02020000),
            (1734600, 10, 0x02040000),
            (8670600, 50, 0x07040000),
            (17340600, 100, 0x0d100000),
            (26010600, 150, 0x13400000),
            (34680600, 200, 0x1a010000),
            (38495400, 222, 0x1c400000),
            (38668800, 223, 0x1d008000),
            (38842200, 224, 0x1d00ffff),
            (39015600, 225, 0x1d00ffff),
        ],
    },
    Run {
        name: "run 5: 288 blocks at a time while the clock stands still, easiest to hardest",
        anchor_bits: 0x1d00ffff,
        rows: &[
            (0, 1, 0x1d00fec5),
            (0, 289, 0x1c7f62c0),
            (0, 577, 0x1c3fb160),
            (0, 865, 0x1c1fd8b0),
            (0, 2305, 0x1c00fec5),
            (0, 2593, 0x1b7f62c0),
            (0, 14113, 0x167f62c0),
            (0, 28513, 0x101fd8b0),
            (0, 42913, 0x0a07f62c),
            (0, 57313, 0x0401fd8b),
            (0, 63649, 0x01070000),
            (0, 63937, 0x01030000),
            (0, 64225, 0x01010000),
            (0, 64513, 0x01010000),
        ],
    },
    Run {
        name: "run 9: 300 s blocks",
        anchor_bits: 0x1802aee8,
        rows: &[
            (900, 1, 0x1802ae16),
            (1200, 2, 0x1802ad44),
            (1500, 3, 0x1802ac71),
            (1800, 4, 0x1802ab9e),
            (3600, 10, 0x1802a6b7),
        ],
    },
    Run {
        name: "run 10: 900 s blocks",
        anchor_bits: 0x1802aee8,
        rows: &[
            (1500, 1, 0x1802afbb),
            (2400, 2, 0x1802b08f),
            (3300, 3, 0x1802b166),
            (4200, 4, 0x1802b23a),
            (9600, 10, 0x1802b73d),
        ],
    },
    Run {
        name: "run 12: the clock runs backwards, one second a block",
        anchor_bits: 0x1802aee8,
        rows: &[
            (1200, 1, 0x1802aee8),
            (1199, 2, 0x1802ad44),
            (1198, 3, 0x1802ab9e),
            (1197, 4, 0x1802a9f9),
            (1191, 10, 0x1802a033),
            (1101, 100, 0x18021d10),
            (201, 1000, 0x173dcaa1),
            (-3799, 5000, 0x160106b7),
            (-8798, 9999, 0x13647d71),
            (-8799, 10000, 0x13643f64),
        ],
    },
];

/// Anchor and limit: difficulties of 4e12 and 2e10; 10 s blocks; a half-life of an hour. Rows: time
/// delta in milliseconds, height delta, target.
const MILLISECONDS: &[(i128, i64, &str)] = &[
    (0, 0, "463be6bdb4583b6874a06b891deb2c925d1809de5caeb03906ecae"),
    (10000, 0, "465e6604b7a84465fc9fc3dba21722e9facc7d1db2bdd046a18ce1"),
    (9999, 0, "465e6604b7a84465fc9fc3dba21722e9facc7d1db2bdd046a18ce1"),
    (10001, 0, "465e6604b7a84465fc9fc3dba21722e9facc7d1db2bdd046a18ce1"),
    (3610000, 0, "8cbccc096f5088cbf93f87b7442e45d3f598fa3b657ba08d4319c2"),
    (3609999, 0, "8cbc85ab094bd123b4d98b178052a3bcd2aeff6ee85dedcf72d320"),
    (-3590000, 0, "232f33025bd42232fe4fe1edd10b9174fd663e8ed95ee82350c670"),
    (-3590001, 0, "232f33025bd42232fe4fe1edd10b9174fd663e8ed95ee82350c670"),
    (0, 359, "232f33025bd42232fe4fe1edd10b9174fd663e8ed95ee82350c670"),
    (0, 360, "231df35eda2c1db43a5035c48ef596492e8c04ef2e57581c837657"),
    (21245, 1, "4662858cb1ef0741fe9991381bf5a24506822f19077b4965d5b058"),
    (71630, 7, "4641894cdfb8f061eecb26544d01a76ca8d49f3e618f806c34949e"),
    (77337, 60, "3f84670fd41277351a85e996b88fe838b8ac2213157d8b0631041c"),
    (1922490, 500, "26d6557a1684c44ff19f050e95c398eaf6c52005860836951b654a"),
    (7018269, 1500, "f1b27793aff7d97df3e397adbf0a4b917bc6a0b5234f6900b91d6"),
    (14796666, 3000, "3c2c6ecadeb0726519f2fa324aee3aca068766a92a3d521eb5db0"),
    (170097, 5, "47e16d35d19a61de2d8d3290da12a22a01afe1cdd614e440260567"),
    (6554412, 100, "cca0950d8bc7f115ca02dddc7772e369016c0f7c123a72dcc3dad8"),
    (24563767, 400, "e62061fd5965067ecee1b29159db4dabd2b19102893383099bfd292"),
    (59355663, 1000, "36f9bfb3af7b756fad5cd10396a21346cbefc1bf33a44ab72e36108b"),
    (18446744073709551615, 0, "36f9bfb3af7b756fad5cd10396a21346cbefc1bf33a44ab72e36108b"),
    (-9223372036854775808, 4294967295, "1"),
    (1700000000000, 4294967295, "1"),
];

/// A number in base 256: one byte of length, three of mantissa.
fn from_compact(bits: u32) -> U256 {
    let mantissa = U256::from(bits & 0x7f_ffff);
    match bits >> 24 {
        length @ 0..3 => mantissa >> (8 * (3 - length)),
        length => mantissa << (8 * (length - 3)),
    }
}

fn to_compact(value: U256) -> u32 {
    let length = value.bits().div_ceil(8) as u32;
    let mantissa = match length {
        0..3 => value << (8 * (3 - length)),
        _ => value >> (8 * (length - 3)),
    };
    // The mantissa's top bit is a sign.
    match mantissa.low_u32() {
        m if m & 0x80_0000 != 0 => (m >> 8) | (length + 1) << 24,
        m => m | length << 24,
    }
}

#[test]
fn asert_follows_the_published_schedules() {
    let easiest = from_compact(0x1d00ffff);
    for run in RUNS {
        for &(time, height, bits) in run.rows {
            let target = asert(from_compact(run.anchor_bits), 600, 172_800, time, height, easiest);
            assert_eq!(to_compact(target), bits, "{}, height delta {height}", run.name);
        }
    }
}

#[test]
fn asert_in_milliseconds_at_full_width() {
    let [anchor, limit] = [4_000_000_000_000, 20_000_000_000].map(|d| Difficulty(d).target().value());
    for &(time, height, expected) in MILLISECONDS {
        let target = asert(anchor, 10_000, 3_600_000, time, height, limit);
        assert_eq!(format!("{target:x}"), expected, "time delta {time}, height delta {height}");
    }
}
