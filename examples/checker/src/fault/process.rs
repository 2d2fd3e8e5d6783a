//! Faults of one process: the others go on.

use std::time::Duration;

use conformance_tests::servers::{Server, ServerError};

use super::Field;
use crate::error::Error;

/// Cuts the connections of one process, at some servers or all.
pub(super) fn cut(field: &mut Field<'_>) -> Result<(), Error> {
    let user = some_user(field)?;
    let everywhere = field.random.percent(50);
    let up = field.deployment.up().count();
    let only = field.random.below(u32::try_from(up).unwrap_or(1)) as usize;
    for (place, node) in field.deployment.up().enumerate() {
        if everywhere || place == only {
            hang_up(node, &user)?;
        }
    }
    Ok(())
}

/// Lets one process in nowhere for a while.
pub(super) fn refuse(field: &mut Field<'_>) -> Result<(), Error> {
    let user = some_user(field)?;
    for node in field.deployment.up() {
        node.run::<()>(&["ACL", "SETUSER", &user, "off"])?;
        hang_up(node, &user)?;
    }
    std::thread::sleep(field.some_time(100, 800));
    for node in field.deployment.up() {
        node.run::<()>(&["ACL", "SETUSER", &user, "on"])?;
    }
    Ok(())
}

/// Kills one process in the middle of whatever it does; another takes its place.
pub(super) fn kill(field: &mut Field<'_>) -> Result<(), Error> {
    let place = some_place(field);
    field.crew.replace(place)
}

/// Stops one process for a while; it knows nothing of it.
pub(super) fn pause(field: &mut Field<'_>) -> Result<(), Error> {
    /// What it had queued may leave only after it goes on, though it had given it up.
    const AFTER: Duration = Duration::from_millis(200);
    let place = some_place(field);
    field.crew.pause(place, true)?;
    std::thread::sleep(field.some_time(50, 1_800));
    field.crew.pause(place, false)?;
    std::thread::sleep(AFTER);
    Ok(())
}

fn hang_up(node: &Server, user: &str) -> Result<(), ServerError> {
    node.run::<i64>(&["CLIENT", "KILL", "USER", user]).map(drop)
}

fn some_place(field: &mut Field<'_>) -> usize {
    let places = u32::try_from(field.crew.places()).unwrap_or(u32::MAX);
    field.random.below(places) as usize
}

fn some_user(field: &mut Field<'_>) -> Result<String, Error> {
    let place = some_place(field);
    let user = field.users.get(place).cloned();
    Ok(user.ok_or_else(|| ServerError::new("there is no such user"))?)
}
