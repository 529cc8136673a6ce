//! What the services do while something that they need is gone, silent or slow, and how soon they
//! work again after it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use redis::AsyncCommands;

use crate::Test;
use crate::app::{App, Outcome, Service, check, eventually};
use crate::gate::Mode;

/// How soon all works again. About a second is wanted; the rest is for a busy machine.
const BACK: Duration = Duration::from_secs(15);
/// Within this every request is answered: 8 s are wanted, and the client would wait for 20.
const ANSWERED: Duration = Duration::from_secs(16);
/// What does not wait for anything, or for 2 s at most (health checks): less than the 8 s after
/// which a request is given up, so that an answer at once is told from one that waited, on a busy
/// machine too.
const AT_ONCE: Duration = Duration::from_secs(6);
const SOON: Duration = Duration::from_secs(15);

pub const TESTS: &[(&str, Test)] = &[
    ("a_database_that_is_gone_is_an_error_at_once_and_no_more_once_it_is_back", |app| {
        Box::pin(database_gone(app))
    }),
    ("a_silent_database_is_an_error_in_time", |app| Box::pin(database_silent(app))),
    ("a_slow_database_makes_slow_answers", |app| Box::pin(database_slow(app))),
    ("without_redis_mails_are_refused_and_the_rest_works", |app| Box::pin(redis_gone(app))),
    ("a_silent_redis_is_noticed_and_resumed_at_once", |app| Box::pin(redis_silent(app))),
    ("a_mail_server_that_is_gone_is_tried_again", |app| Box::pin(smtp_gone(app))),
    ("a_mail_that_nobody_takes_fails_after_its_retries", |app| Box::pin(smtp_given_up(app))),
    ("a_mailbox_server_that_is_gone_is_counted_as_refused", |app| Box::pin(imap_gone(app))),
    ("what_a_killed_worker_had_in_work_is_done_by_the_next", |app| Box::pin(worker_killed(app))),
    ("a_frozen_worker_loses_nothing", |app| Box::pin(worker_frozen(app))),
];

/// Metrics and health answer, and health says so.
async fn unhealthy(app: &App, service: &Service) -> Outcome {
    let metrics = app.get(service, "/metrics").await?;
    check(metrics.status == 200 && metrics.took < AT_ONCE, "metrics at once", &metrics)?;
    let health = app.get(service, "/health").await?;
    check(
        health.status == 503 && health.took < AT_ONCE && health.body["status"] == "unhealthy",
        "503 at once",
        &health,
    )
}

async fn database_gone(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    app.postgres.set(Mode::Closed).await;
    for _ in 0..3 {
        let answer = app.send(&service, "refused").await?;
        check(answer.status == 503 && answer.took < AT_ONCE, "503 at once", &answer)?;
        let answer = app.list(&service).await?;
        check(answer.status == 503 && answer.took < AT_ONCE, "503 at once", &answer)?;
    }
    unhealthy(app, &service).await?;
    unhealthy(app, &worker).await?;
    app.postgres.set(Mode::Open).await;
    eventually("mails are taken again", BACK, async || {
        Ok(app.send(&service, "back").await?.status == 202)
    })
    .await?;
    eventually("and sent", SOON, async || {
        Ok(app.status_of("back").await?.as_deref() == Some("sent"))
    })
    .await?;
    eventually("and health says so", BACK, async || {
        Ok(app.get(&service, "/health").await?.status == 200)
    })
    .await?;
    check(
        app.lines("email-service", "dependency")?.len() <= 12,
        "little noise",
        app.lines("email-service", "dependency")?,
    )
}

async fn database_silent(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    app.postgres.set(Mode::Silent).await;
    // More than the pool holds: nobody waits for ever, and nobody crashes.
    let asked = futures::future::join_all((0..25).map(|_| app.list(&service)));
    let full = eventually("the pool is all in use", Duration::from_secs(5), async || {
        Ok(app.metric(&service, "db_pool_in_use").await? == Some(10.0))
    });
    let (answers, health, full) = tokio::join!(asked, unhealthy(app, &service), full);
    health?;
    full?;
    for answer in answers {
        let answer = answer?;
        check(
            matches!(answer.status, 503 | 504) && answer.took < ANSWERED,
            "503 or 504 in time",
            &answer,
        )?;
    }
    app.postgres.set(Mode::Open).await;
    eventually("it works again", BACK, async || Ok(app.list(&service).await?.status == 200))
        .await?;
    eventually("no place stays taken", BACK, async || {
        Ok(app.metric(&service, "db_pool_in_use").await? == Some(0.0))
    })
    .await
    .map(drop)
}

async fn database_slow(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    // Warm connections: it is the requests that are to be slow.
    for answer in futures::future::join_all((0..4).map(|_| app.list(&service))).await {
        check(answer?.status == 200, "200", "")?;
    }
    // 600 ms a round trip.
    app.postgres.set(Mode::Slow(Duration::from_millis(300))).await;
    let (listed, sent) = tokio::join!(app.list(&service), app.send(&service, "slow"));
    let (listed, sent) = (listed?, sent?);
    check(
        listed.status == 200 && listed.took > Duration::from_millis(2_200),
        "200 after more than 2 s",
        &listed,
    )?;
    check(
        sent.status == 202 && sent.took > Duration::from_millis(2_200),
        "202 after more than 2 s",
        &sent,
    )?;
    let health = app.get(&service, "/health").await?;
    check(health.took < AT_ONCE, "health at once", &health)?;
    app.postgres.set(Mode::Open).await;
    eventually("it is quick again", BACK, async || {
        let answer = app.list(&service).await?;
        Ok(answer.status == 200 && answer.took < Duration::from_millis(500))
    })
    .await
    .map(drop)
}

async fn redis_gone(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    let beat = app.start("celery-beat", &[]).await?;
    let last = "celery_beat_last_tick_timestamp_seconds";
    eventually("beat ticks", SOON, async || {
        Ok(app.metric(&beat, last).await?.is_some_and(|at| at > 0.0))
    })
    .await?;
    app.redis.set(Mode::Closed).await;
    let answer = app.send(&service, "refused").await?;
    check(answer.status == 503 && answer.took < AT_ONCE, "503 in time", &answer)?;
    check(
        app.status_of("refused").await?.as_deref() == Some("failed"),
        "the row says so",
        app.status_of("refused").await?,
    )?;
    let answer = app.list(&service).await?;
    check(answer.status == 200, "lists work", &answer)?;
    let answer = app.get(&service, "/api/v1/emails/search?q=refused").await?;
    check(answer.status == 200, "searches work", &answer)?;
    let length = app.metric(&service, r#"celery_queue_length{queue="celery"}"#).await?;
    check(length.is_none(), "no length of a queue that can't be asked", length)?;
    for service in [&service, &worker, &beat] {
        unhealthy(app, service).await?;
    }
    let stopped_at = app.metric(&beat, last).await?;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    check(app.metric(&beat, last).await? == stopped_at, "no tick meanwhile", stopped_at)?;
    app.redis.set(Mode::Open).await;
    eventually("mails are taken again", BACK, async || {
        Ok(app.send(&service, "back").await?.status == 202)
    })
    .await?;
    eventually("and sent", SOON, async || {
        Ok(app.status_of("back").await?.as_deref() == Some("sent"))
    })
    .await?;
    eventually("beat ticks again", BACK, async || Ok(app.metric(&beat, last).await? > stopped_at))
        .await
        .map(drop)
}

async fn redis_silent(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    eventually("the worker works", SOON, async || {
        app.send(&service, "before").await?;
        Ok(app.status_of("before").await?.is_some())
    })
    .await?;
    app.redis.set(Mode::Silent).await;
    let answers = futures::future::join_all((0..10).map(|_| app.send(&service, "refused"))).await;
    for answer in answers {
        let answer = answer?;
        check(answer.status == 503 && answer.took < ANSWERED, "503 in time", &answer)?;
    }
    unhealthy(app, &worker).await?;
    // Into the queue past the gate: the worker has to find it as soon as it can.
    let mut redis = app.redis().await?;
    let envelope = r#"{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",
        "headers": {"task": "email.sweep", "id": "b0a4b7ee-0000-4000-8000-000000000000", "operation_id": "resumed"},
        "properties": {"delivery_tag": "b0a4b7ee-0000-4000-8000-000000000001"}}"#;
    redis.lpush::<_, _, ()>("celery", envelope).await?;
    app.redis.set(Mode::Open).await;
    eventually("the worker resumes", BACK, async || {
        Ok(app
            .lines("celery-worker", "task")?
            .iter()
            .any(|line| line["operation_id"] == "resumed" && line["state"] == "success"))
    })
    .await?;
    eventually("mails are taken again", BACK, async || {
        Ok(app.send(&service, "back").await?.status == 202)
    })
    .await?;
    // What was refused is not sent after all, although the silent gate may have let the task
    // through at last.
    eventually("nothing is left", SOON, async || Ok(app.queue().await? == (0, 0))).await?;
    check(
        app.delivered(&service, "refused").await? == 0,
        "no refused mail is delivered",
        app.delivered(&service, "refused").await?,
    )
}

async fn smtp_gone(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[("TASK_RETRY_BACKOFF_SECONDS", "0.5")]).await?;
    app.smtp.set(Mode::Closed).await;
    let subject = format!("late {}", uuid::Uuid::new_v4());
    app.send(&service, &subject).await?;
    let retries = r#"celery_tasks_total{task="email.send",state="retry"}"#;
    eventually("it is tried again", SOON, async || {
        Ok(app.metric(&worker, retries).await? >= Some(1.0))
    })
    .await?;
    // Other tasks are done meanwhile.
    let _beat = app.start("celery-beat", &[]).await?;
    let sweeps = r#"celery_tasks_total{task="email.sweep",state="success"}"#;
    eventually("sweeps go on", SOON, async || Ok(app.metric(&worker, sweeps).await? >= Some(1.0)))
        .await?;
    app.smtp.set(Mode::Open).await;
    eventually("it is sent at last", SOON, async || {
        Ok(app.status_of(&subject).await?.as_deref() == Some("sent"))
    })
    .await?;
    eventually("and delivered", SOON, async || Ok(app.delivered(&service, &subject).await? >= 1))
        .await?;
    check(app.delivered(&service, &subject).await? == 1, "once", "more")
}

async fn smtp_given_up(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[("TASK_RETRY_BACKOFF_SECONDS", "0.2")]).await?;
    app.smtp.set(Mode::Closed).await;
    app.send(&service, "never").await?;
    eventually("it is given up", SOON, async || {
        Ok(app.status_of("never").await?.as_deref() == Some("failed"))
    })
    .await?;
    eventually("nothing is left", SOON, async || Ok(app.queue().await? == (0, 0))).await?;
    for (state, wanted) in [("retry", 3.0), ("failure", 1.0), ("success", 0.0)] {
        let seen = app
            .metric(&worker, &format!(r#"celery_tasks_total{{task="email.send",state="{state}"}}"#))
            .await?;
        check(seen == Some(wanted), format!("{wanted} {state}"), seen)?;
    }
    let lines = app.lines("celery-worker", "task")?;
    let states: Vec<_> = lines
        .iter()
        .filter(|line| line["operation_id"] == "never")
        .map(|line| line["state"].clone())
        .collect();
    check(states == ["retry", "retry", "retry", "failure"], "one line for each execution", states)
}

async fn imap_gone(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let list = "/api/v1/mailbox/messages";
    check(app.get(&service, list).await?.status == 200, "a list", "")?;
    app.imap.set(Mode::Closed).await;
    for _ in 0..3 {
        let answer = app.get(&service, list).await?;
        check(answer.status == 503 && answer.took < AT_ONCE, "503 at once", &answer)?;
    }
    let counted = async |result: &str| {
        app.metric(&service, &format!(r#"imap_connections_total{{result="{result}"}}"#)).await
    };
    check(
        counted("refused").await? == Some(3.0),
        "three refused attempts",
        counted("refused").await?,
    )?;
    app.imap.set(Mode::Silent).await;
    let started = Instant::now();
    let answers = futures::future::join_all((0..12).map(|_| app.get(&service, list))).await;
    for answer in answers {
        let answer = answer?;
        check(
            matches!(answer.status, 503 | 504) && answer.took < ANSWERED,
            "503 or 504 in time",
            &answer,
        )?;
    }
    check(started.elapsed() < ANSWERED, "in time", started.elapsed())?;
    check(counted("failed").await? >= Some(1.0), "failed attempts", counted("failed").await?)?;
    app.imap.set(Mode::Open).await;
    eventually("it works again", BACK, async || Ok(app.get(&service, list).await?.status == 200))
        .await
        .map(drop)
}

async fn worker_killed(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let settings = [("VISIBILITY_TIMEOUT_SECONDS", "2")];
    let worker = app.start("celery-worker", &settings).await?;
    app.smtp.set(Mode::Silent).await;
    let subject = format!("inherited {}", uuid::Uuid::new_v4());
    app.send(&service, &subject).await?;
    eventually("the task is in work", SOON, async || Ok(app.queue().await? == (0, 1))).await?;
    // In work for longer than the visibility timeout: whoever lives keeps what is theirs.
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    check(app.queue().await? == (0, 1), "it stays in work", app.queue().await?)?;
    worker.kill().await?;
    app.smtp.set(Mode::Closed).await;
    app.smtp.set(Mode::Open).await;
    let _next = app.start("celery-worker", &settings).await?;
    eventually("the next one sends it", SOON, async || {
        Ok(app.status_of(&subject).await?.as_deref() == Some("sent"))
    })
    .await?;
    eventually("nothing is left", SOON, async || Ok(app.queue().await? == (0, 0))).await?;
    eventually("it is delivered", SOON, async || Ok(app.delivered(&service, &subject).await? >= 1))
        .await
        .map(drop)
}

async fn worker_frozen(app: &App) -> Outcome {
    let service = app.start_service(&[]).await?;
    let worker = app.start("celery-worker", &[]).await?;
    for round in 0..2 {
        worker.signal(Signal::SIGSTOP)?;
        // One of these is handed to the frozen worker by Redis.
        for number in 0..5 {
            let answer = app.send(&service, &format!("frozen {round} {number}")).await?;
            check(answer.status == 202, "202", &answer)?;
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        worker.signal(Signal::SIGCONT)?;
        eventually("all are sent", SOON, async || {
            let unsent = app
                .database
                .query_one("SELECT count(*) FROM emails WHERE status <> 'sent'", &[])
                .await?;
            Ok(unsent.get::<_, i64>(0) == 0)
        })
        .await?;
    }
    Ok(())
}
