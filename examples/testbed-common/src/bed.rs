//! What the handlers of a testbed share.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

use crate::args::Options;
use crate::cas::Registers;

/// The content of `/file`, in bytes.
const FILE_BYTES: usize = 100_000;

/// Run counters, by route and then by input.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>);

/// The state of a testbed.
#[derive(Debug)]
pub struct Bed {
    counts: Counts,
    users: Mutex<HashMap<String, String>>,
    origin_fails: AtomicBool,
    file: PathBuf,
    pub(crate) registers: Registers,
}

impl Bed {
    /// A testbed at its start.
    ///
    /// # Errors
    ///
    /// The file of `/file` or the directory of `/cas` could not be made.
    pub fn new(options: &Options) -> io::Result<Self> {
        Ok(Self {
            counts: Counts::default(),
            users: Mutex::default(),
            origin_fails: AtomicBool::new(false),
            file: served_file()?,
            registers: Registers::new(options.cas_dir.clone())?,
        })
    }

    /// Counts a run of a handler and tells which one for this input it is, from 1.
    pub(crate) fn run(&self, route: &'static str, input: &Input) -> u64 {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(route).or_default().entry(input.0.clone()).or_insert(0);
        *count += 1;
        *count
    }

    /// How often a handler has run for this input.
    pub(crate) fn runs(&self, route: &str, input: &Input) -> u64 {
        let counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(route).and_then(|inputs| inputs.get(&input.0)).copied().unwrap_or(0)
    }

    /// All run counters.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, BTreeMap<String, u64>> {
        self.counts.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A user's value.
    pub(crate) fn user(&self, id: &str) -> String {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(id).cloned().unwrap_or_else(|| "v0".to_owned())
    }

    /// Sets a user's value.
    pub fn set_user(&self, id: &str, value: &str) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(id.to_owned(), value.to_owned());
    }

    /// Whether `/swr` and `/sie` fail.
    pub(crate) fn origin_fails(&self) -> bool {
        self.origin_fails.load(Ordering::SeqCst)
    }

    /// Makes `/swr` and `/sie` fail, or not.
    pub fn set_origin_fails(&self, fails: bool) {
        self.origin_fails.store(fails, Ordering::SeqCst);
    }

    /// The file that `/file` serves.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// The file of all testbeds on this machine: one stable name, so that a process that is killed
/// leaves nothing behind. Whoever finds another content there replaces it as a whole.
fn served_file() -> io::Result<PathBuf> {
    let line = b"0123456789abcdefghijklmnopqrstuvwxyz\n";
    let content: Vec<u8> = line.iter().copied().cycle().take(FILE_BYTES).collect();
    let path = std::env::temp_dir().join("response-cache-testbed.txt");
    if std::fs::read(&path).is_ok_and(|found| found == content) {
        return Ok(path);
    }
    let mut file = NamedTempFile::new()?;
    file.write_all(&content)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// What a run of a handler depends on, as text.
#[derive(Clone, Debug, Default)]
#[must_use]
pub(crate) struct Input(String);

impl Input {
    /// What the path gives.
    pub(crate) fn path(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Adds the query.
    pub(crate) fn query(mut self, query: Option<&str>) -> Self {
        if let Some(query) = query {
            let _ = write!(self.0, "?{query}");
        }
        self
    }

    /// Adds something else that the handler reads; absent differs from empty.
    pub(crate) fn read(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            let _ = write!(self.0, " {name}={value}");
        }
        self
    }
}
