//! The synthetic services that the traffic of a drill goes to: one binary, one subcommand a
//! service.
//!
//! `email-service`, `celery-worker` and `celery-beat` are a small mail application over PostgreSQL,
//! Redis, Postfix and Dovecot; `frontend`, `gateway`, `auth-service`, `template-service` and
//! `sample-service` track a laboratory's samples. They are the application under fault: every wait
//! is bounded, every dependency may go and come back at any time. They know nothing of who drives or watches them,
//! and no endpoint, flag or variable of theirs sets a metric, a log line or a span: what they
//! report, they did. `exporter` is the exception, test equipment for the harness's own small stack;
//! see its page.

#![forbid(unsafe_code)]

mod celery;
mod celery_beat;
mod celery_worker;
mod database;
mod dependency;
mod dial;
mod email_service;
mod exporter;
mod idle_pool;
mod lab;
mod lifecycle;
mod log;
mod mailbox;
mod metrics;
mod publisher;
mod redis_link;
mod request;
mod settings;
mod tasks;
mod trace;

use std::process::ExitCode;

use clap::Parser;

/// Synthetic services of two applications, mail and a laboratory, configured by environment variables (or flags of the
/// same names)
#[derive(Debug, Parser)]
#[command(name = "apps", version)]
enum Command {
    /// The HTTP API: stores, queues, reads mailboxes
    EmailService(Box<email_service::EmailServiceOptions>),
    /// Runs tasks: hands mails to the mail server
    CeleryWorker(Box<celery_worker::CeleryWorkerOptions>),
    /// Publishes the periodic task
    CeleryBeat(Box<celery_beat::CeleryBeatOptions>),
    /// The laboratory's page, and the gateway under /api
    Frontend(Box<lab::frontend::FrontendOptions>),
    /// The laboratory's gateway: who is calling, and to whom it goes
    Gateway(Box<lab::gateway::GatewayOptions>),
    /// The laboratory's people and their sessions
    AuthService(Box<lab::auth_service::AuthServiceOptions>),
    /// The laboratory's templates
    TemplateService(Box<lab::template_service::TemplateServiceOptions>),
    /// The laboratory's samples
    SampleService(Box<lab::sample_service::SampleServiceOptions>),
    /// Test equipment: exposes what it is told to (a synthetic signal)
    Exporter(Box<exporter::ExporterOptions>),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::EmailService(options) => {
            let telemetry = options.telemetry.clone();
            lifecycle::run("email-service", &telemetry, |service| {
                email_service::serve(*options, service)
            })
        }
        Command::CeleryWorker(options) => {
            let telemetry = options.telemetry.clone();
            lifecycle::run("celery-worker", &telemetry, |service| {
                celery_worker::serve(*options, service)
            })
        }
        Command::CeleryBeat(options) => {
            let telemetry = options.telemetry.clone();
            lifecycle::run("celery-beat", &telemetry, |service| {
                celery_beat::serve(*options, service)
            })
        }
        Command::Frontend(options) => {
            let telemetry = options.common.telemetry.clone();
            lifecycle::run("frontend", &telemetry, |service| {
                lab::frontend::serve(*options, service)
            })
        }
        Command::Gateway(options) => {
            let telemetry = options.common.telemetry.clone();
            lifecycle::run("gateway", &telemetry, |service| lab::gateway::serve(*options, service))
        }
        Command::AuthService(options) => {
            let telemetry = options.common.telemetry.clone();
            lifecycle::run("auth-service", &telemetry, |service| {
                lab::auth_service::serve(*options, service)
            })
        }
        Command::TemplateService(options) => {
            let telemetry = options.common.telemetry.clone();
            lifecycle::run("template-service", &telemetry, |service| {
                lab::template_service::serve(*options, service)
            })
        }
        Command::SampleService(options) => {
            let telemetry = options.common.telemetry.clone();
            lifecycle::run("sample-service", &telemetry, |service| {
                lab::sample_service::serve(*options, service)
            })
        }
        Command::Exporter(options) => {
            let telemetry = options.telemetry();
            lifecycle::run("exporter", &telemetry, |service| exporter::serve(*options, service))
        }
    }
}
