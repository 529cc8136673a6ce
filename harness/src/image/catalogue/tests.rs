//! Tests of the catalogue, and images for the tests beside it.

use super::*;
use std::fs;

/// An image without files, for tests of what is done with images.
pub(in crate::image) fn image(name: &str, needs: &[&str]) -> Image {
    Image {
        name: name.into(),
        version: "1".into(),
        kind: Kind::Dockerfile,
        note: String::new(),
        upstream: None,
        needs: needs.iter().map(|n| (*n).to_owned()).collect(),
        seconds: 1,
        disk_mib: 1,
        deviation: None,
        debootstrap: None,
        folder: PathBuf::new(),
        own: None,
        hash: "0".repeat(64),
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, text).expect("file");
    }

    fn image(&self, name: &str, needs: &str) {
        self.write(
            &format!("{name}/image.toml"),
            &format!("name = \"{name}\"\nversion = \"1\"\nkind = \"dockerfile\"\nnote = \"\"\n\n[packages]\nneeds = [{needs}]\n"),
        );
        self.write(&format!("{name}/Dockerfile"), "FROM scratch\n");
    }

    fn load(&self) -> Catalogue {
        Catalogue::load(self.0.path()).expect("catalogue")
    }

    fn refused(&self) -> String {
        Catalogue::load(self.0.path()).expect_err("refused").to_string()
    }

    fn hash(&self, name: &str) -> String {
        self.load().get(name).expect("image").hash.clone()
    }
}

#[test]
fn the_hash_changes_with_a_file_a_name_of_a_file_and_a_parent_and_only_then() {
    let folder = Folder::new();
    folder.image("base", "");
    folder.image("child", "\"base\"");
    folder.image("other", "");
    folder.write("child/conf/a", "1");
    let (child, other) = (folder.hash("child"), folder.hash("other"));
    assert_eq!(child, folder.hash("child"));

    folder.write("child/conf/a", "2");
    let changed = folder.hash("child");
    assert_ne!(child, changed, "a file");
    folder.write("child/conf/a", "1");
    assert_eq!(child, folder.hash("child"), "and back");

    fs::rename(folder.0.path().join("child/conf/a"), folder.0.path().join("child/conf/b"))
        .expect("rename");
    assert_ne!(child, folder.hash("child"), "the name of a file");
    fs::rename(folder.0.path().join("child/conf/b"), folder.0.path().join("child/conf/a"))
        .expect("rename");

    folder.write("child/host-ca/x.crt", "of this machine");
    assert_eq!(child, folder.hash("child"), "authorities of the machine");

    folder.write("base/Dockerfile", "FROM scratch\nENV A=1\n");
    assert_ne!(child, folder.hash("child"), "a parent");
    assert_eq!(other, folder.hash("other"), "an image that has nothing to do with it");
}

#[test]
fn images_that_need_each_other_are_refused_with_the_way_and_the_line() {
    let folder = Folder::new();
    folder.image("a", "\"b\"");
    folder.image("b", "\"c\"");
    folder.image("c", "\"a\"");
    let error = folder.refused();
    assert!(error.contains("c/image.toml:7: images need each other: a -> b -> c -> a"), "{error}");
}

#[test]
fn a_missing_key_names_file_and_line() {
    let folder = Folder::new();
    folder.write("a/image.toml", "# comment\nname = \"a\"\nkind = \"dockerfile\"\nnote = \"\"\n");
    folder.write("a/Dockerfile", "FROM scratch\n");
    let error = folder.refused();
    assert!(
        error.contains("a/image.toml:") && error.contains("missing field `version`"),
        "{error}"
    );

    folder.write("a/image.toml", "name = \"a\"\nversion = \"1\"\nkind = \"dockerfile\"\nnote = \"\"\n\n[upstream]\nimage = \"x\"\n");
    let error = folder.refused();
    assert!(error.contains("a/image.toml:6: missing field `tag`"), "{error}");
}

#[test]
fn what_is_wrong_is_shown_at_its_line() {
    let folder = Folder::new();
    let write = |body: &str| folder.write("a/image.toml", body);
    folder.write("a/Dockerfile", "FROM scratch\n");

    write("name = \"a\"\nversion = \"1\"\nkind = \"container\"\nnote = \"\"\n");
    assert!(
        folder.refused().contains("image.toml:3: unknown variant `container`"),
        "{}",
        folder.refused()
    );
    write("name = \"a\"\nversion = \"1\"\nkind = \"dockerfile\"\nnote = \"\"\nports = 1\n");
    assert!(
        folder.refused().contains("image.toml:5: unknown field `ports`"),
        "{}",
        folder.refused()
    );
    write("version = \"1\"\nname = \"b\"\nkind = \"dockerfile\"\nnote = \"\"\n");
    assert!(
        folder.refused().contains("image.toml:2: name is `b`, wanted `a`"),
        "{}",
        folder.refused()
    );
    write("name = \"a\"\nversion = \"1\"\nkind = \"debootstrap\"\nnote = \"\"\n");
    assert!(
        folder.refused().contains("image.toml:3: kind is debootstrap without"),
        "{}",
        folder.refused()
    );
    write(
        "name = \"a\"\nversion = \"1\"\nkind = \"dockerfile\"\nnote = \"\"\n[packages]\nneeds = [\n  \"none\",\n]\n",
    );
    assert!(folder.refused().contains("image.toml:7: needs `none`, which"), "{}", folder.refused());
    fs::create_dir_all(folder.0.path().join("b")).expect("folder");
    write("name = \"a\"\nversion = \"1\"\nkind = \"dockerfile\"\nnote = \"\"\n");
    assert!(folder.refused().contains("b/image.toml: No such file"), "{}", folder.refused());
}

const ONLY_PULLED: &str = "name = \"g\"\nversion = \"1\"\nkind = \"upstream\"\nnote = \"\"\n[upstream]\nimage = \"x/g\"\ntag = \"1\"\n";

#[test]
fn an_image_that_can_only_be_pulled_has_a_reason_and_no_build() {
    let folder = Folder::new();
    let write = |more: &str| folder.write("g/image.toml", &format!("{ONLY_PULLED}{more}"));
    write("only = \"a licence\"\n");
    let catalogue = folder.load();
    assert_eq!(catalogue.get("g").expect("image").kind, Kind::Upstream);
    match catalogue.find("x/g:2").expect("found") {
        Found::Ours { pull, deviation, .. } => {
            assert_eq!(
                (pull.as_deref(), deviation),
                (Some("x/g:2"), None),
                "no build that could differ"
            );
        }
        Found::Foreign => panic!("it is in the catalogue"),
    }

    write("");
    assert!(
        folder.refused().contains("g/image.toml:5: [upstream] does not say why"),
        "{}",
        folder.refused()
    );
    write("only = \"a licence\"\n[packages]\nneeds = []\n");
    assert!(
        folder.refused().contains("g/image.toml:9: kind is upstream with a section [packages]"),
        "{}",
        folder.refused()
    );
    folder
        .write("g/image.toml", "name = \"g\"\nversion = \"1\"\nkind = \"upstream\"\nnote = \"\"\n");
    assert!(
        folder.refused().contains("g/image.toml:3: kind is upstream without a section [upstream]"),
        "{}",
        folder.refused()
    );
    folder.write(
        "g/image.toml",
        &ONLY_PULLED
            .replace("\"upstream\"", "\"dockerfile\"")
            .replace("tag", "only = \"a licence\"\ntag"),
    );
    folder.write("g/Dockerfile", "FROM scratch\n");
    assert!(
        folder.refused().contains("g/image.toml:5: [upstream] says `only`, but kind is dockerfile"),
        "{}",
        folder.refused()
    );

    write("only = \"a licence\"\n");
    assert!(
        folder
            .refused()
            .contains("g/image.toml:3: kind is upstream, and its folder has a Dockerfile"),
        "{}",
        folder.refused()
    );
    fs::remove_file(folder.0.path().join("g/Dockerfile")).expect("remove");
    folder.image("child", "\"g\"");
    assert!(
        folder.refused().contains("child/image.toml:7: needs `g`, which can only be pulled"),
        "{}",
        folder.refused()
    );
}

#[test]
fn references_of_compose_files_find_our_images() {
    let folder = Folder::new();
    folder.image("prometheus", "");
    folder.write(
        "prometheus/image.toml",
        "name = \"prometheus\"\nversion = \"2.53.3\"\nkind = \"dockerfile\"\nnote = \"\"\n[upstream]\nimage = \"prom/prometheus\"\ntag = \"v2.53.3\"\n",
    );
    let catalogue = folder.load();
    let found = |catalogue: &Catalogue, wanted: &str| match catalogue.find(wanted).expect("found") {
        Found::Ours { image, pull, deviation } => {
            (image.name.clone(), pull.unwrap_or_default(), deviation)
        }
        Found::Foreign => ("foreign".into(), String::new(), None),
    };
    assert_eq!(
        found(&catalogue, "prometheus"),
        ("prometheus".into(), "prom/prometheus:v2.53.3".into(), None)
    );
    assert_eq!(found(&catalogue, "firedrill/prometheus:dev").0, "prometheus");
    assert_eq!(
        found(&catalogue, "docker.io/prom/prometheus:v2.53.3"),
        ("prometheus".into(), "docker.io/prom/prometheus:v2.53.3".into(), None)
    );
    let (name, pull, deviation) = found(&catalogue, "prom/prometheus:v2.45.0");
    assert_eq!(
        (name.as_str(), pull.as_str()),
        ("prometheus", "prom/prometheus:v2.45.0"),
        "upstream gives what was asked for"
    );
    assert_eq!(
        deviation.as_deref(),
        Some("prometheus from packages: version 2.53.3 where v2.45.0 was asked for")
    );
    assert!(found(&catalogue, "prom/prometheus").2.expect("deviation").contains("latest"));
    assert_eq!(found(&catalogue, "quay.io/prom/prometheus:v2.53.3").0, "foreign");
    folder.write(
        "prometheus/image.toml",
        "name = \"prometheus\"\nversion = \"2.53.3\"\nkind = \"dockerfile\"\nnote = \"\"\n[upstream]\nimage = \"prom/prometheus\"\ntag = \"v2.53.3\"\n\
         [packages]\ndeviation = \"no pictures\"\n",
    );
    let catalogue = folder.load();
    assert_eq!(
        found(&catalogue, "prom/prometheus:v2.53.3").2.as_deref(),
        Some("prometheus from packages: no pictures")
    );
    let error = catalogue.find("firedrill/nothing:1").expect_err("refused").to_string();
    assert!(
        error.contains("firedrill/nothing:1 is not in the catalogue, seen prometheus"),
        "{error}"
    );
}

#[test]
fn of_two_versions_the_one_that_is_asked_for_is_found_else_the_first() {
    let folder = Folder::new();
    for (name, version) in [("manager", "0.28.1"), ("manager-0.35", "0.35.0")] {
        folder.write(&format!("{name}/Dockerfile"), "FROM scratch\n");
        folder.write(
            &format!("{name}/image.toml"),
            &format!(
                "name = \"{name}\"\nversion = \"{version}\"\nkind = \"dockerfile\"\nnote = \"\"\n\
                 [upstream]\nimage = \"prom/manager\"\ntag = \"v{version}\"\n"
            ),
        );
    }
    let catalogue = folder.load();
    let found = |wanted: &str| match catalogue.find(wanted).expect("found") {
        Found::Ours { image, deviation, .. } => (image.name.as_str(), deviation),
        Found::Foreign => panic!("{wanted} is in the catalogue"),
    };
    assert_eq!(found("prom/manager:v0.28.1"), ("manager", None));
    assert_eq!(found("prom/manager:v0.35.0"), ("manager-0.35", None));
    let other = |wanted: &str| {
        let (name, deviation) = found(wanted);
        (name, deviation.expect("another version"))
    };
    let told =
        |tag: &str| format!("manager from packages: version 0.28.1 where {tag} was asked for");
    assert_eq!(other("prom/manager:v0.36.0"), ("manager", told("v0.36.0")));
    assert_eq!(other("prom/manager"), ("manager", told("latest")));
}

#[test]
fn the_committed_catalogue_is_sound() {
    let catalogue =
        Catalogue::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/images"))
            .expect("catalogue");
    for image in catalogue.images() {
        assert!(!image.note.is_empty(), "{} says why its version", image.name);
        assert!(
            image.seconds > 0 || matches!(image.kind, Kind::Files | Kind::Upstream),
            "{} says how long it takes",
            image.name
        );
        for (relative, file) in files(&image.folder).expect("files") {
            let bytes = fs::read(&file).expect("file");
            assert!(bytes.len() < 1 << 20, "{relative} of {} is a large file", image.name);
            let text = String::from_utf8(bytes).expect("text files only");
            assert!(
                !(relative == "Dockerfile" && text.contains("<<")),
                "{}: the engine's BuildKit knows no heredocs",
                image.name
            );
            assert!(
                !text.contains("# syntax="),
                "{}: no external frontend can be pulled everywhere",
                image.name
            );
        }
    }
}
