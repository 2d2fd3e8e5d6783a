//! `store_conformance!`.

/// Makes a `#[test]` of every case, each with a thread, a runtime and a store of its own.
///
/// `fresh` is an `async fn() -> impl IntoFixture` (see [`IntoFixture`](crate::IntoFixture)): a
/// store, an `Arc` of one, a (guard, store) pair, or a [`Fixture`](crate::Fixture).
///
/// The tests are named `store_conformance::<group>::<case>`; `name` replaces the first part where
/// a file has several stores. Cases that let time pass are the group `expiry`.
///
/// ```
/// # mod tests {
/// # use conformance_tests::store_conformance;
/// # async fn fresh() -> std::sync::Arc<dyn cache_core::store::Store> { std::future::pending().await }
/// store_conformance!(fresh = fresh);
/// store_conformance!(name = once_more, fresh = fresh);
/// # }
/// ```
#[macro_export]
macro_rules! store_conformance {
    (fresh = $fresh:expr $(,)?) => {
        $crate::store_conformance!(name = store_conformance, fresh = $fresh);
    };
    (name = $name:ident, fresh = $fresh:expr $(,)?) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports, reason = "`fresh` may need none of the surroundings")]
            #[allow(
                clippy::wildcard_imports,
                reason = "`fresh` may need any of the surroundings"
            )]
            use super::*;

            fn run(id: &str) {
                $crate::run_one(id, $fresh);
            }

            $crate::__store_cases!($crate::__store_tests);
        }
    };
}

/// Makes modules of tests from the list of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ($($group:ident { $($id:ident: $kind:ident $needs:ident $clause:literal,)+ })+) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $id() {
                        super::run(stringify!($id));
                    }
                )+
            }
        )+
    };
}
