//! Several servers in one role: entrances to one store, and servers that can't be asked.

use super::{Probe, Question};
use crate::declaration::{OneOrList, Role};
use crate::process::clock::RunClock;
use futures::FutureExt;
use futures::future::BoxFuture;
use verdict::observation::{Fact, Observation};

/// A declared server that can't be asked. It answers every question with the reason, so that it is
/// missing nowhere in silence.
pub struct Unasked {
    source: String,
    why: String,
    clock: RunClock,
}

impl Unasked {
    pub fn new(source: &str, why: String, clock: RunClock) -> Unasked {
        Unasked { source: source.to_owned(), why, clock }
    }
}

impl Probe for Unasked {
    fn source(&self) -> &str {
        &self.source
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        let now = self.clock.now();
        let fact = super::ask::unreachable_fact(question.asked(), &self.why);
        let (source, asked, answered) = (self.source.clone(), now, now);
        async move { vec![Observation { source, via: None, asked, answered, fact }] }.boxed()
    }
}

/// The entrances to one store: they are asked in turn, until one answers, and what it says is the
/// store's, said once.
pub struct Entrances {
    store: String,
    all: Vec<Box<dyn Probe>>,
}

impl Entrances {
    /// To the store that these servers are declared for; `None` if there is none. One server alone
    /// is its store.
    pub fn to(
        declared: &OneOrList<Role>,
        connect: impl Fn(&Role) -> Box<dyn Probe>,
    ) -> Option<Box<dyn Probe>> {
        let first = declared.iter().next()?;
        match &first.entrance_to {
            Some(store) => {
                let all = declared.iter().map(connect).collect();
                Some(Box::new(Entrances { store: store.clone(), all }))
            }
            None => Some(connect(first)),
        }
    }
}

impl Probe for Entrances {
    fn source(&self) -> &str {
        &self.store
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        async move {
            let mut answers = Vec::new();
            for entrance in &self.all {
                answers = entrance.ask(question).await;
                if !answers.iter().any(|o| matches!(o.fact, Fact::Unreachable { .. })) {
                    break;
                }
            }
            let named = |o: Observation| Observation {
                via: Some(o.source),
                source: self.store.clone(),
                ..o
            };
            answers.into_iter().map(named).collect()
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Entrance {
        name: &'static str,
        closed: bool,
        asked: AtomicUsize,
    }

    impl Probe for std::sync::Arc<Entrance> {
        fn source(&self) -> &str {
            self.name
        }

        fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let now = RunClock::begin().now();
            let fact = match self.closed {
                true => super::super::ask::unreachable_fact(question.asked(), "refused"),
                false => Fact::Indices { indices: Vec::new() },
            };
            let (source, asked, answered) = (self.name.to_owned(), now, now);
            async move { vec![Observation { source, via: None, asked, answered, fact }] }.boxed()
        }
    }

    fn entrance(name: &'static str, closed: bool) -> std::sync::Arc<Entrance> {
        std::sync::Arc::new(Entrance { name, closed, asked: AtomicUsize::new(0) })
    }

    #[tokio::test]
    async fn entrances_are_asked_in_turn_and_their_store_answers_once() {
        let (a, b, c) = (entrance("es-1", true), entrance("es-2", false), entrance("es-3", false));
        let all: Vec<Box<dyn Probe>> =
            vec![Box::new(a.clone()), Box::new(b.clone()), Box::new(c.clone())];
        let store = Entrances { store: "logs".into(), all };
        let answers = store.ask(&Question::Indices { pattern: "*".into() }).await;
        assert!(
            matches!(&answers[..], [o] if o.source == "logs" && o.via.as_deref() == Some("es-2"))
        );
        let asked = [a, b, c].map(|e| e.asked.load(Ordering::Relaxed));
        assert_eq!(asked, [1, 1, 0]);
    }

    #[tokio::test]
    async fn a_store_of_which_no_entrance_answers_is_unreachable() {
        let all: Vec<Box<dyn Probe>> =
            vec![Box::new(entrance("es-1", true)), Box::new(entrance("es-2", true))];
        let store = Entrances { store: "logs".into(), all };
        let answers = store.ask(&Question::Indices { pattern: "*".into() }).await;
        assert!(
            matches!(&answers[..], [o] if o.source == "logs" && matches!(o.fact, Fact::Unreachable { .. }))
        );
    }

    #[tokio::test]
    async fn a_server_that_cant_be_asked_says_so_each_time() {
        let probe =
            Unasked::new("prometheus-b", "port 9090 is not published".into(), RunClock::begin());
        let answers = probe.ask(&Question::Targets).await;
        assert!(matches!(&answers[..], [o] if o.source == "prometheus-b"
            && matches!(&o.fact, Fact::Unreachable { error, .. } if error.contains("not published"))));
    }
}
