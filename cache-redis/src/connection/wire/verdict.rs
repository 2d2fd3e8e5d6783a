//! Whether a primary said what a batch was told. Pure.

/// What the reply to the proof that ends a batch says of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Primary,
    /// It has a primary, or loads what another one had.
    Replica,
    /// It did not say.
    Unknown,
}

impl Verdict {
    pub(super) fn read(reply: &[u8]) -> Self {
        let is_number = |digits: &[u8]| {
            digits
                .strip_suffix(b"\r\n")
                .is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        };
        match reply.split_first() {
            Some((b':', digits)) if is_number(digits) => Self::Primary,
            Some((b'-', why)) if REFUSALS.iter().any(|refusal| why.starts_with(refusal)) => {
                Self::Replica
            }
            _ => Self::Unknown,
        }
    }
}

const REFUSALS: [&[u8]; 4] =
    [b"ERR WAIT cannot be used with replica", b"READONLY ", b"MASTERDOWN ", b"LOADING "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_said_by_a_primary() {
        for (reply, verdict) in [
            (":0\r\n", Verdict::Primary),
            (":12\r\n", Verdict::Primary),
            ("-ERR WAIT cannot be used with replica instances. Please\r\n", Verdict::Replica),
            ("-MASTERDOWN Link with MASTER is down\r\n", Verdict::Replica),
            ("-LOADING Redis is loading the dataset in memory\r\n", Verdict::Replica),
            ("-READONLY You can't\r\n", Verdict::Replica),
            ("-BUSY Redis is busy running a script\r\n", Verdict::Unknown),
            ("-NOPERM no\r\n", Verdict::Unknown),
            ("-ERR unknown command 'WAIT'\r\n", Verdict::Unknown),
            (":\r\n", Verdict::Unknown),
            (":-1\r\n", Verdict::Unknown),
            (":0", Verdict::Unknown),
            ("+0\r\n", Verdict::Unknown),
            ("$1\r\n0\r\n", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(Verdict::read(reply.as_bytes()), verdict, "{reply:?}");
        }
    }
}
