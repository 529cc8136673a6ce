//! `firedrill images NAME...`: obtains images and prints their references, for tests of single servers and for who wants them
//! beforehand.

use super::{Common, Failure};
use crate::exit::Exit;
use crate::home::Home;
use crate::image::{Catalogue, Images};
use crate::progress::Progress;

/// Arguments of `images`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of the catalogue (folders of compose/images); all of them without any.
    names: Vec<String>,
}

/// Obtains them; prints a line `name reference` each.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let progress = Progress::new(common.quiet);
    let engine =
        crate::provision::engine(common.provision, &|line: &str| progress.say(line)).await.map_err(|e| Failure::new(e.exit(), e))?;
    let unfit = |e: crate::image::Error| Failure::new(Exit::Unfit, e);
    let catalogue = Catalogue::load(&Home::find().images()).map_err(unfit)?;
    let all: Vec<&str> = catalogue.images().filter(|i| catalogue.find(&i.name).is_ok()).map(|i| i.name.as_str()).collect();
    let wanted = if arguments.names.is_empty() { all } else { arguments.names.iter().map(String::as_str).collect() };
    let images = Images::new(&engine.docker, &catalogue, common.report.join("images"));
    for image in images.ensure(&wanted, common.images.into(), &|p| progress.say(&p.to_string())).await.map_err(unfit)? {
        println!("{} {}", image.name, image.reference);
    }
    Ok(Exit::Pass)
}
