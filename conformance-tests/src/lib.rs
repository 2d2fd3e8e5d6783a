//! The suite that any store of the response cache can run, HTTP scenarios for adapters, and a seeded history checker.
