//! The synthetic services that the traffic of a drill goes to: one binary, one subcommand a
//! service.
//!
//! `email-service`, `celery-worker` and `celery-beat` are a small mail application over PostgreSQL,
//! Redis, Postfix and Dovecot. They are the application under fault: every wait is bounded, every
//! dependency may go and come back at any time. They know nothing of who drives or watches them,
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
mod lifecycle;
mod log;
mod mailbox;
mod metrics;
mod publisher;
mod redis_link;
mod settings;
mod tasks;
mod trace;

use std::process::ExitCode;

use clap::Parser;

/// Synthetic services of a mail application, configured by environment variables (or flags of the
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
        Command::Exporter(options) => {
            let telemetry = options.telemetry();
            lifecycle::run("exporter", &telemetry, |service| exporter::serve(*options, service))
        }
    }
}
