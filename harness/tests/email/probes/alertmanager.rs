//! Alertmanager with alerts that are active, inhibited and silenced.

use super::{SECOND, assert_unreachable, connect, fact, now_s};
use firedrill::probe::Question;
use serde_json::{Value, json};
use support::images;
use support::lab::{Lab, Spec, eventually};
use verdict::observation::Fact;

const CONFIG: &str = "
route:
  receiver: ops
  routes:
    - {receiver: critical, matchers: ['severity=\"critical\"'], continue: true}
    - {receiver: ops, matchers: ['severity=~\".+\"']}
inhibit_rules: [{source_matchers: ['alertname=\"Down\"'], target_matchers: ['alertname=\"Slow\"'], equal: [service]}]
receivers: [{name: ops}, {name: critical}]
";

pub async fn answers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let file = folder.path().join("alertmanager.yml");
    std::fs::write(&file, CONFIG).unwrap();
    let mut lab = Lab::new().await;
    let container = lab
        .start(Spec {
            image: images::reference("alertmanager"),
            binds: vec![format!("{}:/etc/alertmanager:ro", folder.path().display())],
            ports: vec![9093],
            ..Spec::default()
        })
        .await;
    let base = format!("http://127.0.0.1:{}", container.port(9093));
    let probe = connect("alertmanager", container.port(9093));
    let ready = eventually(20 * SECOND, || async {
        match fact(&*probe, Question::Reload).await {
            Fact::Reload(r) => Ok(r),
            other => Err(format!("{other:?}")),
        }
    });
    let reload = ready.await;
    assert!(reload.successful && (now_s() - reload.last_success_s).abs() < 60.0, "{reload:?}");

    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = http.post(format!("{base}/api/v2/{path}")).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status}: {text}");
        text
    };
    let alert = |name: &str, severity: &str| json!({"labels": {"alertname": name, "severity": severity, "service": "s"}});
    post(
        "alerts",
        json!([alert("Down", "critical"), alert("Slow", "warning"), alert("Quiet", "warning")]),
    )
    .await;
    let stamp = |seconds: f64| {
        jiff::Timestamp::from_microsecond(((now_s() + seconds) * 1e6) as i64).unwrap().to_string()
    };
    let matchers = json!([{"name": "alertname", "value": "Qui.t", "isRegex": true, "isEqual": true},
                          {"name": "service", "value": "x", "isRegex": false, "isEqual": false}]);
    let silence = json!({"matchers": matchers, "startsAt": stamp(0.0), "endsAt": stamp(600.0), "createdBy": "me", "comment": "c"});
    let id: Value = serde_json::from_str(&post("silences", silence.clone()).await).unwrap();
    // One that has expired is not in force.
    let over: Value = serde_json::from_str(&post("silences", silence).await).unwrap();
    let over = format!("{base}/api/v2/silence/{}", over["silenceID"].as_str().unwrap());
    assert!(http.delete(over).send().await.unwrap().status().is_success());

    let managed = eventually(20 * SECOND, || async {
        match fact(&*probe, Question::ManagedAlerts).await {
            Fact::ManagedAlerts { alerts }
                if alerts.len() == 3
                    && alerts.iter().filter(|a| a.state == "suppressed").count() == 2 =>
            {
                Ok(alerts)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let of = |name: &str| managed.iter().find(|a| a.labels["alertname"] == name).unwrap();
    assert_eq!(
        (of("Down").state.as_str(), of("Down").receivers.as_slice()),
        ("active", ["critical".to_owned(), "ops".to_owned()].as_slice())
    );
    assert_eq!(
        (of("Slow").state.as_str(), of("Slow").inhibited_by.as_slice()),
        ("suppressed", ["Down".to_owned()].as_slice())
    );
    assert_eq!(of("Quiet").silenced_by, [id["silenceID"].as_str().unwrap().to_owned()]);
    assert!(
        (of("Down").starts_at_s - now_s()).abs() < 60.0 && of("Down").ends_at_s > now_s(),
        "{:?}",
        of("Down")
    );
    match fact(&*probe, Question::Silences).await {
        Fact::Silences { silences } => {
            assert_eq!(silences.len(), 1, "{silences:?}");
            assert_eq!(silences[0].matchers, [r#"alertname=~"Qui.t""#, r#"service!="x""#]);
            assert_eq!(
                (silences[0].created_by.as_str(), silences[0].state.as_str()),
                ("me", "active")
            );
        }
        other => panic!("{other:?}"),
    }

    std::fs::write(&file, CONFIG.replace("receiver: ops", "receiver: nobody")).unwrap();
    lab.hang_up(&container).await;
    eventually(10 * SECOND, || async {
        match fact(&*probe, Question::Reload).await {
            Fact::Reload(r) if !r.successful => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    lab.stop(&container).await;
    assert_unreachable(&*probe, Question::ManagedAlerts).await;
    assert_unreachable(&*probe, Question::Silences).await;
}
