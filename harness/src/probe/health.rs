//! Documented health endpoints, asked as their users do: over HTTP, or by connecting and reading
//! the greeting.

use super::ask::REQUEST;
use crate::backend::{Access, Client, Redirects, innermost};
use crate::declaration::HealthEndpoint;
use crate::process::clock::RunClock;
use crate::secret::start_of;
use reqwest::Method;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use verdict::observation::health::HealthAnswer;
use verdict::observation::{Fact, Observation};

/// What verdicts call an endpoint.
pub fn endpoint_name(endpoint: &HealthEndpoint) -> String {
    match &endpoint.path {
        Some(path) => format!("http://{}:{}{path}", endpoint.service, endpoint.port),
        None => format!("tcp://{}:{}", endpoint.service, endpoint.port),
    }
}

/// The endpoint of each instance of its service, named as if it were a service of its own.
pub fn of_each(endpoint: &HealthEndpoint, instances: Vec<String>) -> Vec<HealthEndpoint> {
    let of = |service| HealthEndpoint { service, ..endpoint.clone() };
    instances.into_iter().map(of).collect()
}

/// Asks a health endpoint, the way its server is asked; the path is written whole. Bounded by 5 s.
pub async fn check(endpoint: &HealthEndpoint, access: &Access, clock: RunClock) -> Observation {
    let asked = clock.now();
    let (ok, seen) = match &endpoint.path {
        Some(path) => over_http(endpoint, path, access).await,
        None => over_tcp(endpoint.banner.as_deref().unwrap_or_default(), access.port).await,
    };
    let answer = HealthAnswer {
        service: endpoint.service.clone(),
        endpoint: endpoint_name(endpoint),
        ok,
        seen,
    };
    Observation {
        source: endpoint.service.clone(),
        via: None,
        asked,
        answered: clock.now(),
        fact: Fact::Health(answer),
    }
}

async fn over_http(endpoint: &HealthEndpoint, path: &str, access: &Access) -> (bool, String) {
    let client = match Client::new(&access.of_whole_paths(), Redirects::Told) {
        Ok(client) => client,
        Err(why) => return (false, why.in_one_line()),
    };
    let response = match client.request(Method::GET, path, &[]).timeout(REQUEST).send().await {
        Ok(response) => response,
        Err(error) if error.is_timeout() => {
            return (false, format!("no answer within {} s", REQUEST.as_secs()));
        }
        Err(error) => return (false, innermost(&error)),
    };
    let status = response.status().as_u16();
    let wanted = endpoint.status.unwrap_or(200);
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return (false, format!("HTTP {status}, then {}", innermost(&error))),
    };
    let contains = endpoint.contains.as_deref().unwrap_or_default();
    let has = String::from_utf8_lossy(&body).contains(contains);
    let missing = if has { String::new() } else { format!("; {contains:?} is not in it") };
    (status == wanted && has, format!("HTTP {status}: {}{missing}", start_of(&body)))
}

async fn over_tcp(banner: &str, port: u16) -> (bool, String) {
    let greeting = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut read = Vec::new();
        if banner.is_empty() {
            // Whoever publishes the port accepts for a server that is gone, and closes at once.
            let mut byte = [0];
            let closed =
                tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await;
            return match closed {
                Ok(Ok(0)) => Err(std::io::Error::other("connected and was closed at once")),
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) | Err(_) => Ok(read),
            };
        }
        let mut chunk = [0; 512];
        while !contains(&read, banner) && read.len() < 4096 {
            match stream.read(&mut chunk).await? {
                0 => break,
                n => read.extend_from_slice(&chunk[..n]),
            }
        }
        Ok::<_, std::io::Error>(read)
    };
    match tokio::time::timeout(REQUEST, greeting).await {
        Ok(Ok(_)) if banner.is_empty() => (true, "connected".into()),
        Ok(Ok(read)) if contains(&read, banner) => (true, start_of(&read)),
        Ok(Ok(read)) => (false, format!("greeted with {:?}; {banner:?} wanted", start_of(&read))),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, format!("no greeting within {} s", REQUEST.as_secs())),
    }
}

fn contains(read: &[u8], banner: &str) -> bool {
    read.windows(banner.len()).any(|w| w == banner.as_bytes())
}
