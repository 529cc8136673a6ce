//! Two sets of instances don't reach each other: no packet passes between them, of whatever
//! protocol (TCP, UDP, ICMP), both ways or only from the one to the other. Everybody else reaches
//! all of them. Servers that gossip use TCP and UDP, so a cut is seen only if both are cut, and gone
//! only if both pass again: shown by a connection and a packet of ours between ports of our own, in
//! their network namespaces, so that it does not depend on what they listen to.

use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::engine::{ContainerState, namespace};
use crate::journal::Undo;
use crate::process::failure::UserError;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use verdict::history::fault::BlastRadius;

/// See [`aim`].
pub const CUT: Kind = Kind {
    name: "cut",
    what: "no packet passes between it and others, of whatever protocol (and, way)",
    aim,
    undo: None,
};

/// How long a packet of ours may take.
const LIMIT: Duration = Duration::from_millis(700);
/// Packets that are sent to see whether one arrives.
const SENT: usize = 3;
/// How often it is looked whether all passes before the fault: a busy host may be slow once.
const TRIED: usize = 3;

/// Whose packets vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Both,
    /// From the target to the others.
    There,
}

struct Cut {
    /// What it is aimed at, as it was told.
    target: String,
    these: Vec<String>,
    those: Vec<String>,
    way: Way,
    /// Rules by the container in whose namespace they are, as arguments after `-I` or `-D`.
    rules: BTreeMap<String, (i32, Vec<Vec<String>>)>,
}

/// What passes from one instance to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passes {
    tcp: bool,
    udp: bool,
}

/// `cut`. The target is one instance or several, by commas. Settings: `and` (the others, by
/// commas), `way` (`both`, the default, or `there`: from the target to the others).
///
/// # Errors
/// Unknown, missing or senseless settings.
pub fn aim(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    let kind = CUT.name;
    super::only(kind, settings, &["and", "way"])?;
    let wrong = |what: String, hint: &str| FaultError::Settings { what, hint: hint.into() };
    let names = |text: &str| super::sides(text).map(str::to_owned).collect::<Vec<_>>();
    let (these, those) = (names(target), settings.get("and").map(|and| names(and)));
    let Some(those) = those.filter(|those| !those.is_empty()) else {
        let hint = "write the services that it is to be cut off from, for example `and: \"alertmanager-b\"`";
        return Err(wrong(format!("fault {kind}: `and` names nobody"), hint));
    };
    if these.is_empty() {
        let hint = "write the services that are to be cut off";
        return Err(wrong(format!("fault {kind}: the target names nobody"), hint));
    }
    if let Some(own) = these.iter().find(|one| those.contains(one)) {
        let what = format!("fault {kind}: {own} would be cut off from itself");
        return Err(wrong(what, "name it on one side only"));
    }
    let way = match settings.get("way").map(String::as_str) {
        Some("both") | None => Way::Both,
        Some("there") => Way::There,
        Some(other) => {
            let what = format!("fault {kind}: `way` is {other:?}");
            return Err(wrong(what, "write both, or there: from the one side to the other"));
        }
    };
    Ok(Box::new(Cut { target: these.join(", "), these, those, way, rules: BTreeMap::new() }))
}

impl Cut {
    fn pairs(&self) -> impl Iterator<Item = (&String, &String)> {
        self.these.iter().flat_map(|a| self.those.iter().map(move |b| (a, b)))
    }

    /// Arguments of `iptables` for what vanishes between an instance of the one side and these
    /// addresses of the other.
    fn rules(&self, others: &BTreeSet<IpAddr>, run: &str) -> Vec<Vec<String>> {
        let comment = format!("firedrill {run}");
        let rule = |chain: &str, side: &str, address: &IpAddr| {
            let address = address.to_string();
            [chain, side, &address, "-m", "comment", "--comment", &comment, "-j", "DROP"]
                .map(str::to_owned)
                .to_vec()
        };
        let there = others.iter().map(|address| rule("OUTPUT", "-d", address));
        let back = others.iter().filter(|_| self.way == Way::Both);
        there.chain(back.map(|address| rule("INPUT", "-s", address))).collect()
    }

    /// What passes from one instance to another.
    async fn passes(&self, scene: &Scene<'_>, from: &str, to: &str) -> Result<Passes, FaultError> {
        let failed =
            |e: crate::engine::EngineError| scene.failed(CUT.name, &self.target, e.advice());
        let (client, server) =
            (scene.alive(CUT.name, from).await?, scene.alive(CUT.name, to).await?);
        let address = shared(&client, &server)
            .ok_or_else(|| scene.failed(CUT.name, &self.target, no_network(from, to)))?;
        let opened = namespace::within(server.pid, move || {
            Ok::<_, io::Error>((TcpListener::bind((address, 0))?, UdpSocket::bind((address, 0))?))
        });
        let unheard =
            |e: io::Error| scene.failed(CUT.name, &self.target, format!("no port on {to}: {e}"));
        let (listener, receiver) = opened.await.map_err(failed)?.map_err(unheard)?;
        let ports = listener.local_addr().and_then(|tcp| Ok((tcp, receiver.local_addr()?)));
        let (tcp, udp) = ports.map_err(unheard)?;
        // A connection is accepted by the kernel for as long as the port is open.
        let connected = namespace::within(client.pid, move || connects(tcp));
        let arrived = namespace::within(client.pid, move || arrives(&receiver, udp));
        let (connected, arrived) = tokio::join!(connected, arrived);
        let passes = Passes { tcp: connected.map_err(failed)?, udp: arrived.map_err(failed)? };
        drop(listener);
        Ok(passes)
    }

    /// What passes between all pairs: there and back.
    async fn seen(&self, scene: &Scene<'_>) -> Result<Vec<(Passes, Passes)>, FaultError> {
        let pairs = self.pairs().map(|(a, b)| async move {
            tokio::try_join!(self.passes(scene, a, b), self.passes(scene, b, a))
        });
        futures::future::try_join_all(pairs).await
    }

    /// Nothing is disturbed where nothing passed.
    async fn passed(&self, scene: &Scene<'_>) -> Result<(), FaultError> {
        let mut what = String::new();
        for _ in 0..TRIED {
            let seen = self.seen(scene).await?;
            let not = self.pairs().zip(seen).find(|(_, (there, back))| !there.all() || !back.all());
            let Some(((a, b), (there, back))) = not else { return Ok(()) };
            what = format!(
                "nothing to disturb: before the fault {} from {a} to {b}, and {} back",
                there.told(),
                back.told()
            );
        }
        Err(scene.failed(CUT.name, &self.target, what))
    }

    fn between(&self) -> String {
        let arrow = match self.way {
            Way::Both => "and",
            Way::There => "to",
        };
        format!("{} {arrow} {}", self.target, self.those.join(", "))
    }
}

/// An address of a server in a network that the client is in too.
fn shared(client: &ContainerState, server: &ContainerState) -> Option<IpAddr> {
    let common = server.ips.iter().filter(|(network, _)| client.ips.contains_key(*network));
    common.filter_map(|(_, address)| address.parse().ok()).next()
}

fn no_network(from: &str, to: &str) -> String {
    format!("nothing to cut: {from} and {to} are in no network together")
}

/// All addresses of a container.
fn addresses(container: &ContainerState) -> BTreeSet<IpAddr> {
    container.ips.values().filter_map(|address| address.parse().ok()).collect()
}

fn connects(to: SocketAddr) -> bool {
    TcpStream::connect_timeout(&to, LIMIT).is_ok()
}

/// Whether one of some packets arrives, sent from where this is called.
fn arrives(receiver: &UdpSocket, to: SocketAddr) -> bool {
    let try_it = || -> io::Result<bool> {
        let sender = UdpSocket::bind(("0.0.0.0", 0))?;
        receiver.set_read_timeout(Some(LIMIT / SENT as u32))?;
        let from = sender.local_addr()?.port();
        for _ in 0..SENT {
            // What a rule drops on its way out is an error here, and may be one.
            let _ = sender.send_to(b"firedrill", to);
            let mut heard = [0; 16];
            if let Ok((_, sender)) = receiver.recv_from(&mut heard)
                && sender.port() == from
            {
                return Ok(true);
            }
        }
        Ok(false)
    };
    try_it().unwrap_or(false)
}

impl Fault for Cut {
    fn kind(&self) -> &'static str {
        CUT.name
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        let chains = match self.way {
            Way::Both => "OUTPUT and INPUT",
            Way::There => "OUTPUT",
        };
        format!("packet filter in the network namespaces of {}, {chains} DROP", self.target)
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::EnterNamespaces, Ability::PacketFilter]
    }

    fn blast_radius(&self) -> BlastRadius {
        let services = self.these.iter().chain(&self.those).cloned().collect();
        BlastRadius { services, ..BlastRadius::default() }
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            self.passed(scene).await?;
            let mut others = BTreeSet::new();
            for name in &self.those {
                others.extend(addresses(&scene.container(name).await?));
            }
            let mut rules = BTreeMap::new();
            for name in &self.these {
                let container = scene.container(name).await?;
                rules.insert(container.id, (container.pid, self.rules(&others, scene.run)));
            }
            self.rules = rules;
            let undo = |(container, (_, rules)): (&String, &(i32, Vec<Vec<String>>))| {
                Undo::DeleteContainerRules {
                    container: container.clone(),
                    rules: rules.iter().map(|rule| with("-D", rule)).collect(),
                }
            };
            Ok(self.rules.iter().map(undo).collect())
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            for (pid, rules) in self.rules.values() {
                for rule in rules {
                    let line = [vec!["-w".to_owned()], with("-I", rule)].concat();
                    let said = namespace::run(*pid, "iptables", &line)
                        .await
                        .map_err(|e| scene.failed(CUT.name, &self.target, e.advice()))?;
                    if !said.ok {
                        return Err(scene.failed(CUT.name, &self.target, said.stderr.trim()));
                    }
                }
            }
            Ok(())
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let seen = self.seen(scene).await?;
            let cut = seen.iter().all(|(there, back)| {
                // A connection needs both ways, a packet only its own.
                let returns = match self.way {
                    Way::Both => !back.udp,
                    Way::There => back.udp,
                };
                !there.tcp && !there.udp && !back.tcp && returns
            });
            let way = match self.way {
                Way::Both => "and no packet (UDP) either way",
                Way::There => "and no packet (UDP) arrived; packets back did",
            };
            Ok(cut.then(|| format!("no connection (TCP) {} was made, {way}", self.between())))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let seen = self.seen(scene).await?;
            let all = seen.iter().all(|(there, back)| there.all() && back.all());
            Ok(all.then(|| {
                format!("connections (TCP) and packets (UDP) pass {} again", self.between())
            }))
        })
    }
}

impl Passes {
    fn all(self) -> bool {
        self.tcp && self.udp
    }

    fn told(self) -> &'static str {
        match (self.tcp, self.udp) {
            (true, true) => "connections and packets passed",
            (true, false) => "no packet (UDP) passed",
            (false, true) => "no connection (TCP) passed",
            (false, false) => "nothing passed",
        }
    }
}

/// A rule with what is done to it in front.
fn with(action: &str, rule: &[String]) -> Vec<String> {
    [vec![action.to_owned()], rule.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_cut_has_two_sides_that_share_nobody() {
        for (target, pairs, says) in [
            ("a", vec![], "`and` names nobody"),
            ("a", vec![("and", " , ")], "`and` names nobody"),
            ("", vec![("and", "b")], "the target names nobody"),
            ("a, b", vec![("and", "c,b")], "b would be cut off from itself"),
            ("a", vec![("and", "b"), ("way", "back")], "`way` is \"back\""),
            ("a", vec![("and", "b"), ("to", "b:1")], "no setting \"to\""),
        ] {
            match aim(target, &settings(&pairs)).map(|_| ()) {
                Err(FaultError::Settings { what, hint }) => {
                    assert!(what.contains(says) && !hint.is_empty(), "{what}");
                }
                other => panic!("{target} {pairs:?}: {other:?}"),
            }
        }
        let fault = aim("a,b", &settings(&[("and", "c")])).unwrap();
        assert_eq!(fault.target(), "a, b");
        assert_eq!(fault.blast_radius().services, ["a", "b", "c"]);
    }

    #[test]
    fn what_vanishes_is_of_no_protocol_and_of_one_way_or_both() {
        let rules = |way| {
            let cut = Cut {
                target: "a".into(),
                these: vec!["a".into()],
                those: vec!["b".into()],
                way,
                rules: BTreeMap::new(),
            };
            let others = BTreeSet::from(["10.0.0.2".parse().unwrap()]);
            cut.rules(&others, "r").iter().map(|rule| rule.join(" ")).collect::<Vec<_>>()
        };
        let there = "OUTPUT -d 10.0.0.2 -m comment --comment firedrill r -j DROP";
        let back = "INPUT -s 10.0.0.2 -m comment --comment firedrill r -j DROP";
        assert_eq!(rules(Way::Both), [there, back]);
        assert_eq!(rules(Way::There), [there]);
    }

    #[test]
    fn a_packet_of_ours_is_told_from_silence() {
        let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let to = receiver.local_addr().unwrap();
        assert!(arrives(&receiver, to));
        let other = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        assert!(!arrives(&other, to), "it went elsewhere");
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let to = listener.local_addr().unwrap();
        assert!(connects(to));
        drop(listener);
        assert!(!connects(to));
    }
}
