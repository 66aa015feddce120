//! Which code path runs. Every path gives the same bits; only the speed differs.

/// A code path of the kernels, chosen once and passed down explicitly so that tests and benches can force one.
///
/// A value other than [`PORTABLE`](Self::PORTABLE) exists only on a processor that runs its path: the constructors
/// detect, and nothing else makes one. The kernels' `unsafe` calls rest on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform(Path);

/// What a [`Platform`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Platform {
    /// Plain Rust, any processor.
    pub const PORTABLE: Self = Self(Path::Portable);

    /// The fastest path this processor runs.
    pub fn detect() -> Self {
        Self::avx512().or_else(Self::avx2).unwrap_or(Self::PORTABLE)
    }

    /// x86-64 with AVX2 and FMA, if this processor has them.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return Some(Self(Path::Avx2));
        }
        None
    }

    /// x86-64 with AVX-512 as of 2019 (F, BW, DQ, VL and VNNI), if this processor has it.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if Self::avx2().is_some()
            && std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512vnni")
        {
            return Some(Self(Path::Avx512));
        }
        None
    }

    /// Every path this processor runs, slowest first.
    pub fn available() -> Vec<Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512()].into_iter().flatten().collect()
    }

    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self.0 {
            Path::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => "avx512",
        }
    }

    /// Whether there are 32 registers of 16 lanes, rather than 16 of at most 8.
    #[inline(always)]
    pub(crate) fn has_wide_registers(self) -> bool {
        match self.0 {
            Path::Portable => false,
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => false,
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => true,
        }
    }

    /// What the kernels dispatch on.
    #[inline(always)]
    pub(crate) fn path(self) -> Path {
        self.0
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

/// Compiles one body for each path, with its instructions enabled, and calls the version that `$platform` names.
///
/// Rust never contracts, reassociates or approximates float arithmetic, so all versions give the same bits; only
/// the instructions differ. This is how every element-wise kernel gets its vector paths without a second source.
macro_rules! dispatch {
    ($platform:expr, $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)? $body:block) => {{
        #[inline(always)]
        #[allow(clippy::too_many_arguments)]
        fn $name($($arg: $ty),*) $(-> $ret)? $body

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        #[allow(clippy::too_many_arguments)]
        fn avx2($($arg: $ty),*) $(-> $ret)? {
            $name($($arg),*)
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        #[allow(clippy::too_many_arguments)]
        fn avx512($($arg: $ty),*) $(-> $ret)? {
            $name($($arg),*)
        }

        match $platform.path() {
            // SAFETY: such a `Platform` only exists where its features were detected.
            #[cfg(target_arch = "x86_64")]
            $crate::platform::Path::Avx2 => unsafe { avx2($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::platform::Path::Avx512 => unsafe { avx512($($arg),*) },
            $crate::platform::Path::Portable => $name($($arg),*),
        }
    }};
}
pub(crate) use dispatch;
