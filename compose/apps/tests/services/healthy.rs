//! What the services do when all is well.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::Test;
use crate::app::{App, Outcome, check, eventually};

const SOON: Duration = Duration::from_secs(10);

pub const TESTS: &[(&str, Test)] = &[
    ("a_mail_goes_through_and_each_step_is_told", |app| Box::pin(mail(app))),
    ("a_worker_without_propagators_begins_traces_of_its_own", |app| Box::pin(propagators(app))),
    ("what_is_wrong_is_refused_and_told_once", |app| Box::pin(refusals(app))),
    ("a_search_is_cached_for_its_time", |app| Box::pin(cache(app))),
    ("metrics_have_the_agreed_names_in_both_formats", |app| Box::pin(names(app))),
    ("services_stop_within_two_seconds_and_tell_all", |app| Box::pin(stop(app))),
    ("the_exporter_says_what_it_is_told", |app| Box::pin(exporter(app))),
];

async fn mail(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    let operation = format!("op-{}", uuid::Uuid::new_v4());
    let sent = app.send(&service, &operation).await?;
    check(sent.status == 202 && sent.body["status"] == "queued", "202 queued", &sent)?;
    let id = sent.body["id"].as_i64().ok_or("no id")?;
    eventually("the mail is delivered", SOON, async || {
        Ok(app.delivered(&service, &operation).await? == 1)
    })
    .await?;
    eventually("the row is sent", SOON, async || {
        Ok(app.status_of(&operation).await?.as_deref() == Some("sent"))
    })
    .await?;

    let listed = app.get(&service, "/api/v1/mailbox/messages?limit=100").await?;
    let message = listed
        .body
        .as_array()
        .and_then(|all| all.iter().find(|it| it["subject"] == operation.as_str()));
    let message = message.ok_or_else(|| format!("not listed: {listed:?}"))?;
    check(
        message["operation_id"] == operation.as_str(),
        "the operation's id in the mail's header",
        message,
    )?;
    let whole = app.get(&service, &format!("/api/v1/mailbox/messages/{}", message["uid"])).await?;
    check(
        whole.status == 200
            && whole.body["body"].as_str().is_some_and(|body| body.trim() == "text"),
        "its text",
        &whole,
    )?;

    // One line for the request, one for the task, of one trace.
    let requests = app.lines("email-service", "request")?;
    let own = |line: &&Value| line["operation_id"] == operation.as_str();
    let requests: Vec<_> = requests.iter().filter(own).collect();
    let [request] = requests[..] else {
        return Err(format!("wanted one request line, seen {requests:?}").into());
    };
    check(
        request["status"].as_u64() == Some(202) && request["email_id"] == id,
        "status and row as numbers",
        request,
    )?;
    check(
        request["trace_flags"] == "01" && request["duration_ms"].is_f64(),
        "flags 01 and a duration",
        request,
    )?;
    check(
        request["endpoint"] == "/api/v1/emails" && request["method"] == "POST",
        "route and method",
        request,
    )?;
    check(
        request["user"] == "alice@mail.test" && request["service"] == "email-service",
        "user and service",
        request,
    )?;
    let tasks = app.lines("celery-worker", "task")?;
    let tasks: Vec<_> = tasks.iter().filter(own).collect();
    let [task] = tasks[..] else {
        return Err(format!("wanted one task line, seen {tasks:?}").into());
    };
    check(
        task["state"] == "success" && task["task"] == "email.send" && task["email_id"] == id,
        "a success",
        task,
    )?;
    check(task["trace_id"] == request["trace_id"], "the trace of the request", task)?;
    check(
        message["message_id"] == format!("{}@mail.test", task["task_id"].as_str().unwrap_or("")),
        "Message-ID",
        message,
    )?;

    // The spans, each below the right one.
    let trace = request["trace_id"].as_str().ok_or("no trace id")?;
    eventually("six spans are stored", SOON, async || Ok(app.trace(trace).await?.len() == 6))
        .await?;
    let spans = app.trace(trace).await?;
    let named =
        |service: &str, name: &str| spans.iter().find(|span| span[0] == service && span[1] == name);
    let parent = |service: &str, name: &str| -> Outcome<String> {
        let span = named(service, name)
            .ok_or_else(|| format!("no span {name} of {service} in {spans:?}"))?;
        Ok(spans
            .iter()
            .find(|other| other[2] == span[3])
            .map_or_else(String::new, |parent| parent[1].clone()))
    };
    for (service, name, wanted) in [
        ("email-service", "POST /api/v1/emails", ""),
        ("email-service", "INSERT emails", "POST /api/v1/emails"),
        ("email-service", "celery.publish email.send", "POST /api/v1/emails"),
        ("celery-worker", "celery.run email.send", "celery.publish email.send"),
        ("celery-worker", "smtp.send", "celery.run email.send"),
        ("celery-worker", "UPDATE emails", "celery.run email.send"),
    ] {
        check(parent(service, name)? == wanted, format!("{name} below {wanted:?}"), &spans)?;
    }
    let line_span = request["span_id"].as_str().unwrap_or_default();
    check(
        named("email-service", "POST /api/v1/emails").is_some_and(|it| it[2] == line_span),
        "the line names its span",
        &spans,
    )?;

    for (service, series, wanted) in [
        (&service, "emails_accepted_total", 1.0),
        (
            &service,
            r#"http_requests_total{method="POST",endpoint="/api/v1/emails",status="202"}"#,
            1.0,
        ),
        (&service, r#"celery_queue_length{queue="celery"}"#, 0.0),
        (&worker, "emails_delivered_total", 1.0),
        (&worker, r#"celery_tasks_total{task="email.send",state="success"}"#, 1.0),
        (&worker, "celery_tasks_active", 0.0),
    ] {
        let seen = app.metric(service, series).await?;
        check(seen == Some(wanted), format!("{series} {wanted}"), seen)?;
    }
    check(app.queue().await? == (0, 0), "an empty queue with nothing in work", app.queue().await?)
}

async fn propagators(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let _worker = app.start("celery-worker", &[("OTEL_PROPAGATORS", "none")]).await?;
    app.send(&service, "alone").await?;
    let own = |name: &str, event: &str| -> Outcome<Option<Value>> {
        Ok(app.lines(name, event)?.into_iter().find(|line| line["operation_id"] == "alone"))
    };
    eventually("the task's line", SOON, async || Ok(own("celery-worker", "task")?.is_some()))
        .await?;
    let (request, task) = (
        own("email-service", "request")?.unwrap_or_default(),
        own("celery-worker", "task")?.unwrap_or_default(),
    );
    check(
        request["trace_id"].is_string() && request["trace_id"] != task["trace_id"],
        "two traces",
        (&request, &task),
    )?;
    let trace = task["trace_id"].as_str().ok_or("no trace id")?;
    eventually("its spans", SOON, async || Ok(app.trace(trace).await?.len() == 3)).await?;
    let spans = app.trace(trace).await?;
    let roots: Vec<_> =
        spans.iter().filter(|span| span[3].is_empty()).map(|span| span[1].as_str()).collect();
    check(roots == ["celery.run email.send"], "the task's span has no parent", &spans)
}

async fn refusals(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let mail = |to: &str| Some(json!({"to": [to], "subject": "s", "body": "b"}));
    let (post, get) = (Method::POST, Method::GET);
    let long = "x".repeat(129);
    let mut asked = 0;
    for (method, path, user, operation, body, status, error) in [
        (
            &post,
            "/api/v1/emails",
            "alice",
            None,
            mail("nobody@mail.test"),
            422,
            Some("unknown recipient"),
        ),
        (
            &post,
            "/api/v1/emails",
            "alice",
            None,
            mail("bob@elsewhere.test"),
            422,
            Some("unknown recipient"),
        ),
        (&post, "/api/v1/emails", "alice", None, Some(json!({"to": []})), 400, None),
        (
            &post,
            "/api/v1/emails",
            "mallory",
            None,
            mail("bob@mail.test"),
            401,
            Some("authentication failed"),
        ),
        (&post, "/api/v1/emails", "alice", Some(long.as_str()), mail("bob@mail.test"), 400, None),
        (&get, "/api/v1/emails?limit=0", "alice", None, None, 400, None),
        (&get, "/api/v1/emails/search", "alice", None, None, 400, None),
        (&get, "/api/v1/mailbox/messages/4000000000", "alice", None, None, 404, None),
        (&get, "/api/v1/mailbox/messages/first", "alice", None, None, 404, None),
        (&get, "/api/v1/nothing", "alice", None, None, 404, None),
        (&Method::DELETE, "/api/v1/emails", "alice", None, None, 405, None),
    ] {
        let answer = app.ask(&service, method.clone(), path, user, operation, body).await?;
        let said = answer.body["error"].as_str();
        check(
            answer.status == status && said.is_some() && (error.is_none() || said == error),
            format!("{status} for {path}"),
            &answer,
        )?;
        asked += 1;
    }
    eventually("one line each", SOON, async || {
        // A line is written after its answer: that of the start may still be on its way, and is
        // none of these.
        let lines = app.lines("email-service", "request")?;
        let refused = |line: &&Value| matches!(line["status"].as_u64(), Some(400..500));
        Ok(lines.iter().filter(refused).count() == asked)
    })
    .await?;
    let stored: i64 = app.database.query_one("SELECT count(*) FROM emails", &[]).await?.get(0);
    check(stored == 0 && app.queue().await? == (0, 0), "nothing stored, nothing queued", stored)?;

    // Who hangs up in the middle is told of all the same.
    app.postgres.set(crate::gate::Mode::Slow(Duration::from_millis(100))).await;
    let mut caller = tokio::net::TcpStream::connect(service.address()).await?;
    let request = "GET /api/v1/emails HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2VAbWFpbC50ZXN0OmNvcnJlY3QtaG9yc2U=\r\n\
        X-Operation-Id: hung-up\r\n\r\n";
    caller.write_all(request.as_bytes()).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(caller);
    eventually("its line", SOON, async || {
        Ok(app
            .lines("email-service", "request")?
            .iter()
            .any(|line| line["operation_id"] == "hung-up" && line["status"] == 200))
    })
    .await
    .map(drop)
}

async fn cache(app: &App) -> Outcome {
    let service = app.start_service(&[("CACHE_TTL_SECONDS", "1.5")]).await?;
    app.send(&service, "needle one").await?;
    let search = "/api/v1/emails/search?q=NEEDLE";
    let found = app.get(&service, search).await?;
    check(found.body.as_array().map(Vec::len) == Some(1), "one mail", &found)?;
    app.send(&service, "needle two").await?;
    let again = app.get(&service, search).await?;
    check(again.body == found.body, "the same from the cache", &again)?;
    let counted = (
        app.metric(&service, "cache_hits_total").await?,
        app.metric(&service, "cache_misses_total").await?,
    );
    check(counted == (Some(1.0), Some(1.0)), "a hit and a miss", counted)?;
    eventually("both after the time to live", Duration::from_secs(5), async || {
        Ok(app.get(&service, search).await?.body.as_array().map(Vec::len) == Some(2))
    })
    .await
    .map(drop)
}

async fn names(app: &App) -> Outcome {
    let service = app.start_service(&[("HTTP_DURATION_BUCKETS", "0.5,2")]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    let beat = app.start("celery-beat", &[]).await?;
    for (service, names) in [
        (
            &service,
            "http_requests_total http_request_duration_seconds_bucket db_pool_size db_pool_in_use imap_pool_size imap_pool_in_use \
             imap_connections_total celery_queue_length cache_hits_total cache_misses_total emails_accepted_total \
             process_start_time_seconds process_cpu_seconds_total process_resident_memory_bytes",
        ),
        (
            &worker,
            "celery_worker_up celery_tasks_total celery_task_duration_seconds_bucket celery_tasks_active smtp_pool_size \
             smtp_pool_in_use db_pool_size db_pool_in_use emails_delivered_total",
        ),
        (
            &beat,
            "celery_beat_last_tick_timestamp_seconds celery_beat_period_seconds celery_beat_ticks_total",
        ),
    ] {
        let client = reqwest::Client::new();
        for (accept, kind) in [
            ("*/*", "text/plain"),
            ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ] {
            let page = client.get(service.url("/metrics")).header("Accept", accept).send().await?;
            let seen = page.headers()["content-type"].to_str()?.to_owned();
            check(seen.starts_with(kind), kind, &seen)?;
            let page = page.text().await?;
            for name in names.split_whitespace() {
                let there = page.lines().any(|line| {
                    line.starts_with(name)
                        && [Some(&b'{'), Some(&b' ')].contains(&line.as_bytes().get(name.len()))
                });
                check(there, format!("{name} on the page of {}", service.name), &page)?;
            }
            check(
                page.ends_with("# EOF\n") == (kind != "text/plain"),
                "an end mark in OpenMetrics only",
                &page,
            )?;
        }
    }
    let bounds = async |le: &str| {
        let series = format!(
            r#"http_request_duration_seconds_bucket{{le="{le}",method="GET",endpoint="/metrics"}}"#
        );
        app.metric(&service, &series).await
    };
    check(
        bounds("2.0").await?.is_some() && bounds("10.0").await?.is_none(),
        "the buckets that were set",
        bounds("2.0").await?,
    )
}

async fn stop(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    let beat = app.start("celery-beat", &[]).await?;
    // Under way when the signal comes: requests held up by a slow database, a mail held up by a
    // silent server.
    app.smtp.set(crate::gate::Mode::Silent).await;
    app.send(&service, "held up").await?;
    eventually("the task is in work", SOON, async || Ok(app.queue().await?.1 == 1)).await?;
    app.postgres.set(crate::gate::Mode::Slow(Duration::from_millis(60))).await;
    let operation = format!("last-{}", uuid::Uuid::new_v4());
    let last = app.ask(&service, Method::GET, "/api/v1/emails", "alice", Some(&operation), None);
    let (answer, stopped) = tokio::join!(last, async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        service.stop().await
    });
    let answer = answer?;
    check(answer.status == 200, "an answer to what was under way", &answer)?;
    for (name, stopped) in [
        (service.name, stopped),
        (worker.name, worker.stop().await),
        (beat.name, beat.stop().await),
    ] {
        let (took, code) = stopped?;
        // Not within the 10 s after which an engine kills: `stop` fails then.
        check(code == Some(0), format!("{name} ends by itself"), (took, code))?;
        check(app.lines(name, "shutdown")?.len() == 1, "its last line", name)?;
    }
    let lines = app.lines("email-service", "request")?;
    let line = lines
        .iter()
        .find(|line| line["operation_id"] == operation.as_str())
        .ok_or("no line of the last request")?;
    let trace = line["trace_id"].as_str().ok_or("no trace id")?.to_owned();
    eventually("its spans were sent before the end", SOON, async || {
        Ok(app.trace(&trace).await?.len() == 2)
    })
    .await?;
    // What was in work is still there, for whoever comes next.
    check(
        app.queue().await?.1 == 1 || app.queue().await?.0 >= 1,
        "the task is kept",
        app.queue().await?,
    )
}

async fn exporter(app: &App) -> Outcome {
    let exporter = app.start("exporter", &[]).await?;
    let client = reqwest::Client::new();
    let page = "# TYPE a gauge\na{b=\"c\"} 1\n";
    client.put(exporter.url("/metrics")).body(page).send().await?.error_for_status()?;
    let scraped = client.get(exporter.url("/metrics")).send().await?;
    check(scraped.status() == 200 && scraped.text().await? == page, "the page as it was put", "")?;
    let behave =
        async |text: &'static str| client.put(exporter.url("/behaviour")).body(text).send().await;
    behave(r#"{"status": 500, "delay_ms": 300}"#).await?.error_for_status()?;
    let started = std::time::Instant::now();
    let scraped = client.get(exporter.url("/metrics")).send().await?;
    check(
        scraped.status() == 500 && started.elapsed() >= Duration::from_millis(300),
        "500 after 300 ms",
        started.elapsed(),
    )?;
    check(
        client.get(exporter.url("/health")).send().await?.status() == 200,
        "healthy nevertheless",
        "",
    )?;
    for text in [r#"{"status": 99}"#, r#"{"delay": 1}"#, "", r#"{"delay_ms": 700000}"#] {
        check(behave(text).await?.status() == 400, "400", text)?;
    }
    behave("{}").await?.error_for_status()?;
    check(client.get(exporter.url("/metrics")).send().await?.status() == 200, "as at the start", "")
}
