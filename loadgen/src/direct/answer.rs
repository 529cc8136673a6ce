//! Where an HTTP/1.1 answer ends, read piece by piece as it comes. Nothing of it is kept but its
//! status.

use memchr::{memchr, memmem};

/// Longest head that is read before the answer is given up.
const LONGEST_HEAD: usize = 64 * 1024;

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Answer {
    state: State,
    /// Its status, once the head has come.
    pub status: u16,
    /// Whether the connection may be used again.
    pub keep: bool,
    /// A head that came in pieces.
    head: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are still to come.
    Length(u64),
    /// A chunk's size is being read: what it is so far, and whether its digits are over.
    Size(u64, bool),
    /// So many bytes of a chunk, with the line end after it, are still to come.
    Chunk(u64),
    /// Lines after the last chunk: the length of this one so far.
    Trailer(usize),
    UntilClosed,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is wanted.
    More,
    /// It is whole. Bytes after it, if any, don't belong to it.
    Whole {
        /// Bytes of the last piece that belong to it.
        used: usize,
    },
    /// It is no HTTP/1.
    Malformed(&'static str),
}

impl Answer {
    pub fn new() -> Answer {
        Answer { state: State::Head, status: 0, keep: true, head: Vec::new() }
    }

    /// Begins anew, for the next answer on the same connection.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.keep = true;
        self.status = 0;
    }

    /// Whether the end of the connection is the end of the answer.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClosed
    }

    /// Reads one more piece.
    pub fn feed(&mut self, piece: &[u8]) -> Progress {
        let mut used = 0;
        while self.state == State::Head {
            let rest = &piece[used..];
            if rest.is_empty() {
                return Progress::More;
            }
            let read = if self.head.is_empty() {
                match memmem::find(rest, b"\r\n\r\n") {
                    Some(end) => {
                        used += end + 4;
                        self.read_head(&rest[..end + 2])
                    }
                    None => {
                        self.head.extend_from_slice(rest);
                        return Progress::More;
                    }
                }
            } else {
                let before = self.head.len();
                if before + rest.len() > LONGEST_HEAD {
                    return Progress::Malformed("its head is longer than 64 KiB");
                }
                self.head.extend_from_slice(rest);
                // The end may lie across both pieces.
                let from = before.saturating_sub(3);
                let Some(end) = memmem::find(&self.head[from..], b"\r\n\r\n").map(|at| from + at)
                else {
                    return Progress::More;
                };
                used += end + 4 - before;
                let head = std::mem::take(&mut self.head);
                self.read_head(&head[..end + 2])
            };
            match read {
                Err(why) => return Progress::Malformed(why),
                // An interim answer: the real one follows.
                Ok(()) if self.status < 200 => self.reset(),
                Ok(()) => break,
            }
        }
        self.feed_body(piece, used)
    }

    /// Reads status and length from a head: lines that each end with CR and LF.
    fn read_head(&mut self, head: &[u8]) -> Result<(), &'static str> {
        let mut lines = Lines(head);
        let status = lines.next().unwrap_or_default();
        let (version, code) = status.split_at_checked(9).ok_or("its first line is too short")?;
        let code = code
            .get(..3)
            .and_then(|c| std::str::from_utf8(c).ok()?.parse::<u16>().ok())
            .filter(|c| (100..1000).contains(c));
        if !version.starts_with(b"HTTP/1.") || version[8] != b' ' {
            return Err("it is no HTTP/1");
        }
        self.status = code.ok_or("it has no status")?;
        self.keep = version[7] != b'0';
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let Some(colon) = memchr(b':', line) else { return Err("a header has no colon") };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let seen = std::str::from_utf8(value)
                        .ok()
                        .and_then(|v| v.parse::<u64>().ok())
                        .ok_or("its length is no number")?;
                    if length.is_some_and(|l| l != seen) {
                        return Err("it has two lengths");
                    }
                    length = Some(seen);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    chunked = value.len() >= 7
                        && value[value.len() - 7..].eq_ignore_ascii_case(b"chunked");
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    if value.eq_ignore_ascii_case(b"close") {
                        self.keep = false;
                    } else if value.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep = true;
                    }
                }
                _ => {}
            }
        }
        self.state = match self.status {
            100..200 | 204 | 304 => State::Length(0),
            _ if chunked => State::Size(0, false),
            _ => length.map_or(State::UntilClosed, State::Length),
        };
        self.keep &= self.state != State::UntilClosed;
        Ok(())
    }

    fn feed_body(&mut self, piece: &[u8], mut used: usize) -> Progress {
        loop {
            let left = (piece.len() - used) as u64;
            match self.state {
                State::Length(wanted) if wanted <= left => {
                    return Progress::Whole { used: used + wanted as usize };
                }
                State::Length(wanted) => {
                    self.state = State::Length(wanted - left);
                    return Progress::More;
                }
                State::Chunk(wanted) if wanted <= left => {
                    used += wanted as usize;
                    self.state = State::Size(0, false);
                }
                State::Chunk(wanted) => {
                    self.state = State::Chunk(wanted - left);
                    return Progress::More;
                }
                State::UntilClosed => return Progress::More,
                State::Head | State::Size(..) | State::Trailer(_) if left == 0 => {
                    return Progress::More;
                }
                State::Head => {
                    return Progress::Malformed(
                        "its head is followed by nothing that could be read",
                    );
                }
                State::Size(size, over) => {
                    let byte = piece[used];
                    used += 1;
                    self.state = match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if size == 0 => State::Trailer(0),
                        (b'\n', _) => State::Chunk(size.saturating_add(2)),
                        (_, Some(digit)) if !over => match size.checked_mul(16) {
                            Some(size) => State::Size(size + u64::from(digit), false),
                            None => {
                                return Progress::Malformed("a chunk's size is out of all bounds");
                            }
                        },
                        (b'\r' | b';' | b' ', _) => State::Size(size, true),
                        _ if over => State::Size(size, true),
                        _ => return Progress::Malformed("a chunk's size is no number"),
                    };
                }
                State::Trailer(length) => {
                    let byte = piece[used];
                    used += 1;
                    match byte {
                        b'\n' if length == 0 => return Progress::Whole { used },
                        b'\n' => self.state = State::Trailer(0),
                        b'\r' => {}
                        _ => self.state = State::Trailer(length + 1),
                    }
                }
            }
        }
    }
}

/// Lines of a head, without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds an answer in pieces of these lengths (and the rest at once): status, whether the
    /// connection may be used again, and the bytes of it; `None` if it does not end.
    fn read(bytes: &[u8], pieces: &[usize]) -> Option<(u16, bool, usize)> {
        let mut answer = Answer::new();
        let mut at = 0_usize;
        for length in pieces.iter().copied().chain([usize::MAX]) {
            let piece = &bytes[at..bytes.len().min(at.saturating_add(length))];
            match answer.feed(piece) {
                Progress::More => at += piece.len(),
                Progress::Whole { used } => return Some((answer.status, answer.keep, at + used)),
                Progress::Malformed(why) => panic!("{why}: {:?}", String::from_utf8_lossy(bytes)),
            }
        }
        None
    }

    const ANSWERS: [(&str, u16, bool); 9] = [
        ("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello", 200, true),
        ("HTTP/1.1 404 Not Found\r\ncontent-LENGTH:0\r\nConnection: close\r\n\r\n", 404, false),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", 304, true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA;x=1\r\n0123456789\r\n1\r\n\n\r\n0\r\nTrailer: y\r\n\r\n",
            200,
            true,
        ),
        ("HTTP/1.1 500\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 500, true),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nab",
            201,
            true,
        ),
    ];

    proptest! {
        #[test]
        fn an_answer_ends_where_it_ends_however_it_comes(n in 0..ANSWERS.len(), pieces in prop::collection::vec(1usize..40, 0..40)) {
            let (text, status, keep) = ANSWERS[n];
            prop_assert_eq!(read(text.as_bytes(), &pieces), Some((status, keep, text.len())));
            // What follows belongs to the next one.
            let more = format!("{text}HTTP/1.1 200 OK\r\n");
            prop_assert_eq!(read(more.as_bytes(), &pieces), Some((status, keep, text.len())));
            // What is cut off does not end.
            prop_assert_eq!(read(&text.as_bytes()[..text.len() - 1], &pieces), None);
        }

        #[test]
        fn nothing_that_comes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), valid in 0..ANSWERS.len(), cut in 0usize..60) {
            let mut answer = Answer::new();
            answer.feed(&ANSWERS[valid].0.as_bytes()[..cut.min(ANSWERS[valid].0.len())]);
            answer.feed(&bytes);
        }
    }

    #[test]
    fn without_a_length_it_ends_with_the_connection() {
        let mut answer = Answer::new();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nsome"), Progress::More);
        assert!(answer.ends_with_connection() && !answer.keep);
        assert_eq!(answer.feed(b"thing"), Progress::More);
    }

    #[test]
    fn what_is_no_http_is_said() {
        let lengths = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
        for bytes in [
            &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            lengths,
        ] {
            assert!(
                matches!(Answer::new().feed(bytes), Progress::Malformed(_)),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
