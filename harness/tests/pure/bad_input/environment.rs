//! A machine that can't do it: exit code 3, and reports that can't be written.

use super::snapshot::{agreed, command_line};
use std::net::TcpListener;
use support::broken::Broken;

#[test]
fn no_engine_says_where_it_was_looked_for_and_what_to_do() {
    let mut said = Vec::new();
    for arguments in [
        &["verify", "STACK"][..],
        &["up", "STACK"],
        &["run", "spare_paused", "--stack", "STACK"],
        &["selftest", "STACK"],
        &["down", "--all"],
        &["heal"],
        &["status"],
    ] {
        let broken = Broken::copy_of("mini");
        let ended = broken.run(arguments);
        // Only what stands in the journal or is up needs an engine to be healed, shown or removed.
        if ended.exit == 0 {
            assert!(matches!(arguments[0], "heal" | "status"), "{arguments:?} needs an engine");
            continue;
        }
        ended.is_refused(3);
        assert!(broken.state().is_empty(), "{arguments:?} began something: {:?}", broken.state());
        said.push(format!("{}\n{}", command_line(arguments), broken.elsewhere(&ended.stderr)));
    }
    agreed("no_engine", &said);
}

#[test]
fn a_target_where_nobody_listens_is_said() {
    let held = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = held.local_addr().expect("address");
    drop(held);
    let url = format!("http://{address}/");
    let ended =
        Broken::copy_of("mini").run(&["load", "--url", &url, "--rate", "5", "--duration", "1s"]);
    ended.is_refused(3);
    agreed("nobody_listens", &[ended.stderr.replace(&address.to_string(), "ADDRESS:PORT")]);
}

#[test]
fn a_port_in_use_is_refused_before_anything_starts_and_names_line_port_and_service() {
    let broken = Broken::copy_of("mini");
    let held = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = held.local_addr().expect("address").port();
    broken.edit("firedrill.yaml", "time_scale: 1", "time_scale: 1\nports: as_written");
    // The other ports of the stack are made free ones, whatever this machine runs.
    for inside in ["9090", "9000", "9001"] {
        let free =
            TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("address").port();
        broken.edit(
            "docker-compose.yml",
            &format!("127.0.0.1:{inside}:{inside}"),
            &format!("127.0.0.1:{free}:{inside}"),
        );
    }
    broken.edit("docker-compose.yml", "127.0.0.1:9093:9093", &format!("127.0.0.1:{port}:9093"));
    let place = broken.place("docker-compose.yml", &format!(":{port}:9093"));
    let ended = broken.run(&["verify", "STACK", "--report", "report"]);
    ended.is_refused(3);
    let said = ended.stderr.replace(&place, "STACK/docker-compose.yml:LINE");
    agreed("port_in_use", &[broken.elsewhere(&said.replace(&port.to_string(), "PORT"))]);
    assert!(broken.state().is_empty(), "{:?}", broken.state());
    drop(held);
    // With the port free the next thing that is missing is the engine.
    let ended = broken.run(&["verify", "STACK", "--report", "report"]);
    ended.is_one_message(3, &["no container engine answers"]);
}

#[test]
fn reports_that_can_not_be_written_are_refused_before_a_stack_is_up_for_nothing() {
    let broken = Broken::copy_of("mini");
    std::fs::write(broken.report(), "in the way").expect("file");
    let said = ["report", "/proc/firedrill"].map(|report| {
        let arguments = ["verify", "STACK", "--report", report];
        let ended = broken.run(&arguments);
        ended.is_refused(64);
        format!("{}\n{}", command_line(&arguments), broken.elsewhere(&ended.stderr))
    });
    agreed("no_report", &said);
    assert!(broken.state().is_empty(), "{:?}", broken.state());
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    use std::process::Stdio;
    let broken = Broken::copy_of("mini");
    let mut child = broken
        .command(&["fault", "list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("panicked") && !told.contains("defect"), "{told}");
}
