//! Tasks of a case that run at once.

use tokio::task::JoinHandle;

use crate::case::Stop;

/// Waits for all tasks; fails with the first failure in their order.
pub(crate) async fn together<T>(
    tasks: impl IntoIterator<Item = JoinHandle<Result<T, Stop>>>,
) -> Result<(), Stop> {
    // All are running already; to wait for one after another is to wait for all.
    for task in tasks {
        joined(task).await?;
    }
    Ok(())
}

/// Waits for a task, and passes on its panic.
pub(crate) async fn joined<T>(task: JoinHandle<Result<T, Stop>>) -> Result<T, Stop> {
    match task.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(Stop::failed(format!("a task of the case: {error}"))),
    }
}
