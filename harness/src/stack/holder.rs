//! Who holds a port, as far as `/proc` shows.

use std::path::Path;

/// The process that listens on a TCP port of the host, in words.
pub(super) fn of_port(port: u16) -> String {
    let Some(inode) = listening_inode(port) else {
        return "a process that can't be seen from here".into();
    };
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let files = std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let holds = files.into_iter().any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|link| link == Path::new(&wanted))
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let line = line.replace('\0', " ");
            let container = line
                .split_once("-container-ip ")
                .map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
            return match container {
                Some(address) => {
                    format!("a container with address {address} (docker-proxy, process {pid})")
                }
                None => format!("{} (process {pid})", name.trim()),
            };
        }
    }
    "a process of another user".into()
}

fn listening_inode(port: u16) -> Option<u64> {
    let wanted = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = std::fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // State 0A is listening.
            let listens = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == "0A";
            listens.then(|| fields.get(9)?.parse().ok()).flatten()
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("address").port();
        let seen = super::of_port(port);
        assert!(seen.contains(&std::process::id().to_string()), "{seen}");
    }
}
