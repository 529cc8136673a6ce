//! The stand-ins, as `firedrill receivers` serves them in their container, against the real
//! Alertmanager: over the https URLs and untouched host names of its configuration.

#![allow(clippy::unwrap_used)]

mod dialogue;

use firedrill::declaration::StandIn;
use firedrill::receiver::authority::Authority;
use firedrill::receiver::{self, Behaviour, Client, Config};
use futures::StreamExt;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use support::images;
use support::lab::{Container, Lab, Spec, eventually};
use support::module::{Test, Tests};
use verdict::history::alert::{Notification, Protocol};

const IMAGES: &[&str] = &["alertmanager", "base-bookworm"];
const SECOND: Duration = Duration::from_secs(1);

pub fn tests() -> Tests {
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    );
    let runs = |test: fn() -> futures::future::BoxFuture<'static, ()>| {
        let runtime = runtime.clone();
        move || {
            runtime.block_on(test());
            Ok(())
        }
    };
    let trial = |name: &str, test| images::trial(name, IMAGES, runs(test));
    Tests::one_by_one([
        Test::new("https_answers_and_refuses", runs(|| Box::pin(dialogue::https()))),
        Test::new(
            "smtp_takes_mail_over_tls_from_those_it_knows",
            runs(|| Box::pin(dialogue::smtp())),
        ),
        trial(
            "every_protocol_fires_and_resolves",
            || Box::pin(every_protocol_fires_and_resolves()),
        ),
        trial(
            "what_the_real_service_would_refuse_is_refused_and_recorded",
            || Box::pin(refusals()),
        ),
        trial("a_restart_loses_nothing_and_misbehaviour_is_retried", || {
            Box::pin(restart_and_misbehaviour())
        }),
    ])
}

fn stand_in(
    name: &str,
    protocol: Protocol,
    host: &str,
    path: &str,
    key: Option<&str>,
    channel: Option<&str>,
) -> StandIn {
    let (key, channel) = (key.map(str::to_owned), channel.map(str::to_owned));
    StandIn {
        name: name.into(),
        protocol,
        host: host.into(),
        port: None,
        path: path.into(),
        key,
        channel,
        resolved: true,
    }
}

fn stand_ins() -> Vec<StandIn> {
    let (slack, pager) = ("hooks.slack.com", "events.pagerduty.com");
    let v1 = "/generic/2010-04-15/create_event.json";
    vec![
        stand_in(
            "chat-critical",
            Protocol::Slack,
            slack,
            "/services/T0/B0/critical",
            None,
            Some("#alerts-critical"),
        ),
        stand_in("chat-ops", Protocol::Slack, slack, "/services/T0/B0/ops", None, Some("#alerts")),
        stand_in("pager-1", Protocol::PagerdutyV1, pager, v1, Some("example-service-key"), None),
        stand_in(
            "pager-2",
            Protocol::PagerdutyV2,
            pager,
            "/v2/enqueue",
            Some("example-routing-key"),
            None,
        ),
        stand_in(
            "genie",
            Protocol::Opsgenie,
            "api.opsgenie.com",
            "/v2/alerts",
            Some("example-opsgenie-key"),
            None,
        ),
        stand_in("hook", Protocol::Webhook, "webhook.test", "/hook", None, None),
        stand_in(
            "mailbox",
            Protocol::Smtp,
            "smtp.relay.test",
            "mail-team@ops.test",
            Some("relay-user:example-password"),
            None,
        ),
    ]
}

const CONFIG: &str = r##"
global:
  slack_api_url: https://hooks.slack.com/services/T0/B0/critical
  opsgenie_api_key: example-opsgenie-key
  smtp_smarthost: smtp.relay.test:587
  smtp_from: alertmanager@stack.test
  smtp_auth_username: relay-user
  smtp_auth_password: example-password
route:
  receiver: all
  group_by: [alertname, service]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - {receiver: wrong, matchers: ['team="wrong"']}
    - {receiver: hook-only, matchers: ['team="hook"']}
receivers:
  - name: all
    slack_configs:
      - {channel: '#alerts-critical', send_resolved: true}
      - channel: '#alerts'
        send_resolved: true
        api_url: https://hooks.slack.com/services/T0/B0/ops
        text: '{{ template "__text_alert_list" .Alerts }}'
    pagerduty_configs:
      - {service_key: example-service-key}
      - {routing_key: example-routing-key}
    opsgenie_configs: [{send_resolved: true}]
    webhook_configs: [{url: https://webhook.test/hook}]
    email_configs: [{to: mail-team@ops.test, send_resolved: true}]
  - name: wrong
    slack_configs: [{channel: '#alerts', api_url: https://hooks.slack.com/services/T0/B0/typo}]
    pagerduty_configs: [{routing_key: wrong-routing-key}]
    opsgenie_configs: [{api_key: wrong-opsgenie-key}]
    webhook_configs: [{url: https://webhook.test/hok}]
    email_configs: [{to: nobody@ops.test}, {to: mail-team@ops.test, auth_password: wrong}]
  - name: hook-only
    webhook_configs: [{url: https://webhook.test/hook}]
"##;

struct Scene {
    lab: Lab,
    receivers: Container,
    alertmanager: Container,
    _folder: tempfile::TempDir,
}

async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let authority = Authority::new().unwrap();
    std::fs::write(at("ca.pem"), authority.ca_pem()).unwrap();
    std::fs::write(at("alertmanager.yml"), CONFIG).unwrap();
    std::fs::write(
        at("receivers.json"),
        serde_json::to_vec(&Config::new(stand_ins(), &authority).unwrap()).unwrap(),
    )
    .unwrap();
    let mut lab = Lab::new().await;
    let program = env!("CARGO_BIN_EXE_firedrill");
    let receivers = lab
        .start(Spec {
            image: images::reference("base-bookworm"),
            aliases: receiver::hosts(&stand_ins()),
            entrypoint: Some(
                ["/usr/local/bin/firedrill", "receivers", "--config", receiver::CONFIG_PATH]
                    .map(str::to_owned)
                    .into(),
            ),
            binds: vec![
                format!("{program}:/usr/local/bin/firedrill:ro"),
                format!("{}:{}:ro", at("receivers.json"), receiver::CONFIG_PATH),
            ],
            ports: vec![receiver::CONTROL_PORT],
            ..Spec::default()
        })
        .await;
    let alertmanager = lab
        .start(Spec {
            image: images::reference("alertmanager"),
            // Without peers it need not wait for gossip to settle before its first notification.
            cmd: Some(
                [
                    "--config.file=/etc/alertmanager/alertmanager.yml",
                    "--storage.path=/alertmanager",
                    "--cluster.listen-address=",
                ]
                .map(str::to_owned)
                .into(),
            ),
            env: vec!["SSL_CERT_FILE=/etc/firedrill/ca.pem".into()],
            binds: vec![
                format!("{}:/etc/firedrill/ca.pem:ro", at("ca.pem")),
                format!("{}:/etc/alertmanager/alertmanager.yml:ro", at("alertmanager.yml")),
            ],
            ports: vec![9093],
            ..Spec::default()
        })
        .await;
    let scene = Scene { lab, receivers, alertmanager, _folder: folder };
    let client = scene.client();
    eventually(20 * SECOND, || async { client.health().await.map_err(|e| e.to_string()) }).await;
    let ready = format!("http://127.0.0.1:{}/-/ready", scene.alertmanager.port(9093));
    eventually(20 * SECOND, || async {
        reqwest::get(&ready).await.and_then(|r| r.error_for_status()).map_err(|e| e.to_string())
    })
    .await;
    scene
}

impl Scene {
    fn client(&self) -> Client {
        Client::new(self.receivers.port(receiver::CONTROL_PORT))
    }

    /// Posts an alert; one that ended is resolved.
    async fn post(&self, name: &str, more: &[(&str, &str)], ended: bool) {
        let now = SystemTime::now();
        let stamp = |t: SystemTime| jiff::Timestamp::try_from(t).unwrap().to_string();
        let mut labels = serde_json::Map::from_iter([
            ("alertname".to_owned(), json!(name)),
            ("severity".to_owned(), json!("critical")),
        ]);
        labels.extend(more.iter().map(|(k, v)| ((*k).to_owned(), json!(v))));
        let ends = if ended { now - Duration::from_millis(1) } else { now + 300 * SECOND };
        let alert = json!([{"labels": labels, "annotations": {"summary": "it is down"}, "startsAt": stamp(now - 10 * SECOND),
                            "endsAt": stamp(ends), "generatorURL": "http://prometheus:9090/graph"}]);
        let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.alertmanager.port(9093));
        let answer = reqwest::Client::new().post(url).json(&alert).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Collects notifications until `enough`.
    async fn collect(&self, enough: impl Fn(&[Notification]) -> bool) -> Vec<Notification> {
        let mut stream = Client::follow(self.receivers.port(receiver::CONTROL_PORT));
        let mut seen = Vec::new();
        let all = tokio::time::timeout(40 * SECOND, async {
            while !enough(&seen) {
                seen.push(stream.next().await.unwrap());
            }
        });
        if all.await.is_err() {
            let (a, b) =
                (self.lab.log(&self.receivers).await, self.lab.log(&self.alertmanager).await);
            panic!("not within 40 s; seen {seen:#?}\nreceivers: {a}\nalertmanager: {b}");
        }
        seen
    }
}

fn tells(n: &Notification, receiver: &str, name: &str, resolved: bool) -> bool {
    n.receiver.as_deref() == Some(receiver)
        && n.answered < 300
        && n.alerts
            .iter()
            .any(|a| a.resolved == resolved && a.labels.get("alertname").is_some_and(|l| l == name))
}

async fn every_protocol_fires_and_resolves() {
    let scene = scene().await;
    let names: Vec<String> = stand_ins().into_iter().map(|s| s.name).collect();
    scene.post("PostfixDown", &[("service", "postfix"), ("instance", "postfix:25")], false).await;
    let fired = scene
        .collect(|seen| {
            names.iter().all(|r| seen.iter().any(|n| tells(n, r, "PostfixDown", false)))
        })
        .await;
    assert!(fired.iter().all(|n| n.alerts.iter().all(|a| !a.resolved)), "{fired:#?}");
    scene.post("PostfixDown", &[("service", "postfix"), ("instance", "postfix:25")], true).await;
    let seen = scene
        .collect(|seen| names.iter().all(|r| seen.iter().any(|n| tells(n, r, "PostfixDown", true))))
        .await;
    for n in &seen {
        assert_eq!(n.error, None, "{n:#?}");
        // Slack's own template names no labels; what lists them gives them back, each of them.
        if n.receiver.as_deref() != Some("chat-critical") {
            let labels: Vec<_> =
                n.alerts[0].labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let want = [
                ("alertname", "PostfixDown"),
                ("instance", "postfix:25"),
                ("service", "postfix"),
                ("severity", "critical"),
            ];
            assert_eq!(labels, want, "{n:#?}");
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    assert!(seen.iter().all(|n| (now - 60_000_000..=now).contains(&n.received_wall_us)));
}

async fn refusals() {
    let scene = scene().await;
    scene.post("Lost", &[("team", "wrong")], false).await;
    let refused = |protocol, status| {
        move |n: &Notification| {
            n.protocol == protocol && n.answered == status && n.receiver.is_none()
        }
    };
    let wanted = [
        (Protocol::Slack, 404),
        (Protocol::PagerdutyV2, 400),
        (Protocol::Opsgenie, 403),
        (Protocol::Webhook, 404),
        (Protocol::Smtp, 550),
        (Protocol::Smtp, 535),
    ];
    let seen =
        scene.collect(|seen| wanted.iter().all(|(p, s)| seen.iter().any(refused(*p, *s)))).await;
    for n in &seen {
        assert!(n.receiver.is_none() && n.error.is_some(), "{n:#?}");
        // A mail is refused before its text is sent.
        assert!(
            n.protocol == Protocol::Smtp || n.alerts[0].labels["alertname"] == "Lost",
            "{n:#?}"
        );
    }
    assert!(seen.iter().any(|n| n.path == "/services/T0/B0/typo"));
    assert!(seen.iter().any(|n| n.path == "nobody@ops.test"));
    let metrics =
        reqwest::get(format!("http://127.0.0.1:{}/metrics", scene.alertmanager.port(9093)))
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
    let failed = metrics.lines().find(|l| {
        l.starts_with("alertmanager_notifications_failed_total{integration=\"slack\"")
            && l.contains("clientError")
    });
    assert!(
        failed.is_some_and(|l| !l.ends_with(" 0")),
        "Alertmanager counts the refusal: {failed:?}"
    );
}

async fn restart_and_misbehaviour() {
    let scene = scene().await;
    let client = scene.client();
    let ask = |answer, times| Behaviour { receiver: "hook".into(), answer, delay_ms: 0, times };
    client.behave(&ask(Some(500), Some(1))).await.unwrap();
    assert!(
        client.behave(&ask(Some(200), None)).await.unwrap_err().to_string().contains("400 to 599")
    );
    let unknown = Behaviour { receiver: "nobody".into(), ..ask(Some(500), None) };
    assert!(client.behave(&unknown).await.unwrap_err().to_string().contains("not declared"));
    scene.post("Flaky", &[("team", "hook")], false).await;
    let seen = scene.collect(|seen| seen.iter().any(|n| tells(n, "hook", "Flaky", false))).await;
    assert_eq!((seen[0].answered, seen[0].receiver.as_deref()), (500, Some("hook")));
    assert!(seen[0].error.as_ref().unwrap().contains("told to"));

    // A follower that is connected lives through a restart and sees each notification once.
    let mut follower = client.clone().follow_from(0).map(|r| (r.seq, r.notification));
    for _ in &seen {
        follower.next().await.unwrap();
    }
    scene.lab.stop(&scene.receivers).await;
    scene.lab.start_again(&scene.receivers).await;
    scene.post("Flaky", &[("team", "hook")], true).await;
    let (seq, next) = tokio::time::timeout(40 * SECOND, follower.next()).await.unwrap().unwrap();
    assert_eq!(seq, seen.len() as u64 + 1);
    assert!(tells(&next, "hook", "Flaky", true), "{next:#?}");
    assert_eq!(client.health().await.unwrap().notifications, seq);
}
