//! Commands as they are written (RESP). Pure.

/// Begins a command of so many words, its name among them.
pub(crate) fn put_count(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    put_number(out, words);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn put_word(out: &mut Vec<u8>, word: &str) {
    begin_word(out, word.len());
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What comes before a word of so many bytes; `\r\n` comes behind it.
pub(crate) fn begin_word(out: &mut Vec<u8>, length: usize) {
    out.push(b'$');
    put_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// A length or a count. Most have one or two digits.
fn put_number(out: &mut Vec<u8>, number: usize) {
    let digit = |number: usize| b'0' + number.to_le_bytes()[0];
    match number {
        0..10 => out.push(digit(number)),
        10..100 => out.extend_from_slice(&[digit(number / 10), digit(number % 10)]),
        _ => {
            put_number(out, number / 10);
            out.push(digit(number % 10));
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::Pipeline;

    use super::*;

    #[test]
    fn a_command_is_as_the_client_library_packs_it() {
        for words in [1, 9, 10, 99, 100, 4_102] {
            let word = "x".repeat(words * 7);
            let (mut out, mut pipe) = (Vec::new(), Pipeline::new());
            put_count(&mut out, words);
            pipe.cmd(&word);
            put_word(&mut out, &word);
            for _ in 1..words {
                put_word(&mut out, "a");
                pipe.arg("a");
            }
            assert_eq!(out, pipe.get_packed_pipeline());
        }
    }
}
