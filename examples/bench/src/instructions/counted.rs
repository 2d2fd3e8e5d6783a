//! The one function that callgrind counts.

/// Runs `work`. Instructions are counted from the call of this function to its return; nothing
/// else in the program has its name.
#[inline(never)]
pub(crate) fn run_counted(work: &mut dyn FnMut()) {
    work();
    // Keeps the call from being a jump, which callgrind would not see return.
    std::hint::black_box(());
}
