//! The secret that a coordinator and its workers share. It never travels: each side proves to the
//! other that it knows it.

use crate::advice::Advised;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use thiserror::Error;

/// Fewest characters of a token.
pub const SHORTEST: usize = 16;

/// A shared secret.
#[derive(Clone)]
pub struct Token(Key);

/// A token that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is too short to be a secret.
    #[error("the token has {0} characters, wanted at least {SHORTEST}")]
    Short(usize),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl Advised for TokenError {
    fn hint(&self) -> Option<String> {
        matches!(self, TokenError::Short(_)).then(|| "head -c 32 /dev/urandom | base64".into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Whose proof it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Coordinator,
    Worker,
}

impl Token {
    /// A token of this text; blanks around it don't count.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(text: &str) -> Result<Token, TokenError> {
        let text = text.trim();
        match text.chars().count() {
            short if short < SHORTEST => Err(TokenError::Short(short)),
            _ => Ok(Token(Key::new(HMAC_SHA256, text.as_bytes()))),
        }
    }

    /// Text for a new token.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn draw() -> Result<String, TokenError> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TokenError::NoRandom)?;
        Ok(STANDARD.encode(bytes))
    }

    /// What proves that this side knows the token, in this conversation.
    pub(super) fn proof(&self, side: Side, of_worker: &str, of_coordinator: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0, said(side, of_worker, of_coordinator).as_bytes()))
    }

    /// Whether a proof of that side holds.
    pub(super) fn holds(
        &self,
        proof: &str,
        side: Side,
        of_worker: &str,
        of_coordinator: &str,
    ) -> bool {
        let said = said(side, of_worker, of_coordinator);
        STANDARD
            .decode(proof)
            .is_ok_and(|proof| hmac::verify(&self.0, said.as_bytes(), &proof).is_ok())
    }
}

/// Both sides' random words are in it, so that no proof of another conversation fits, nor one
/// side's the other.
fn said(side: Side, of_worker: &str, of_coordinator: &str) -> String {
    format!("{side:?}\n{}\n{of_worker}\n{of_coordinator}", of_worker.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_token_side_and_conversation_only() {
        let (ours, other) = (
            Token::new("0123456789abcdef\n").expect("token"),
            Token::new("0123456789abcdeg").expect("token"),
        );
        let proof = ours.proof(Side::Worker, "w", "c");
        let same = Token::new("0123456789abcdef").expect("token");
        assert!(same.holds(&proof, Side::Worker, "w", "c"));
        assert!(!other.holds(&proof, Side::Worker, "w", "c"));
        assert!(!same.holds(&proof, Side::Coordinator, "w", "c"));
        assert!(
            !same.holds(&proof, Side::Worker, "c", "w")
                && !same.holds(&proof, Side::Worker, "w", "d")
        );
        assert!(
            !same.holds("", Side::Worker, "w", "c") && !same.holds("???", Side::Worker, "w", "c")
        );
    }

    #[test]
    fn a_token_is_long_enough_and_never_shown() {
        assert_eq!(Token::new(" short ").err(), Some(TokenError::Short(5)));
        assert!(Token::new("").is_err());
        let (one, two) = (Token::draw().expect("random"), Token::draw().expect("random"));
        assert!(one != two && Token::new(&one).is_ok());
        assert_eq!(format!("{:?}", Token::new("0123456789abcdef").expect("token")), "Token");
    }
}
