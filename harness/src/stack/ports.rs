//! Host ports: chosen free when the plan is made, and fixed from then on.

use super::{Stack, StackError, holder};
use crate::declaration::PortBinding;
use crate::engine::spec::{ContainerSpec, PortSpec};
use crate::stack::compose::{Project, Service};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, UdpSocket};

/// Ports of each instance of a service.
pub type PortPlan = BTreeMap<String, Vec<PortSpec>>;

/// Ports are chosen below those that the kernel hands out to outgoing connections, which would
/// collide with them.
const FROM: u16 = 20_000;
/// How many there are to choose from.
const COUNT: u16 = 12_000;

/// Plans the host ports of a stack, as its declaration wants them: what the Compose file publishes,
/// what the declaration speaks of, and what further services publish (their host port 0 is chosen).
///
/// # Errors
/// [`StackError::PortInUse`] when a port that is wanted as written is taken, or none is free.
pub(super) fn plan_ports(
    stack: &Stack,
    project: &Project,
    extra: &[ContainerSpec],
    run: &str,
) -> Result<PortPlan, StackError> {
    let fixed = stack.declaration.ports == PortBinding::Fixed;
    let mut chooser = Chooser::new(run);
    let mut plan = PortPlan::new();
    let instances = |service: &Service| service.instances().into_iter();
    let all = project.services.values().flat_map(|s| instances(s).map(move |name| (name, s)));
    for (name, service) in all {
        let mut ports: Vec<PortSpec> = Vec::new();
        for port in &service.ports {
            if ports.iter().any(|known| known.container == port.container && known.udp == port.udp)
            {
                continue;
            }
            let host = match port.host.filter(|_| fixed) {
                Some(host) => {
                    if !chooser.take(host, port.udp) {
                        return Err(StackError::PortInUse {
                            place: format!("{}:{}", port.mark.file.display(), port.mark.line),
                            port: host,
                            service: name,
                            holder: holder::of_port(host),
                        });
                    }
                    host
                }
                None => chooser.next(&name, port.udp)?,
            };
            ports.push(PortSpec { container: port.container, host, udp: port.udp });
        }
        plan.insert(name, ports);
    }
    for (service, container) in stack.declared_ports() {
        let declared = project.services.get(&service);
        for name in declared.map(Service::instances).unwrap_or_default() {
            let Some(ports) = plan.get_mut(&name) else { continue };
            if !ports.iter().any(|known| known.container == container && !known.udp) {
                ports.push(PortSpec { container, host: chooser.next(&name, false)?, udp: false });
            }
        }
    }
    for service in extra {
        let mut ports = Vec::new();
        for port in &service.ports {
            let host =
                if port.host == 0 { chooser.next(&service.service, port.udp)? } else { port.host };
            ports.push(PortSpec { host, ..port.clone() });
        }
        plan.insert(service.service.clone(), ports);
    }
    Ok(plan)
}

/// Looks whether the host ports that a stack wants as they are written are free.
///
/// # Errors
/// [`StackError::PortInUse`] for the first that is taken.
pub fn ports_are_free(stack: &Stack) -> Result<(), StackError> {
    plan_ports(stack, &stack.project, &[], "look").map(drop)
}

struct Chooser {
    taken: BTreeSet<u16>,
    at: u16,
}

impl Chooser {
    fn new(run: &str) -> Self {
        // Runs that start at the same moment begin to look at different places.
        let digest = Sha256::digest(format!("{run}/{}", std::process::id()).as_bytes());
        Chooser { taken: BTreeSet::new(), at: u16::from_be_bytes([digest[0], digest[1]]) % COUNT }
    }

    /// Whether a port is free; it counts as taken from then on.
    fn take(&mut self, port: u16, udp: bool) -> bool {
        let free = if udp {
            UdpSocket::bind(("127.0.0.1", port)).is_ok()
        } else {
            TcpListener::bind(("127.0.0.1", port)).is_ok()
        };
        free && self.taken.insert(port)
    }

    fn next(&mut self, service: &str, udp: bool) -> Result<u16, StackError> {
        for _ in 0..COUNT {
            let port = FROM + self.at;
            self.at = (self.at + 1) % COUNT;
            if self.take(port, udp) {
                return Ok(port);
            }
        }
        Err(StackError::PortInUse {
            place: "host ports".into(),
            port: FROM,
            service: service.into(),
            holder: format!("others, as are all others from {FROM} to {}", FROM + COUNT - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let mut chooser = Chooser::new("r");
        let ports: BTreeSet<u16> =
            (0..50).map(|_| chooser.next("a", false).expect("free")).collect();
        assert_eq!(ports.len(), 50);
        let held = TcpListener::bind("127.0.0.1:0").expect("binds");
        assert!(!chooser.take(held.local_addr().expect("address").port(), false));
    }
}
