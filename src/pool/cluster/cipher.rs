//! Which cipher ssh is asked to prefer: all that goes to a host goes through it, and where the processor has AES that is
//! several times as fast as what ssh prefers by itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::processor;

const FAST: &str = "aes128-gcm@openssh.com";

/// For ssh's command line, behind these options and from this folder; nothing where somebody has chosen ciphers for this host.
pub fn options(to: &str, options: &[String], folder: Option<&Path>) -> Vec<String> {
    static USUAL: OnceLock<Option<String>> = OnceLock::new();
    if !processor::features().contains("aes") {
        return Vec::new();
    }
    let nobodys = ["-F", "none", "localhost"].map(str::to_owned);
    let usual = USUAL.get_or_init(|| ciphers(&nobodys, None)).as_deref();
    let own = ciphers(&[options, &[to.to_owned()]].concat(), folder);
    let list = own.filter(|own| Some(own.as_str()) == usual);
    let list = list.and_then(|list| first(FAST, &list));
    list.map_or_else(Vec::new, |list| {
        vec!["-o".to_owned(), format!("Ciphers={list}")]
    })
}

/// What ssh would offer a host, the one that it prefers first.
fn ciphers(arguments: &[String], folder: Option<&Path>) -> Option<String> {
    let mut command = Command::new("ssh");
    command.arg("-G").args(arguments).stdin(Stdio::null());
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("ciphers "));
    line.map(str::to_owned)
}

/// The list with this one of its ciphers in front; `None`: it does not have it.
fn first(cipher: &str, list: &str) -> Option<String> {
    let (found, rest): (Vec<&str>, Vec<&str>) = list.split(',').partition(|other| *other == cipher);
    (!found.is_empty()).then(|| [found, rest].concat().join(","))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_fast_one_comes_first_unless_somebody_has_chosen() {
        let list = "chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com";
        let expected = "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr";
        assert_eq!(first(FAST, list).as_deref(), Some(expected));
        assert_eq!(first(FAST, "aes128-ctr"), None);

        let config = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let of = |host: &str, text: &str| {
            let file = config(text);
            // It may be named from where the user is.
            let name = file.path().file_name().unwrap().to_str().unwrap();
            options(
                host,
                &["-F".to_owned(), name.to_owned()],
                file.path().parent(),
            )
        };
        let chosen = "Host node2\n  Ciphers aes256-ctr\n";
        assert_eq!(of("node2", chosen), [""; 0]);
        let expected = usize::from(processor::features().contains("aes"));
        for preferred in [of("node1", chosen), of("me@node1", "")] {
            let fast = { preferred.iter() }.filter(|it| it.starts_with("Ciphers=aes128-gcm@"));
            assert_eq!(fast.count(), expected, "{preferred:?}");
        }
    }
}
