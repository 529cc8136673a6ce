//! Where a command says what it has come to while it goes on; what it came to in the end it
//! returns.

/// Takes results, line by line.
pub trait Console: Sync {
    /// Takes a line, or several with line feeds between.
    fn line(&self, line: &str);
}

/// Says nothing: tests look at what is returned.
pub struct Silent;

impl Console for Silent {
    fn line(&self, _: &str) {}
}
