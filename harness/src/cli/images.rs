//! `firedrill images NAME...`: obtains images and prints their references, for tests of single
//! servers and for who wants them beforehand.

use super::{Common, Failure, Terminal};
use crate::ops::images::images;
use crate::process::exit::Exit;

/// Arguments of `images`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of the catalogue (folders of compose/images); all of them without any, but for those
    /// that can only be pulled where that fails.
    names: Vec<String>,
    /// Only look: print those that are there, and fail if one is not, without pulling or building.
    #[arg(long)]
    present: bool,
}

/// Obtains them; prints a line `name reference` each.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    images(&arguments.names, arguments.present, common, &Terminal).await.map(|()| Exit::Pass)
}
