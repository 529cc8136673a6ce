use super::*;
use crate::engine::spec::MountSpec;
use crate::stack::compose::{Source, load};
use crate::stack::work_copy::WorkCopy;
use proptest::prelude::*;
use std::os::unix::net::UnixListener;

/// A stack's folder beside folders of its owner's.
struct Home {
    temp: tempfile::TempDir,
    _socket: UnixListener,
}

impl Home {
    fn new() -> Home {
        let temp = tempfile::tempdir().expect("folder");
        let root = temp.path();
        for folder in ["stack/conf", "live/sub", "big", "runs/r/stack"] {
            std::fs::create_dir_all(root.join(folder)).expect("folder");
        }
        for (file, text) in [
            ("live/sub/rules.yml", "the owner's"),
            ("live/prometheus.yml", "{}"),
            ("stack/conf/a.yml", "{}"),
        ] {
            std::fs::write(root.join(file), text).expect("file");
        }
        std::fs::File::create(root.join("big/wal"))
            .expect("file")
            .set_len(copy::MOST_BYTES + 1)
            .expect("size");
        std::os::unix::fs::symlink(root.join("live"), root.join("stack/link")).expect("link");
        let _socket = UnixListener::bind(root.join("live/s")).expect("socket");
        Home { temp, _socket }
    }

    fn path(&self) -> PathBuf {
        self.temp.path().canonicalize().expect("real")
    }

    fn project(&self, compose: &str) -> Project {
        let file = self.path().join("stack/docker-compose.yml");
        std::fs::write(&file, compose.replace("HOME", &self.path().display().to_string()))
            .expect("file");
        load(&Source::new(file)).expect("reads")
    }

    fn plan(&self, compose: &str, empty: &[&str], need: Need) -> Result<Mounts, ConfigError> {
        let owners = OwnerData { empty: empty.iter().map(|e| (*e).to_owned()).collect() };
        Mounts::plan(&self.project(compose), &self.path().join("stack"), &owners, &|_| need)
    }

    /// With these mounts of one service.
    fn of(&self, volumes: &str) -> Result<Mounts, ConfigError> {
        self.plan(
            &format!(
                "services:\n  a:\n    image: i\n    volumes: [{volumes}]\nvolumes: {{v: {{}}}}\n"
            ),
            &[],
            Need::None,
        )
    }

    fn work(&self) -> WorkCopy {
        WorkCopy {
            run: "r".into(),
            original: self.path().join("stack"),
            folder: self.path().join("runs/r/stack"),
        }
    }

    fn bind(&self, mounts: &Mounts, service: &str) -> (PathBuf, bool) {
        match mounts.specs(service, &self.work(), "p", &BTreeMap::new()).pop() {
            Some(MountSpec::Bind { source, read_only, .. }) => (source, read_only),
            other => panic!("{other:?}"),
        }
    }
}

fn told(mounts: &Mounts) -> String {
    mounts.deviations.iter().map(|d| format!("{} ({})\n", d.what, d.why)).collect()
}

#[test]
fn data_of_the_owners_is_copied_or_read_only() {
    let home = Home::new();
    let written = home.of("'../live:/data'").expect("small");
    let copy = home
        .path()
        .join("runs/r/outside")
        .join(home.path().join("live").strip_prefix("/").expect("absolute"));
    assert_eq!(home.bind(&written, "a"), (copy.clone(), false));
    assert!(
        told(&written).contains("a: a copy of")
            && told(&written).contains("/live is mounted at /data"),
        "{}",
        told(&written)
    );
    written.bring(&home.work()).expect("copies");
    assert_eq!(std::fs::read_to_string(copy.join("sub/rules.yml")).expect("file"), "the owner's");
    std::fs::write(copy.join("sub/rules.yml"), "the run's").expect("file");
    assert_eq!(
        std::fs::read_to_string(home.path().join("live/sub/rules.yml")).expect("file"),
        "the owner's"
    );

    let read = home.of("'../live:/data:ro'").expect("read-only");
    assert_eq!(
        (home.bind(&read, "a"), told(&read)),
        ((home.path().join("live"), true), String::new())
    );
    // Through a link in the folder, in the long form, and as a volume that is a bind mount.
    for volumes in ["'./link:/data'", "{type: bind, source: ./link, target: /data}"] {
        assert_eq!(
            home.bind(&home.of(volumes).expect("small"), "a"),
            (copy.clone(), false),
            "{volumes}"
        );
    }
    let volume = |options: &str| {
        let text = format!(
            "services: {{a: {{image: i, volumes: ['v:/data']}}}}\nvolumes: {{v: {{driver_opts: {options}}}}}\n"
        );
        home.plan(&text, &[], Need::None).expect("small")
    };
    assert_eq!(
        home.bind(&volume("{type: none, o: bind, device: HOME/live}"), "a"),
        (copy.clone(), false)
    );
    assert_eq!(home.bind(&volume("{o: bind, device: ../live}"), "a"), (copy, false));
    assert_eq!(
        home.bind(&volume("{type: none, o: 'bind,ro', device: HOME/live}"), "a"),
        (home.path().join("live"), true)
    );
}

#[test]
fn what_is_written_by_one_service_is_seen_by_another() {
    let home = Home::new();
    let both = "services:\n  a: {image: i, volumes: ['../live/sub:/out']}\n  b: {image: i, volumes: ['../live:/in:ro']}\n";
    let mounts = home.plan(both, &[], Need::None).expect("small");
    assert_eq!(home.bind(&mounts, "a").0, home.bind(&mounts, "b").0.join("sub"));
    assert!(home.bind(&mounts, "b").1 && !home.bind(&mounts, "a").1);
    // Around a copy, what is too much stays as it is, before and after there is that copy.
    let around = both.replace("../live:/in:ro", "..:/in:ro");
    let mounts = home.plan(&around, &[], Need::None).expect("read-only");
    assert!(told(&mounts).contains("too much to copy (what other services"), "{}", told(&mounts));
    mounts.bring(&home.work()).expect("copies");
    // Here the runs' folder lies in what is mounted, so that there is more of it now.
    let counted = regex::Regex::new(r"in \d+ files").expect("pattern");
    let same =
        |mounts: &Mounts| counted.replace_all(&format!("{mounts:?}"), "in some files").into_owned();
    let again = home.work().mounts(&home.project(&around), &OwnerData::default()).expect("again");
    assert_eq!(same(&again), same(&mounts));
    assert_eq!(home.bind(&mounts, "b"), (home.path(), true));
}

#[test]
fn the_later_of_two_mounts_at_one_place_wins() {
    let home = Home::new();
    let mounts = home.of("'../big:/data', './conf:/data/'").expect("the later one");
    assert_eq!(mounts.specs("a", &home.work(), "p", &BTreeMap::new()).len(), 1);
    assert_eq!(
        (home.bind(&mounts, "a").0, told(&mounts)),
        (home.work().folder.join("conf"), String::new())
    );
}

#[test]
fn what_is_too_much_is_refused_all_at_once_unless_it_may_be_empty() {
    let home = Home::new();
    let text = "services:\n  a:\n    image: i\n    volumes:\n    - ../big:/data\n    - ../live:/live\n  b:\n    image: i\n    volumes: [{type: bind, source: ../big/wal, target: /wal}]\n";
    let error = home.plan(text, &[], Need::None).expect_err("too much");
    assert_eq!(error.place.line, 5);
    for part in [
        "docker-compose.yml:5: ",
        "docker-compose.yml:9: ",
        "/big at /data of a: 64.0 MiB in 2 files",
        "/wal of b",
        "64 MiB and 10000 files",
    ] {
        assert!(error.problem.contains(part), "{part} in {error}");
    }
    assert!(
        !error.problem.contains("/live")
            && error.hint.contains("owner_data")
            && error.hint.contains(":ro"),
        "{error}"
    );
    let mounts = home.plan(text, &["../big", "../big/wal"], Need::None).expect("empty");
    let (source, read_only) = home.bind(&mounts, "b");
    assert!(
        source.starts_with(home.path().join("runs/r/empty")) && !read_only,
        "{}",
        source.display()
    );
    assert!(
        mounts.empties("../big", &home.path().join("stack"))
            && !mounts.empties("../live", &home.path().join("stack"))
    );
    mounts.bring(&home.work()).expect("makes");
    assert_eq!(home.bind(&mounts, "b").0.metadata().expect("file").len(), 0);
    assert_eq!(source.parent().expect("folder").read_dir().expect("folder").count(), 1);
    assert!(home.of("'../big:/data:ro'").is_ok(), "read-only it stays where it is");
}

#[test]
fn nothing_is_made_in_the_owners_folders() {
    let home = Home::new();
    let mounts = home.of("'../live/new:/data', './fresh:/fresh'").expect("made");
    assert!(told(&mounts).contains("live/new is not there: an empty folder"), "{}", told(&mounts));
    mounts.bring(&home.work()).expect("makes");
    assert!(home.path().join("runs/r/stack/fresh").is_dir());
    assert!(!home.path().join("live/new").exists() && !home.path().join("stack/fresh").exists());
    for volumes in [
        "{type: bind, source: ../live/new, target: /d}",
        "{type: bind, source: ./fresh, target: /d}",
    ] {
        let error = home.of(volumes).expect_err("not there").to_string();
        assert!(error.contains("there is no") && error.contains("docker-compose.yml:4"), "{error}");
    }
    assert!(
        home.of("{type: bind, source: ../live/new, target: /d, bind: {create_host_path: true}}")
            .is_ok()
    );
}

#[test]
fn the_host_is_read_only_and_its_sockets_are_told() {
    let home = Home::new();
    let text = |volume: &str| told(&home.of(&format!("'{volume}'")).expect("a mount"));
    for path in ["/proc", "/sys", "/etc/passwd", "/dev/null", "/var/log"] {
        let mounts = home.of(&format!("'{path}:/x'")).expect("a mount");
        assert_eq!(home.bind(&mounts, "a"), (PathBuf::from(path), true));
        assert!(told(&mounts).contains(&format!("{path} is mounted")), "{}", told(&mounts));
    }
    assert_eq!(text("/sys:/sys:ro"), "");
    for path in ["/", "/run", "/var/run"] {
        let told = text(&format!("{path}:/x:ro"));
        assert!(
            told.contains(&format!(
                "the host's {path} is mounted at /x, and with it the engine's socket"
            )),
            "{told}"
        );
    }
    assert!(
        text("/var/run/docker.sock:/var/run/docker.sock")
            .starts_with("a: the engine's socket is mounted")
    );
    assert!(
        text("../live/s:/s").contains("live/s is mounted at /s (a socket can't be copied"),
        "{}",
        text("../live/s:/s")
    );
    assert!(text("/:/host:ro,rshared").contains("propagation rslave instead of rshared"));
}

#[test]
fn volumes_of_others_are_never_written() {
    let home = Home::new();
    let text = |volume: &str, mode: &str| {
        format!(
            "services: {{a: {{image: i, volumes: ['v:/data{mode}']}}}}\nvolumes: {{v: {volume}}}\n"
        )
    };
    let spec = |mounts: &Mounts, as_they_are: &[(&str, &str)]| {
        let own = as_they_are.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        match mounts.specs("a", &home.work(), "p", &own).pop() {
            Some(MountSpec::Volume { source, read_only, no_copy, .. }) => {
                assert_eq!(read_only, no_copy, "an engine would fill an empty one");
                (source.expect("named"), read_only)
            }
            other => panic!("{other:?}"),
        }
    };
    let foretold =
        |mounts: &Mounts| mounts.told_externals().map(|d| d.what).collect::<Vec<_>>().concat();
    let written =
        home.plan(&text("{external: true, name: live}", ""), &[], Need::None).expect("a plan");
    assert_eq!(spec(&written, &[]), ("p_v".to_owned(), false));
    assert!(
        foretold(&written).contains("takes the place of external volume live, with a copy"),
        "{}",
        foretold(&written)
    );
    let read =
        home.plan(&text("{external: true, name: live}", ":ro"), &[], Need::None).expect("a plan");
    assert_eq!(spec(&read, &[("v", "live")]), ("live".to_owned(), true));
    assert!(
        foretold(&read).contains("external volume live is mounted read-only"),
        "{}",
        foretold(&read)
    );
    let empty = home
        .plan(&text("{external: true, name: live}", ""), &["live"], Need::None)
        .expect("a plan");
    assert!(
        empty.empties("live", &home.path()) && foretold(&empty).starts_with("an empty volume"),
        "{}",
        foretold(&empty)
    );
    for elsewhere in [
        "{driver: sshfs}",
        "{driver_opts: {type: nfs, o: addr=nas, device: ':/srv'}}",
        "{driver_opts: {type: ext4, device: /dev/sda1}}",
        "{driver_opts: {type: overlay, o: 'upperdir=/srv', device: overlay}}",
    ] {
        let mounts = home.plan(&text(elsewhere, ""), &[], Need::None).expect("a plan");
        assert_eq!(mounts.volumes["v"], Origin::Elsewhere, "{elsewhere}");
        assert!(
            told(&mounts).contains("an empty volume of the run's own takes the place of volume v"),
            "{}",
            told(&mounts)
        );
    }
    for own in ["{}", "{name: other}", "{driver_opts: {type: tmpfs, device: tmpfs}}"] {
        let mounts = home.plan(&text(own, ""), &[], Need::None).expect("a plan");
        assert_eq!((&mounts.volumes["v"], told(&mounts)), (&Origin::Own, String::new()), "{own}");
    }
}

#[test]
fn configuration_is_the_runs_own_where_it_can_be() {
    let home = Home::new();
    let text = "services: {a: {image: i, volumes: ['../live:/etc/prometheus:ro', './conf:/conf:ro'], configs: [c]}}\nconfigs: {c: {file: ../live/sub/rules.yml}}\n";
    let file = home.path().join("live/prometheus.yml");
    let mounts = home.plan(text, &[], Need::Configuration).expect("a plan");
    mounts.bring(&home.work()).expect("copies");
    let places: Vec<PathBuf> = mounts.places(&home.work(), "a", &file).into_iter().collect();
    assert_eq!(places, [home.work().outside(&file)]);
    assert!(
        places[0].is_file()
            && mounts.out_of_reach("a", &file).is_none()
            && mounts.is_mounted("a", &file)
    );
    let inside = home.path().join("stack/conf/a.yml");
    assert_eq!(
        mounts.places(&home.work(), "a", &inside).into_iter().next(),
        Some(home.work().folder.join("conf/a.yml"))
    );
    // One that is handed over as a config is read from the run's copy, too.
    let rules = home.path().join("live/sub/rules.yml");
    assert!(
        mounts.is_content("a", &rules)
            && home.work().place(&rules).is_some_and(|copy| copy.is_file())
    );
    // What nobody mounts, or what is too much to copy, is out of reach.
    assert!(
        mounts
            .out_of_reach("a", &home.path().join("stack/docker-compose.yml"))
            .expect("why")
            .contains("no mount of service a")
    );
    let big = home
        .plan(
            "services: {a: {image: i, volumes: ['../big:/etc/prometheus:ro']}}\n",
            &[],
            Need::Configuration,
        )
        .expect("a plan");
    assert!(
        big.out_of_reach("a", &home.path().join("big/wal"))
            .expect("why")
            .contains("too much to copy")
    );
}

/// A mount in one of the ways to write it.
fn any_mount() -> impl Strategy<Value = String> {
    let source = prop_oneof![
        Just("./conf"),
        Just("./link"),
        Just("./link/sub"),
        Just("./new"),
        Just("../live"),
        Just("../live/sub"),
        Just("../live/s"),
        Just("../live/new"),
        Just(".."),
        Just("."),
        Just("/"),
        Just("/proc"),
        Just("/run"),
        Just("/var/run/docker.sock"),
        Just("/dev/null"),
        Just("/etc/passwd"),
        Just("v"),
        Just("bound"),
        Just("nfs"),
        Just("theirs"),
        Just("HOME/live/prometheus.yml"),
    ];
    (source, prop_oneof![Just(""), Just(":ro"), Just(":rw"), Just(":rw,rshared")], any::<bool>(), 0..3_u8).prop_map(
        |(source, mode, long, at)| {
            let kind = if source.starts_with(['.', '/', 'H']) { "bind" } else { "volume" };
            let read_only = mode == ":ro";
            match (long, kind) {
                (true, "bind") => {
                    format!("{{type: bind, source: '{source}', target: /t{at}, read_only: {read_only}, bind: {{create_host_path: true}}}}")
                }
                (true, _) => format!("{{type: volume, source: {source}, target: /t{at}, read_only: {read_only}}}"),
                (false, "volume") if mode.contains("shared") => format!("'{source}:/t{at}'"),
                (false, _) => format!("'{source}:/t{at}{mode}'"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever is mounted, and in whatever way it is written: what can be written is the run's.
    #[test]
    fn nothing_but_the_runs_own_is_writable(
        a in proptest::collection::vec(any_mount(), 1..5),
        b in proptest::collection::vec(any_mount(), 0..5),
        configures in any::<bool>(),
    ) {
        let home = Home::new();
        let text = format!(
            "services:\n  a:\n    image: i\n    volumes: [{}]\n  b:\n    image: i\n    volumes: [{}]\nvolumes:\n  v: {{}}\n  \
             bound: {{driver_opts: {{type: none, o: bind, device: HOME/live}}}}\n  nfs: {{driver_opts: {{type: nfs, device: ':/x'}}}}\n  \
             theirs: {{external: true}}\n",
            a.join(", "), b.join(", ")
        );
        let need = if configures { Need::Configuration } else { Need::None };
        // The folder above holds too much to be copied.
        let Ok(mounts) = home.plan(&text, &[], need) else { return Ok(()) };
        let work = home.work();
        mounts.bring(&work).expect("brings");
        let again = work.mounts(&home.project(&text), &OwnerData::default()).expect("as before");
        for service in ["a", "b"] {
            prop_assert_eq!(again.specs(service, &work, "p", &BTreeMap::new()), mounts.specs(service, &work, "p", &BTreeMap::new()));
            for spec in mounts.specs(service, &work, "p", &BTreeMap::from([("theirs".to_owned(), "theirs".to_owned())])) {
                match spec {
                    MountSpec::Bind { source, read_only: false, .. } => {
                        let (real, _) = place::real(&source);
                        prop_assert!(real.starts_with(home.path().join("runs/r")), "{} is writable", source.display());
                    }
                    MountSpec::Bind { propagation, .. } => prop_assert!(propagation.is_none_or(|p| !p.contains("shared"))),
                    MountSpec::Volume { source: Some(source), read_only: false, .. } => prop_assert!(source.starts_with("p_"), "{source}"),
                    _ => {}
                }
            }
        }
        prop_assert!(!home.path().join("live/new").exists() && !home.path().join("stack/new").exists());
        prop_assert_eq!(std::fs::read_to_string(home.path().join("live/sub/rules.yml")).expect("file"), "the owner's");
    }
}
