//! The scripts. Each file under `lua/` states the invariant that it keeps.
//!
//! None of them sees a body, and none runs on the way of a hit. All are flagged `allow-oom`: an
//! invalidation must take effect when memory is full, too; a put's body is written by a plain
//! `SET`, which is refused then; the others only free memory. Names reach them as `KEYS`, all of
//! one slot; tags as `ARGV`.

/// A script with the digest that `EVALSHA` wants.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) sha: String,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) mint: Script,
    pub(crate) commit: Script,
    pub(crate) invalidate: Script,
    pub(crate) reclaim: Script,
    pub(crate) sweep: Script,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, sha: redis::Script::new(text).get_hash().to_owned() }
    }
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            mint: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("lua/meta.lua"),
                include_str!("lua/mint.lua")
            )),
            commit: Script::new(concat!("#!lua flags=allow-oom\n", include_str!("lua/commit.lua"))),
            invalidate: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("lua/meta.lua"),
                include_str!("lua/invalidate.lua")
            )),
            reclaim: Script::new(concat!(
                "#!lua flags=allow-oom\n",
                include_str!("lua/reclaim.lua")
            )),
            sweep: Script::new(concat!("#!lua flags=allow-oom\n", include_str!("lua/sweep.lua"))),
        }
    }
}
