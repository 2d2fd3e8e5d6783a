//! The registers of the consistency check: a source of truth beside the cache.
//!
//! In one process a register is a variable. With `--cas-file DIR` it is a file of that directory,
//! replaced as a whole, so that every process sees the last value that was written.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

/// All registers.
#[derive(Debug)]
pub(crate) struct Registers(Kind);

#[derive(Debug)]
enum Kind {
    Here(Mutex<HashMap<String, String>>),
    Shared(PathBuf),
}

impl Registers {
    pub(crate) fn new(dir: Option<PathBuf>) -> io::Result<Self> {
        Ok(Self(match dir {
            None => Kind::Here(Mutex::default()),
            Some(dir) => {
                std::fs::create_dir_all(&dir).map_err(|error| {
                    let message = format!("--cas-file {:?}: {error}", dir.display());
                    io::Error::new(error.kind(), message)
                })?;
                Kind::Shared(dir)
            }
        }))
    }

    /// The value; empty before the first write.
    pub(crate) fn read(&self, name: &str) -> io::Result<String> {
        match &self.0 {
            Kind::Here(registers) => {
                let registers = registers.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(registers.get(name).cloned().unwrap_or_default())
            }
            Kind::Shared(dir) => match std::fs::read_to_string(dir.join(file_name(name))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
                read => read,
            },
        }
    }

    /// Replaces the value. Once this has returned, every reader sees it.
    pub(crate) fn write(&self, name: &str, value: &str) -> io::Result<()> {
        match &self.0 {
            Kind::Here(registers) => {
                let mut registers = registers.lock().unwrap_or_else(PoisonError::into_inner);
                registers.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
            Kind::Shared(dir) => replace(dir, &file_name(name), value),
        }
    }
}

/// A reader never sees half a value: the new file takes the old one's name in one step.
fn replace(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut file, value.as_bytes())?;
    file.persist(dir.join(name)).map(drop).map_err(|error| error.error)
}

/// Any register's name as a file's: the plain ones as they are, the rest in hexadecimal.
fn file_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut file = String::from("cas-");
    for byte in name.bytes() {
        if plain(byte) {
            file.push(char::from(byte));
        } else {
            let _ = write!(file, "%{byte:02x}");
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_see_one_register() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Registers::new(Some(dir.path().to_owned())).unwrap();
        let (one, other) = (open(), open());
        assert_eq!(other.read("../a b").unwrap(), "");
        one.write("../a b", "7").unwrap();
        assert_eq!(other.read("../a b").unwrap(), "7");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
