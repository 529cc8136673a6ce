//! Machines on which a drill can't run: told before anything is started, with exit code 3 and what
//! to do. The engine is the real one; what the machine lacks is taken away from the program's sight
//! alone.

use super::stage::{Outcome, check};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

type Case = fn() -> Outcome;

pub const CASES: [(&str, Case); 4] = [
    ("without_a_packet_filter_no_stack_is_started", no_packet_filter),
    ("a_fault_that_the_kernel_has_no_means_for_is_named_with_its_drill", no_packet_queue),
    ("without_room_on_disk_no_stack_is_started", no_room),
    ("without_room_on_disk_no_image_is_built", no_room_for_images),
];

/// Runs it in a folder of its own; wants exit code 3, one message with these words and a hint, and
/// nothing begun.
fn refused(mut command: Command, home: &Path, words: &[&str]) -> Outcome {
    command.current_dir(home).env("XDG_STATE_HOME", home.join("state")).env("RUST_BACKTRACE", "0");
    command.env_remove("FIREDRILL_STATE").env_remove("FIREDRILL_PROVISION");
    let ended = command.output()?;
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    check(ended.status.code() == Some(3), &ended)?;
    check(
        told.lines().filter(|l| l.starts_with("error: ")).count() == 1 && told.contains("hint: "),
        &told,
    )?;
    check(words.iter().all(|word| told.contains(word)), &told)?;
    check(!home.join("state").exists(), "something was journalled")
}

fn firedrill(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(arguments).env("FIREDRILL_HOME", root());
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn no_packet_filter() -> Outcome {
    for arguments in [
        &["verify", "mini"][..],
        &["up", "mini"],
        &["run", "spare_paused", "--stack", "mini"],
        &["selftest", "mini"],
    ] {
        let home = tempfile::tempdir()?;
        let mut command = firedrill(arguments);
        command.env("PATH", home.path());
        refused(command, home.path(), &["containment", "iptables", "can't be started"])?;
    }
    Ok(())
}

fn no_packet_queue() -> Outcome {
    let home = tempfile::tempdir()?;
    let refusing = home.path().join("iptables");
    let path = std::env::var("PATH")?;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *NFQUEUE*) echo 'Extension NFQUEUE is not supported, missing kernel module?' >&2; exit 2;; esac\n\
         PATH='{path}' exec iptables \"$@\"\n"
    );
    std::fs::write(&refusing, script)?;
    std::fs::set_permissions(&refusing, std::fs::Permissions::from_mode(0o755))?;
    let mut command = firedrill(&["verify", "email"]);
    command.env("PATH", format!("{}:{path}", home.path().display()));
    refused(command, home.path(), &["drill ", "fault packet_delay", "missing kernel module"])
}

/// The program in a mount namespace in which the engine's folder is on a file system of one MiB.
fn without_room(home: &Path, arguments: &str) -> Outcome<Command> {
    let asked = Command::new(env!("CARGO_BIN_EXE_firedrill")).arg("doctor").output()?;
    let told = String::from_utf8_lossy(&asked.stdout).into_owned();
    let folder = told.lines().find(|l| l.contains("disk space")).and_then(|l| {
        // Where this machine itself has too little, that is told in other words.
        let told = l.split(" in ").nth(1).or_else(|| l.split("on disk: ").nth(1))?;
        Some(told.split(" has ").next()?.trim().to_owned())
    });
    let folder = folder
        .filter(|f| Path::new(f).is_dir())
        .ok_or_else(|| format!("doctor does not say where images are: {told}"))?;
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {folder} && exec {} {arguments}",
        env!("CARGO_BIN_EXE_firedrill")
    );
    command.args(["--mount", "sh", "-c", &script]).env("FIREDRILL_HOME", home);
    Ok(command)
}

fn no_room() -> Outcome {
    let home = tempfile::tempdir()?;
    refused(
        without_room(root(), "verify mini")?,
        home.path(),
        &["no room on disk", "0.0 GiB free", "a run needs 1.0 GiB"],
    )
}

fn no_room_for_images() -> Outcome {
    let home = tempfile::tempdir()?;
    let own = home.path().join("own");
    // An image that nobody has built: one of ours with a line more.
    std::fs::create_dir_all(own.join("compose/stacks"))?;
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root().join("compose/images"))
        .arg(own.join("compose/images"))
        .status()?;
    check(copied.success(), copied)?;
    let recipe = own.join("compose/images/redis/Dockerfile");
    std::fs::write(
        &recipe,
        format!("{}RUN true {}\n", std::fs::read_to_string(&recipe)?, std::process::id()),
    )?;
    let command = without_room(&own, "images redis --images packages")?;
    refused(command, home.path(), &["building redis needs", "seen 0.0 GiB free"])
}
