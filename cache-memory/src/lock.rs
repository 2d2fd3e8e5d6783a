//! Taking a lock without a second way to fail.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Takes the lock. No code in this crate panics while it holds one, and each critical section
/// leaves its data whole at every step, so a poisoned lock (an allocator that panicked, say) is
/// taken as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the lock if nobody holds it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
