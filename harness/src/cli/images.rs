//! `firedrill images NAME...`: obtains images and prints their references, for tests of single servers and for who wants them
//! beforehand.

use super::{Common, Failure};
use crate::exit::Exit;
use crate::home::Home;
use crate::image::{Catalogue, Images, Kind};
use crate::progress::Progress;
use crate::stack::suggest;

/// Arguments of `images`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Names of the catalogue (folders of compose/images); all of them without any, but for those that can only be pulled
    /// where that fails.
    names: Vec<String>,
    /// Only look: print those that are there, and fail if one is not, without pulling or building.
    #[arg(long)]
    present: bool,
}

/// Obtains them; prints a line `name reference` each.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let progress = Progress::new(common.quiet);
    let unfit = |e: crate::image::Error| Failure::new(Exit::Unfit, e);
    let catalogue = Catalogue::load(&Home::find().images()).map_err(unfit)?;
    // A reference with a registry or a tag may be pulled; a bare name is one of the catalogue's.
    let is_known = |name: &str| name.contains(['/', ':']) || catalogue.images().any(|i| i.name == name);
    if let Some(unknown) = arguments.names.iter().find(|n| !is_known(n)) {
        let known = catalogue.images().map(|i| i.name.as_str());
        return Err(Failure::new(
            Exit::Usage,
            format!("there is no image {unknown} in the catalogue\nhint: {}", suggest(unknown, known, "images")),
        ));
    }
    let engine =
        crate::provision::engine(common.provision, &|line: &str| progress.say(line)).await.map_err(|e| Failure::new(e.exit(), e))?;
    let all: Vec<&str> = catalogue.images().filter(|i| catalogue.find(&i.name).is_ok()).map(|i| i.name.as_str()).collect();
    let only_upstream = |name: &str| catalogue.get(name).is_some_and(|i| i.kind == Kind::Upstream);
    let wanted = if arguments.names.is_empty() { all } else { arguments.names.iter().map(String::as_str).collect() };
    let images = Images::new(&engine.docker, &catalogue, common.report.join("images"));
    if arguments.present {
        let mut absent = Vec::new();
        for (name, reference) in images.present(&wanted, common.images.into()).await.map_err(unfit)? {
            match reference {
                Some(reference) => println!("{name} {reference}"),
                None if arguments.names.is_empty() && only_upstream(&name) => {
                    progress.say(&format!("only upstream: image {name} is not here"));
                }
                None => absent.push(name),
            }
        }
        return match absent.is_empty() {
            true => Ok(Exit::Pass),
            false => {
                let names = absent.join(" ");
                Err(Failure::new(Exit::Unfit, format!("not here as images: {names}\nhint: firedrill images {names} obtains them")))
            }
        };
    }
    let say = |p: &crate::image::Progress| progress.say(&p.to_string());
    let source = common.images.into();
    if !arguments.names.is_empty() {
        for image in images.ensure(&wanted, source, &say).await.map_err(unfit)? {
            println!("{} {}", image.name, image.reference);
        }
        return Ok(Exit::Pass);
    }
    let mut lost = Vec::new();
    for outcome in images.ensure_each(&wanted, source, &say).await.map_err(unfit)? {
        match outcome {
            Ok(image) => println!("{} {}", image.name, image.reference),
            // Nobody asked for it by name, and it is not ours to build.
            Err(image) if only_upstream(&image.wanted) => progress.say(&format!("only upstream: {image}")),
            Err(image) => lost.push(image),
        }
    }
    if lost.is_empty() { Ok(Exit::Pass) } else { Err(unfit(crate::image::Error::Unavailable(lost))) }
}
