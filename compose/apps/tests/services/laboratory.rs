//! The laboratory's services: what they do when all is well, what the gateway asks for, and what
//! becomes of requests while a part is gone.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::Test;
use crate::app::{Answer, App, Outcome, Service, check, eventually};
use crate::gate::Mode;

const SOON: Duration = Duration::from_secs(10);
/// Less than the 5 s after which a service is given up, so that an answer at once is told from one
/// that waited.
const AT_ONCE: Duration = Duration::from_secs(4);

pub const TESTS: &[(&str, Test)] = &[
    ("laboratory::a_sample_goes_through_all_services_and_each_step_is_told", |app| {
        Box::pin(sample(app))
    }),
    ("laboratory::the_gateway_wants_a_session_but_for_public_paths", |app| Box::pin(sessions(app))),
    ("laboratory::what_makes_no_sense_to_the_laboratory_is_refused", |app| Box::pin(refusals(app))),
    ("laboratory::without_instruments_there_is_no_page_and_lines_are_plain_text", |app| {
        Box::pin(plain(app))
    }),
    ("laboratory::a_service_that_is_gone_costs_its_own_requests", |app| Box::pin(gone(app))),
];

struct Lab {
    frontend: Service,
    gateway: Service,
    auth: Service,
    templates: Service,
    samples: Service,
}

impl Lab {
    /// All five, once somebody can sign in.
    async fn start(app: &App, settings: &[(&str, &str)]) -> Outcome<Self> {
        let start = async |name, more: &[(&str, &str)]| {
            app.start_until("/health", name, &[settings, more].concat()).await
        };
        let auth = start("auth-service", &[]).await?;
        let templates = start("template-service", &[]).await?;
        let url = |service: &Service| format!("http://{}", service.address());
        let samples = start("sample-service", &[("TEMPLATE_URL", &url(&templates))]).await?;
        let urls = [
            ("AUTH_URL", url(&auth)),
            ("TEMPLATE_URL", url(&templates)),
            ("SAMPLE_URL", url(&samples)),
        ];
        let urls: Vec<(&str, &str)> =
            urls.iter().map(|(name, url)| (*name, url.as_str())).collect();
        let gateway = start("gateway", &urls).await?;
        let frontend = start("frontend", &[("GATEWAY_URL", &url(&gateway))]).await?;
        let lab = Self { frontend, gateway, auth, templates, samples };
        eventually("somebody signs in, and rows are listed", SOON, async || {
            let Ok(token) = lab.sign_in(app).await else { return Ok(false) };
            let listed = lab.ask(app, Some(&token), Method::GET, "/api/samples", None).await?;
            let templates = lab.ask(app, Some(&token), Method::GET, "/api/templates", None).await?;
            Ok(listed.status == 200 && templates.status == 200)
        })
        .await?;
        Ok(lab)
    }

    async fn login(&self, app: &App, name: &str, password: &str) -> Outcome<Answer> {
        let body = json!({"name": name, "password": password});
        self.ask(app, None, Method::POST, "/api/auth/login", Some(body)).await
    }

    async fn sign_in(&self, app: &App) -> Outcome<String> {
        let answer = self.login(app, "ada", "correct-horse").await?;
        let token = answer.body["token"].as_str().map(str::to_owned);
        token.ok_or_else(|| format!("no token: {answer:?}").into())
    }

    async fn ask(
        &self,
        app: &App,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Outcome<Answer> {
        app.ask_as(&self.frontend, token, method, path, None, body).await
    }
}

async fn sample(app: &App) -> Outcome {
    let lab = Lab::start(app, &[]).await?;
    let token = lab.sign_in(app).await?;
    let operation = format!("op-{}", uuid::Uuid::new_v4());
    let draft = json!({"name": "saliva", "columns": ["barcode", "volume_ul"]});
    let made = lab.ask(app, Some(&token), Method::POST, "/api/templates", Some(draft)).await?;
    check(made.status == 201, "201", &made)?;
    let template = made.body["id"].as_i64().ok_or("no id")?;
    let draft = json!({"barcode": "TSQ-1", "template_id": template});
    let (operation_id, path) = (Some(operation.as_str()), "/api/samples");
    let token_of = Some(token.as_str());
    let registered =
        app.ask_as(&lab.frontend, token_of, Method::POST, path, operation_id, Some(draft)).await?;
    check(registered.status == 201 && registered.body["barcode"] == "TSQ-1", "201", &registered)?;
    for _ in 0..2 {
        let shown = lab.ask(app, token_of, Method::GET, "/api/samples/TSQ-1", None).await?;
        check(
            shown.status == 200
                && shown.body["author"] == "ada"
                && shown.body["operation_id"] == operation.as_str(),
            "the sample, with who registered it",
            &shown,
        )?;
    }
    for (service, series, wanted) in [
        (&lab.samples, "samples_registered_total", 1.0),
        (&lab.samples, "cache_hits_total", 1.0),
        (&lab.samples, "cache_misses_total", 1.0),
        (&lab.samples, "http_requests_in_flight", 0.0),
        (
            &lab.samples,
            r#"http_requests_total{method="POST",endpoint="/api/samples",status="201"}"#,
            1.0,
        ),
        (&lab.auth, r#"auth_logins_total{result="refused"}"#, 0.0),
        (&lab.templates, "db_pool_size", 10.0),
    ] {
        let seen = app.metric(service, series).await?;
        check(seen == Some(wanted), format!("{series} {wanted}"), seen)?;
    }
    // One line of each service that it went through, all of one trace.
    let mut trace = Value::Null;
    for (service, endpoint, status) in [
        ("frontend", "/api/{*path}", 201),
        ("gateway", "/api/samples", 201),
        ("auth-service", "/api/auth/session", 200),
        ("sample-service", "/api/samples", 201),
        ("template-service", "/api/templates/{id}", 200),
    ] {
        let lines = app.lines(service, "request")?;
        let own: Vec<_> =
            lines.iter().filter(|line| line["operation_id"] == operation.as_str()).collect();
        let [line] = own[..] else {
            return Err(format!("wanted one line of {service}, seen {own:?}").into());
        };
        check(
            line["endpoint"] == endpoint
                && line["status"] == status
                && line["duration_ms"].is_f64(),
            format!("{service}: {endpoint} {status}"),
            line,
        )?;
        check(trace.is_null() || trace == line["trace_id"], "the same trace", line)?;
        trace = line["trace_id"].clone();
    }
    let trace = trace.as_str().ok_or("no trace id")?;
    let wanted = [
        ("frontend", "POST /api/{*path}", ""),
        ("frontend", "ask gateway", "POST /api/{*path}"),
        ("gateway", "POST /api/samples", "ask gateway"),
        ("gateway", "ask auth-service", "POST /api/samples"),
        ("auth-service", "GET /api/auth/session", "ask auth-service"),
        ("gateway", "ask sample-service", "POST /api/samples"),
        ("sample-service", "POST /api/samples", "ask sample-service"),
        ("sample-service", "ask template-service", "POST /api/samples"),
        ("template-service", "GET /api/templates/{id}", "ask template-service"),
        ("template-service", "SELECT templates", "GET /api/templates/{id}"),
        ("sample-service", "INSERT samples", "POST /api/samples"),
    ];
    eventually("all spans are stored", SOON, async || {
        Ok(app.trace(trace).await?.len() == wanted.len())
    })
    .await?;
    let spans = app.trace(trace).await?;
    for (service, name, parent) in wanted {
        let below = spans.iter().any(|span| {
            let above = spans.iter().find(|other| other[2] == span[3]);
            span[0] == service
                && span[1] == name
                && above.map_or("", |above| above[1].as_str()) == parent
        });
        check(below, format!("{service}: {name} below {parent:?}"), &spans)?;
    }
    Ok(())
}

async fn sessions(app: &App) -> Outcome {
    let lab = Lab::start(app, &[]).await?;
    for (name, password) in [("ada", "wrong"), ("mallory", "correct-horse"), ("", "correct-horse")]
    {
        let answer = lab.login(app, name, password).await?;
        check(answer.status == 401, "401", &answer)?;
    }
    let refused = app.metric(&lab.auth, r#"auth_logins_total{result="refused"}"#).await?;
    check(refused == Some(3.0), "three refused", refused)?;
    for token in [None, Some("no-such-session")] {
        let answer = lab.ask(app, token, Method::GET, "/api/samples", None).await?;
        check(answer.status == 401, "401", &answer)?;
    }
    let token = lab.sign_in(app).await?;
    let listed = lab.ask(app, Some(&token), Method::GET, "/api/samples", None).await?;
    check(listed.status == 200, "200", &listed)?;
    let ended = lab.ask(app, Some(&token), Method::POST, "/api/auth/logout", None).await?;
    check(ended.status == 204, "204", &ended)?;
    let answer = lab.ask(app, Some(&token), Method::GET, "/api/samples", None).await?;
    check(answer.status == 401, "401 once it has ended", &answer)?;
    for name in ["frontend", "gateway", "auth-service"] {
        check(!app.log(name)?.contains(&token), "no session in a log", name)?;
    }
    // The metrics of a gateway are as public as it is told.
    check(app.get(&lab.gateway, "/metrics").await?.status == 200, "a public page", "")?;
    let closed = app
        .start_until(
            "/health",
            "gateway",
            &[
                ("AUTH_URL", &format!("http://{}", lab.auth.address())),
                ("TEMPLATE_URL", "http://127.0.0.1:9"),
                ("SAMPLE_URL", "http://127.0.0.1:9"),
                ("PUBLIC_PATHS", "/health,/api/auth/login"),
            ],
        )
        .await?;
    let answer = app.get(&closed, "/metrics").await?;
    check(answer.status == 401, "401 where metrics are not public", &answer)
}

async fn refusals(app: &App) -> Outcome {
    let lab = Lab::start(app, &[]).await?;
    let token = lab.sign_in(app).await?;
    let sample =
        |barcode: &str, template: i64| json!({"barcode": barcode, "template_id": template});
    let (post, get) = (Method::POST, Method::GET);
    for (method, path, body, status) in [
        (&post, "/api/samples", Some(sample("TSQ-1", 999)), 422),
        (&post, "/api/samples", Some(sample("", 1)), 400),
        (&post, "/api/samples", Some(sample("a/b", 1)), 400),
        (&post, "/api/samples", Some(json!({"barcode": 1})), 400),
        (&post, "/api/samples", Some(sample("TSQ-2", 1)), 201),
        (&post, "/api/samples", Some(sample("TSQ-2", 1)), 409),
        (&post, "/api/samples", Some(json!({"barcode": "TSQ-4", "template_id": "1"})), 201),
        (&post, "/api/samples", Some(json!({"barcode": "TSQ-5", "template_id": "one"})), 400),
        (&post, "/api/templates", Some(json!({"name": "x", "columns": []})), 400),
        (&get, "/api/samples?limit=0", None, 400),
        (&get, "/api/samples/TSQ-3", None, 404),
        (&get, "/api/templates/none", None, 404),
        (&get, "/api/nothing", None, 404),
        (&Method::DELETE, "/api/samples", None, 405),
    ] {
        let answer = lab.ask(app, Some(&token), method.clone(), path, body).await?;
        check(answer.status == status, format!("{method} {path}: {status}"), &answer)?;
    }
    // Whatever else is asked for is the page, as such frontends answer: also what is not there.
    let page = app.get(&lab.frontend, "/no/such/page").await?;
    check(page.status == 200 && page.body.is_null(), "the page", &page)
}

async fn plain(app: &App) -> Outcome {
    let lab = Lab::start(
        app,
        &[
            ("INSTRUMENTED", "false"),
            ("LOG_FORMAT", "text"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            ("OTEL_PROPAGATORS", "none"),
        ],
    )
    .await?;
    for service in [&lab.gateway, &lab.auth, &lab.templates, &lab.samples] {
        let answer = app.ask_as(service, None, Method::GET, "/metrics", None, None).await?;
        check(answer.status == 404, format!("no page of {}", service.name), &answer)?;
    }
    let page = app.get(&lab.frontend, "/metrics").await?;
    check(page.status == 200 && page.body.is_null(), "the frontend answers with its page", &page)?;
    let log = app.log("gateway")?;
    let line = log.lines().find(|line| line.contains("GET /api/samples 200"));
    let line = line.ok_or_else(|| format!("no such line in {log}"))?;
    check(line.contains(" INFO gateway ") && !line.contains('{'), "plain text", line)
}

async fn gone(app: &App) -> Outcome {
    let lab = Lab::start(app, &[]).await?;
    let token = lab.sign_in(app).await?;
    let list = async |path: &str| lab.ask(app, Some(&token), Method::GET, path, None).await;
    lab.templates.kill().await?;
    let answer = list("/api/templates").await?;
    check(answer.status == 503 && answer.took < AT_ONCE, "503 at once", &answer)?;
    check(list("/api/samples").await?.status == 200, "the rest works", "")?;
    let draft = json!({"barcode": "TSQ-9", "template_id": 1});
    let answer = lab.ask(app, Some(&token), Method::POST, "/api/samples", Some(draft)).await?;
    check(answer.status == 503, "what needs it does not", &answer)?;
    // Sessions are in Redis: without it nobody is known.
    app.redis.set(Mode::Closed).await;
    let answer = list("/api/samples").await?;
    check(answer.status == 503 && answer.took < AT_ONCE, "503 at once", &answer)?;
    let health = app.get(&lab.auth, "/health").await?;
    check(health.status == 503 && health.body["status"] == "unhealthy", "unhealthy", &health)?;
    app.redis.set(Mode::Open).await;
    eventually("sessions are known again", SOON, async || {
        Ok(list("/api/samples").await?.status == 200)
    })
    .await?;
    lab.auth.kill().await?;
    let answer = list("/api/samples").await?;
    check(answer.status == 503, "nobody is known without the auth service", &answer)
}
