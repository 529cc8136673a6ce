//! Health endpoints, HTTP and TCP.

use firedrill::backend::Access;
use firedrill::declaration::HealthEndpoint;
use firedrill::probe::{health, host};
use firedrill::process::clock::RunClock;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use verdict::observation::Fact;
use verdict::observation::health::HealthAnswer;

async fn check(
    port: u16,
    path: Option<&str>,
    status: Option<u16>,
    contains: Option<&str>,
    banner: Option<&str>,
) -> HealthAnswer {
    let text = |t: Option<&str>| t.map(str::to_owned);
    let endpoint = HealthEndpoint {
        service: "web".into(),
        port: 80,
        path: text(path),
        status,
        contains: text(contains),
        banner: text(banner),
    };
    let observation = health::check(&endpoint, &Access::plain(port), RunClock::begin()).await;
    assert_eq!(observation.source, "web");
    match observation.fact {
        Fact::Health(answer) => answer,
        other => panic!("{other:?}"),
    }
}

pub async fn endpoints() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap().port();
    let router = axum::Router::new()
        .route("/health", axum::routing::get(|| async { r#"{"status":"healthy"}"# }))
        .route(
            "/sick",
            axum::routing::get(|| async {
                (axum::http::StatusCode::SERVICE_UNAVAILABLE, "database")
            }),
        )
        .route(
            "/moved",
            axum::routing::get(|| async { axum::response::Redirect::temporary("/health") }),
        );
    tokio::spawn(async move { axum::serve(listener, router).await });

    let good = check(http, Some("/health"), None, Some("healthy"), None).await;
    assert!(
        good.ok && good.endpoint == "http://web:80/health" && good.seen.starts_with("HTTP 200"),
        "{good:?}"
    );
    let text = check(http, Some("/health"), None, Some("green"), None).await;
    assert!(!text.ok && text.seen.contains("\"green\" is not in it"), "{text:?}");
    let sick = check(http, Some("/sick"), None, None, None).await;
    assert!(!sick.ok && sick.seen.contains("503") && sick.seen.contains("database"), "{sick:?}");
    assert!(check(http, Some("/sick"), Some(503), None, None).await.ok);
    assert!(!check(http, Some("/moved"), None, Some("healthy"), None).await.ok);

    let greeter = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = greeter.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = greeter.accept().await {
            let _ = stream.write_all(b"220 mail ").await;
            let _ = stream.write_all(b"ESMTP\r\n").await;
            open.push(stream);
        }
    });
    let greeted = check(smtp, None, None, None, Some("ESMTP")).await;
    assert!(
        greeted.ok && greeted.endpoint == "tcp://web:80" && greeted.seen == "220 mail ESMTP",
        "{greeted:?}"
    );
    assert!(check(smtp, None, None, None, Some("")).await.ok);

    let closer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = closer.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = closer.accept().await {
            drop(stream)
        }
    });
    for banner in ["", "ESMTP"] {
        assert!(!check(closed, None, None, None, Some(banner)).await.ok, "{banner:?}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = check(gone, None, None, None, Some("")).await;
    assert!(!refused.ok && refused.seen.contains("refused"), "{refused:?}");
    assert!(check(gone, Some("/health"), None, None, None).await.seen.contains("refused"));

    // The host of these tests may have no pressure information; then that is what is said.
    match host::pressure(RunClock::begin()).fact {
        Fact::Pressure(p) => assert!((0.0..=100.0).contains(&p.cpu_some_avg10)),
        Fact::Unreachable { error, .. } => assert!(error.contains("/proc/pressure")),
        other => panic!("{other:?}"),
    }
}
