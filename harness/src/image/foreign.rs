//! Recipes of images as nobody should write them.

use super::Error;
use super::catalogue::Catalogue;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;

const BASE: &str = include_str!("../../../compose/images/base-files/image.toml");
const RECIPES: &[&str] = &[
    include_str!("../../../compose/images/base-trixie/image.toml"),
    include_str!("../../../compose/images/prometheus/image.toml"),
    include_str!("../../../compose/images/grafana/image.toml"),
    include_str!("../../../compose/images/own/image.toml"),
];

/// Loads a catalogue in which one recipe is this.
fn recipe_is_read(name: &str, text: &str) -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
        std::fs::write(folder.path().join(name).join("image.toml"), text).expect("a file");
    };
    put("base-files", BASE);
    put(name, text);
    let catalogue = Catalogue::load(folder.path()).inspect_err(|error| {
        let Error::Content { path, line, what, hint } = error else {
            panic!("it names no line: {error}");
        };
        assert!(path.starts_with(folder.path()) && !what.is_empty() && !hint.is_empty());
        assert!(*line <= text.lines().count().max(1) + 1, "line {line} of {text:?}");
    })?;
    for image in catalogue.images() {
        assert!(image.reference().starts_with("firedrill/"), "{image:?}");
    }
    Ok(())
}

#[test]
fn what_is_damaged_below_is_read_as_long_as_it_is_whole() {
    let read = |name, at: usize| recipe_is_read(name, RECIPES[at]);
    assert!(read("base-trixie", 0).is_ok());
    assert!(read("grafana", 2).is_ok());
    // Its parent is not there.
    assert!(read("prometheus", 1).is_err());
}

proptest! {
    #![proptest_config(damaged::cases(120))]

    #[test]
    fn a_damaged_recipe(text in damaged(RECIPES)) {
        for name in ["base-trixie", "prometheus", "grafana", "own"] {
            let _ = recipe_is_read(name, &text);
        }
    }

    #[test]
    fn anything_in_place_of_a_recipe(text in anything()) {
        let _ = recipe_is_read("a", &text);
    }
}

#[test]
fn recipes_that_nest_deeply_are_read_or_refused() {
    for text in deep() {
        let _ = recipe_is_read("a", &text);
        let _ = recipe_is_read("a", &format!("name = {text}"));
    }
}
