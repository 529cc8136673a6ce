//! Images obtained beforehand.

use crate::image::{Catalogue, Images, Kind};
use crate::ops::console::Console;
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::home::Home;
use crate::process::progress::Progress;
use crate::yaml::suggest;

/// Obtains images, or only looks whether they are there (`present`); says `name reference` of each.
/// Without names it is all of them, but for those that can only be pulled where that fails.
///
/// # Errors
/// There is no such image, or one can't be had.
pub async fn images(
    names: &[String],
    present: bool,
    common: &Common,
    console: &dyn Console,
) -> Result<(), Failure> {
    let progress = Progress::new(common.quiet);
    let catalogue = Catalogue::load(&Home::find().images())?;
    // A reference with a registry or a tag may be pulled; a bare name is one of the catalogue's.
    let is_known =
        |name: &str| name.contains(['/', ':']) || catalogue.images().any(|i| i.name == name);
    if let Some(unknown) = names.iter().find(|n| !is_known(n)) {
        let known = catalogue.images().map(|i| i.name.as_str());
        return Err(Failure::usage(format!("there is no image {unknown} in the catalogue"))
            .hint(suggest(unknown, known, "images")));
    }
    let engine =
        crate::stack::provision::engine(common.provision, &|line: &str| progress.say(line)).await?;
    let all: Vec<&str> = catalogue
        .images()
        .filter(|i| catalogue.find(&i.name).is_ok())
        .map(|i| i.name.as_str())
        .collect();
    let only_upstream = |name: &str| catalogue.get(name).is_some_and(|i| i.kind == Kind::Upstream);
    let wanted = if names.is_empty() { all } else { names.iter().map(String::as_str).collect() };
    let images = Images::new(engine.docker(), &catalogue, common.report.join("images"));
    if present {
        let mut absent = Vec::new();
        for (name, reference) in images.present(&wanted, common.images.into()).await? {
            match reference {
                Some(reference) => console.line(&format!("{name} {reference}")),
                None if names.is_empty() && only_upstream(&name) => {
                    progress.say(&format!("only upstream: image {name} is not here"));
                }
                None => absent.push(name),
            }
        }
        return match absent.is_empty() {
            true => Ok(()),
            false => {
                let told = |name: &String| {
                    format!(
                        "{name}{}",
                        if only_upstream(name) {
                            " (it can only be pulled, not built)"
                        } else {
                            ""
                        }
                    )
                };
                let (names, told) =
                    (absent.join(" "), absent.iter().map(told).collect::<Vec<_>>().join(" "));
                Err(Failure::new(Exit::Unfit, format!("not here as images: {told}"))
                    .hint(format!("firedrill images {names} obtains them")))
            }
        };
    }
    let say = |p: &crate::image::Progress| progress.say(&p.to_string());
    let source = common.images.into();
    if !names.is_empty() {
        for image in images.ensure(&wanted, source, &say).await? {
            console.line(&format!("{} {}", image.name, image.reference));
        }
        return Ok(());
    }
    let mut lost = Vec::new();
    for outcome in images.ensure_each(&wanted, source, &say).await? {
        match outcome {
            Ok(image) => console.line(&format!("{} {}", image.name, image.reference)),
            // Nobody asked for it by name, and it is not ours to build.
            Err(image) if only_upstream(&image.wanted) => {
                progress.say(&format!("only upstream: {image}"))
            }
            Err(image) => lost.push(image),
        }
    }
    if lost.is_empty() { Ok(()) } else { Err(crate::image::Error::Unavailable(lost).into()) }
}
