//! Which code path runs. Every path gives the same bits; only the speed differs.

/// A code path of the kernels, chosen once and passed down explicitly so that tests and benches can force one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Plain Rust, any processor.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
}

impl Platform {
    /// The fastest path this processor runs.
    pub fn detect() -> Self {
        Self::avx2().unwrap_or(Self::Portable)
    }

    /// The AVX2 path, if this processor has AVX2 and FMA.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Some(Self::Avx2);
        }
        None
    }

    /// Every path this processor runs, slowest first.
    pub fn available() -> Vec<Self> {
        [Some(Self::Portable), Self::avx2()].into_iter().flatten().collect()
    }

    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
        }
    }
}

/// Whether this thread's floating point keeps subnormals and rounds to nearest, ties to even, as every kernel assumes.
///
/// A library loaded into the process may have set flush-to-zero or another rounding mode.
pub fn float_environment_is_default() -> bool {
    use std::hint::black_box;
    let subnormal = black_box(f32::MIN_POSITIVE) * black_box(0.5);
    let tie_down = black_box(1.0_f32) + black_box(f32::EPSILON / 2.0);
    let tie_up = black_box(1.0_f32 + f32::EPSILON) + black_box(f32::EPSILON / 2.0);
    subnormal > 0.0
        && black_box(subnormal) * 2.0 == f32::MIN_POSITIVE
        && tie_down == 1.0
        && tie_up == 1.0 + 2.0 * f32::EPSILON
}

/// Compiles one body twice: plainly, and with AVX2 and FMA enabled, and calls the version `$platform` names.
///
/// Rust never contracts, reassociates or approximates float arithmetic, so both versions give the same bits; only
/// the instructions differ. This is how every element-wise kernel gets its vector path without a second source.
macro_rules! dispatch {
    ($platform:expr, $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)? $body:block) => {{
        #[inline(always)]
        #[allow(clippy::too_many_arguments)]
        fn $name($($arg: $ty),*) $(-> $ret)? $body

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        #[allow(clippy::too_many_arguments)]
        fn vectorized($($arg: $ty),*) $(-> $ret)? {
            $name($($arg),*)
        }

        match $platform {
            // SAFETY: `Platform::Avx2` is only made by `Platform::avx2`, after both features were detected.
            #[cfg(target_arch = "x86_64")]
            $crate::platform::Platform::Avx2 => unsafe { vectorized($($arg),*) },
            _ => $name($($arg),*),
        }
    }};
}
pub(crate) use dispatch;
