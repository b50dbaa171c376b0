//! All randomness of a simulation, from one number.
//!
//! The standard library's maps, tokio's schedulers and the generators of `rand` all begin with what
//! the operating system's `getrandom` says. Within a simulation it says what follows from the seed;
//! the standard library looks the symbol up at run time so that it can be replaced like this.

use std::cell::Cell;
use std::io::Read;

thread_local! {
    /// The state of this thread's stream; none outside a simulation.
    static STREAM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs on a thread of its own, where all randomness comes from the seed.
///
/// # Panics
///
/// When `run` does, and when no thread can be started.
pub fn with_seed<T: Send + 'static>(seed: u64, run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().name(format!("seed-{seed}")).spawn(move || {
        STREAM.set(Some(seed));
        run()
    });
    match thread.expect("a thread can be started").join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs a simulation for the seed in `REGATTA_SIM_SEED`, else for each of three fixed ones.
///
/// # Panics
///
/// When a run does; the seed was printed before. When the variable is not a number.
pub fn each_seed(run: fn(u64)) {
    let seeds = match std::env::var(VARIABLE) {
        Ok(text) => {
            let seed = text.parse();
            vec![seed.unwrap_or_else(|_| panic!("{VARIABLE}=`{text}` is not a seed; use a number"))]
        }
        Err(_) => vec![1, 2, 3],
    };
    for seed in seeds {
        println!("seed {seed}; repeat with `cargo xtask sim --seed {seed}`");
        with_seed(seed, move || run(seed));
    }
}

const VARIABLE: &str = "REGATTA_SIM_SEED";

/// Stands before libc's function of this name.
///
/// # Safety
///
/// `buffer` must be valid for writes of `length` bytes, as libc asks too.
#[expect(unsafe_code, reason = "the operating system's randomness is asked for through C")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller keeps what is asked for above.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    match STREAM.get() {
        Some(mut state) => {
            fill(bytes, &mut state);
            STREAM.set(Some(state));
        }
        None => {
            let source = std::fs::File::open("/dev/urandom");
            if source.and_then(|mut file| file.read_exact(bytes)).is_err() {
                return -1;
            }
        }
    }
    length.cast_signed()
}

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn fill(bytes: &mut [u8], state: &mut u64) {
    for chunk in bytes.chunks_mut(8) {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let word = (word ^ (word >> 31)).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn maps_and_generators_repeat_with_the_seed_and_differ_without() {
        let draw = || {
            let map: HashMap<u32, ()> = (0..50).map(|key| (key, ())).collect();
            map.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(with_seed(7, draw), with_seed(7, draw));
        assert_ne!(with_seed(7, draw), with_seed(8, draw));
    }

    #[test]
    fn a_repeated_simulation_draws_the_same_numbers() {
        let draw = || (0..4).map(|_| rand::random()).collect::<Vec<u64>>();
        assert_eq!(with_seed(7, draw), with_seed(7, draw));
        assert_ne!(draw(), draw());
    }
}
