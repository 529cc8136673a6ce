//! Loads: their arguments, and the files that they name.

use super::case::{Case, asked, each_gives_one_message};

/// A case about the load of one URL.
macro_rules! load {
    ($name:literal, $url:literal, [$($more:literal),*]) => {
        asked($name, &["load", "--url", $url, "--rate", "5", "--duration", "1s" $(, $more)*])
    };
}

const LOAD: &[Case] = &[
    asked(
        "load of a rate of zero",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "0", "--duration", "1s"],
    ),
    asked(
        "load for a duration without unit",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5", "--duration", "10"],
    ),
    asked("load without duration", &["load", "--url", "http://127.0.0.1:9/", "--rate", "5"]),
    asked("load without rate", &["load", "--url", "http://127.0.0.1:9/", "--duration", "5s"]),
    asked(
        "load of somebody else",
        &["load", "--url", "http://192.0.2.1/", "--rate", "5", "--duration", "1s"],
    ),
    load!("load over TLS without an authority", "https://127.0.0.1:9/", []),
    load!(
        "load with an authority that is not there",
        "https://127.0.0.1:9/",
        ["--ca", "nowhere.pem"]
    ),
    load!(
        "load with an authority that is none",
        "https://127.0.0.1:9/",
        ["--ca", "STACK/firedrill.yaml"]
    ),
    load!("load of a scheme that does not exist", "ftp://127.0.0.1:9/", []),
    load!("load of somebody else's mail server", "smtp://192.0.2.1", ["--to", "a@mail.test"]),
    load!("load of mail for nobody", "smtp://127.0.0.1:9", []),
    load!("load of mail for what is no address", "smtp://127.0.0.1:9", ["--to", "alice"]),
    load!("load of a mailbox of nobody", "imap://127.0.0.1:9/INBOX", []),
    load!(
        "load with another protocol's option",
        "otlp+http://127.0.0.1:9",
        ["--to", "a@mail.test"]
    ),
    load!("load into a file that can't be", "lines+file:/nowhere/at/all.log", []),
    load!("load of several lines as one", "lines+tcp://127.0.0.1:9", ["--body", "a\nb"]),
    load!("load with bodies of no size", "http://127.0.0.1:9/", ["--body-bytes", "9..5"]),
    Case {
        edits: &[("feed.csv", "", "user,word\na,b\n")],
        ..load!(
            "load without the feed's column",
            "http://127.0.0.1:9/{feed.usr}",
            ["--feed", "STACK/feed.csv"]
        )
    },
    Case {
        edits: &[("feed.csv", "", "user,word\na,b,c\n")],
        ..load!("load with a ragged feed", "http://127.0.0.1:9/", ["--feed", "STACK/feed.csv"])
    },
    Case {
        edits: &[("feed.csv", "", "user\na\n")],
        ..load!(
            "load with a feed's order that does not exist",
            "http://127.0.0.1:9/",
            ["--feed", "STACK/feed.csv", "--feed-order", "up"]
        )
    },
    asked(
        "load of a shape that does not exist",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--arrival",
            "rampp:5:1s",
        ],
    ),
    asked(
        "load with a placeholder that nothing fills",
        &["load", "--url", "http://127.0.0.1:9/{what}", "--rate", "5", "--duration", "1s"],
    ),
    asked("load of a journey that does not exist", &["load", "email", "--journey", "lst=3"]),
    asked("load of a stack without workload", &["load", "STACK"]),
    asked(
        "load with an objective that is none",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--objective",
            "p99<250",
        ],
    ),
    asked(
        "load by no users",
        &["load", "--url", "http://127.0.0.1:9/", "--users", "0", "--duration", "1s"],
    ),
    asked(
        "load by users at a rate",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--rate",
            "5",
            "--duration",
            "1s",
        ],
    ),
    asked(
        "load by users who think without unit",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--think-time",
            "1..3",
            "--duration",
            "1s",
        ],
    ),
    asked(
        "load along a plan that does not exist",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5", "--plan", "soack"],
    ),
    asked(
        "load along a plan that is too short",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--plan",
            "spike",
            "--duration",
            "3s",
        ],
    ),
    asked(
        "load by users along a plan that changes the rate",
        &["load", "--url", "http://127.0.0.1:9/", "--users", "5", "--plan", "breakpoint"],
    ),
    asked("knee without objective", &["load", "--url", "http://127.0.0.1:9/", "--find-knee"]),
    asked(
        "knee of a ramp",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--find-knee",
            "--objective",
            "p99<=1s",
            "--rate",
            "5",
            "--arrival",
            "ramp:9:1s",
        ],
    ),
    asked(
        "load with a condition that is none",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--stop-when",
            "error_rate > 0.05",
        ],
    ),
    asked(
        "load by workers without a token",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
    ),
    asked(
        "load by workers whose token is no secret",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
            "--token-file",
            "/dev/null",
        ],
    ),
    asked(
        "load by containers without a stack",
        &[
            "load",
            "--url",
            "http://web:80/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--worker-containers",
            "2",
        ],
    ),
    asked("worker that may drive the internet", &["worker", "--allow", "0.0.0.0/0"]),
    asked("worker without a token", &["worker"]),
    asked(
        "load by workers who have users",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
    ),
    asked(
        "load of log lines by workers",
        &[
            "load",
            "--url",
            "lines+tcp://127.0.0.1:9",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
    ),
];

#[test]
fn load() {
    each_gives_one_message("load", LOAD);
}
