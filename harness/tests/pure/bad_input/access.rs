//! Servers that can't be asked the way it is stated.

use super::case::{Case, OWN, each_gives_one_message, email, mini};
use support::broken::Broken;

const AT: &str = "port: 9093, config";

const CASES: &[Case] = &[
    mini("unknown scheme", &[(OWN, AT, "port: 9093, scheme: htps, config")], (OWN, "scheme: htps")),
    mini(
        "https that nobody vouches for",
        &[(OWN, AT, "port: 9093, scheme: https, config")],
        (OWN, "scheme: https"),
    ),
    mini(
        "authority without https",
        &[(OWN, AT, "port: 9093, ca_file: docker-compose.yml, config")],
        (OWN, "ca_file: docker"),
    ),
    mini(
        "authority that is no file",
        &[(OWN, AT, "port: 9093, scheme: https, ca_file: tls/ca.pem, config")],
        (OWN, "ca_file: tls"),
    ),
    mini(
        "authority that is no certificate",
        &[(OWN, AT, "port: 9093, scheme: https, ca_file: docker-compose.yml, config")],
        (OWN, "ca_file: docker"),
    ),
    mini(
        "two certificates",
        &[(
            OWN,
            AT,
            "port: 9093, scheme: https, ca_file: x.pem, certificate: {cert_file: /c, key_file: /k}, config",
        )],
        (OWN, "certificate: {cert"),
    ),
    mini(
        "certificate without key",
        &[(OWN, AT, "port: 9093, scheme: https, certificate: {cert_file: /c}, config")],
        (OWN, "certificate: {cert"),
    ),
    mini(
        "certificate beside the stack",
        &[(
            OWN,
            AT,
            "port: 9093, scheme: https, certificate: {cert_file: tls/c.pem, key_file: /k}, config",
        )],
        (OWN, "certificate: {cert"),
    ),
    mini(
        "certificate in what is mounted",
        &[(
            OWN,
            AT,
            "port: 9093, scheme: https, certificate: {cert_file: /c, key_file: /alertmanager/key.pem}, config",
        )],
        (OWN, "certificate: {cert"),
    ),
    mini(
        "certificate and key in one file",
        &[(
            OWN,
            AT,
            "port: 9093, scheme: https, certificate: {cert_file: /c, key_file: /c}, config",
        )],
        (OWN, "certificate: {cert"),
    ),
    mini(
        "name of a certificate that is a URL",
        &[(
            OWN,
            AT,
            "port: 9093, scheme: https, certificate: {cert_file: /c, key_file: /k}, server_name: 'https://am.test', config",
        )],
        (OWN, "server_name:"),
    ),
    mini(
        "prefix that is no path",
        &[(OWN, AT, "port: 9093, path_prefix: alerts, config")],
        (OWN, "path_prefix: alerts"),
    ),
    mini(
        "password of nobody",
        &[(OWN, AT, "port: 9093, password: xyzzy-1234, config")],
        (OWN, "password: xyzzy"),
    ),
    mini(
        "password twice",
        &[(OWN, AT, "port: 9093, user: me, password: xyzzy-1234, password_env: PW, config")],
        (OWN, "password: xyzzy"),
    ),
    mini(
        "token and user",
        &[(OWN, AT, "port: 9093, user: me, token: xyzzy-1234, config")],
        (OWN, "token: xyzzy"),
    ),
    mini(
        "token and password",
        &[(OWN, AT, "port: 9093, password: xyzzy-1234, token_env: TOKEN, config")],
        (OWN, "password: xyzzy"),
    ),
    mini(
        "token file that is not there",
        &[(OWN, AT, "port: 9093, token_file: secrets/token, config")],
        (OWN, "token_file: secrets"),
    ),
    mini(
        "token file that is empty",
        &[(OWN, AT, "port: 9093, token_file: token, config"), ("token", "", "\n")],
        (OWN, "token_file: token"),
    ),
    mini(
        "variable with a dollar",
        &[(OWN, AT, "port: 9093, token_env: $TOKEN, config")],
        (OWN, "token_env:"),
    ),
    mini(
        "variable that is not set",
        &[(OWN, AT, "port: 9093, user: me, password_env: FIREDRILL_NOT_SET, config")],
        (OWN, "password_env:"),
    ),
    email(
        "login of files",
        &[(OWN, "kind: grafana-files,", "kind: grafana-files, token: xyzzy-1234,")],
        (OWN, "token: xyzzy"),
    ),
];

#[test]
fn access() {
    each_gives_one_message("access", CASES);
}

/// Who only reads a stack needs no login.
#[test]
fn a_variable_is_needed_only_by_what_asks_a_server() {
    let broken = Broken::copy_of("mini");
    broken.edit(OWN, AT, "port: 9093, token_env: FIREDRILL_NOT_SET, config");
    assert_eq!(broken.run(&["lint", "STACK"]).exit, 0);
    assert_eq!(broken.run(&["verify", "STACK", "--dry-run"]).exit, 0);
}
