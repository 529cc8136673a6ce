//! The harness' side of the stand-ins.

use super::{Behaviour, Health, Page, Recorded};
use futures::stream::{self, Stream, StreamExt};
use std::collections::VecDeque;
use std::time::Duration;
use verdict::history::alert::Notification;

/// Why the stand-ins could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// They don't answer.
    #[error("stand-ins on port {port}: {source}")]
    Unreachable {
        /// Port on 127.0.0.1.
        port: u16,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// They refuse what was asked.
    #[error("stand-ins on port {port}: {status}: {body}")]
    Refused {
        /// Port on 127.0.0.1.
        port: u16,
        status: u16,
        /// What they said.
        body: String,
    },
}

/// A client of the stand-ins' own interface, published on 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Client {
    port: u16,
    http: reqwest::Client,
}

impl Client {
    /// A client for this port of 127.0.0.1.
    pub fn new(port: u16) -> Client {
        // Only a broken build of the client's defaults can fail here; the plain client then reports
        // it when it is used.
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(2))
            .build()
            .unwrap_or_default();
        Client { port, http }
    }

    /// Their health.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get("health", Duration::from_secs(2)).await
    }

    /// Position of the newest notification, 0 if there is none.
    ///
    /// # Errors
    /// They don't answer.
    pub async fn latest(&self) -> Result<u64, ClientError> {
        Ok(self.health().await?.notifications)
    }

    /// Asks a stand-in to misbehave, or to behave again.
    pub async fn behave(&self, behaviour: &Behaviour) -> Result<(), ClientError> {
        let sent = self
            .http
            .put(self.url("behaviour"))
            .timeout(Duration::from_secs(2))
            .json(behaviour)
            .send()
            .await;
        self.accepted(sent).await.map(drop)
    }

    /// Those recorded after `seq`, waiting at most `wait` for the first.
    pub async fn after(&self, seq: u64, wait: Duration) -> Result<Page, ClientError> {
        let what = format!("notifications?after={seq}&wait_s={}", wait.as_secs_f64());
        self.get(&what, wait + Duration::from_secs(5)).await
    }

    /// All notifications, from the first that was recorded, in order and each once, for as long as
    /// the stream is polled. Lost connections and restarts of the stand-ins are survived.
    pub fn follow(port: u16) -> impl Stream<Item = Notification> + Send + Unpin {
        Client::new(port).follow_from(0).map(|recorded| recorded.notification)
    }

    /// As [`Client::follow`], from the one after `seq`, with their places in the record.
    pub fn follow_from(self, seq: u64) -> impl Stream<Item = Recorded> + Send + Unpin {
        struct Place {
            client: Client,
            record: Option<String>,
            seq: u64,
            ready: VecDeque<Recorded>,
        }
        let place = Place { client: self, record: None, seq, ready: VecDeque::new() };
        Box::pin(stream::unfold(place, |mut place| async move {
            loop {
                if let Some(next) = place.ready.pop_front() {
                    place.seq = next.seq;
                    return Some((next, place));
                }
                match place.client.after(place.seq, Duration::from_secs(25)).await {
                    Ok(page) => {
                        if place.record.as_ref().is_some_and(|known| *known != page.record) {
                            // Its file was lost with its container: what it holds now is all new.
                            (place.seq, place.record) = (0, None);
                            continue;
                        }
                        place.record = Some(page.record);
                        place.ready = page.notifications.into();
                        if place.ready.is_empty() {
                            // The server answers at once where more was asked for than there is.
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        }))
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let sent = self.http.get(self.url(what)).timeout(timeout).send().await;
        let unreachable = |source| ClientError::Unreachable { port: self.port, source };
        self.accepted(sent).await?.json().await.map_err(unreachable)
    }

    async fn accepted(
        &self,
        sent: reqwest::Result<reqwest::Response>,
    ) -> Result<reqwest::Response, ClientError> {
        let port = self.port;
        let response = sent.map_err(|source| ClientError::Unreachable { port, source })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        Err(ClientError::Refused { port, status, body: response.text().await.unwrap_or_default() })
    }

    fn url(&self, what: &str) -> String {
        format!("http://127.0.0.1:{}/{what}", self.port)
    }
}
