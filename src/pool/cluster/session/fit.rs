//! Which nodes can take part.

use super::super::message::About;
use super::super::processor;
use crate::engine::libc_version;
use crate::outcome::NodeFault;
use crate::wire::VERSION;

/// Why a node cannot take part. `native`: cells are compiled for this host's processor; `is_durable`: maps go through a queue.
pub(super) fn why_not(about: &About, native: bool, is_durable: bool) -> Option<NodeFault> {
    if about.version != VERSION {
        let (says, ours) = (about.version, VERSION);
        return Some(NodeFault::Version { says, ours });
    }
    let (its, ours) = (
        about.architecture.clone(),
        std::env::consts::ARCH.to_owned(),
    );
    if its != ours {
        return Some(NodeFault::Architecture { its, ours });
    }
    let (its, ours) = (about.libc.clone(), libc_version());
    if version(&its) < version(&ours) {
        return Some(NodeFault::Libc { its, ours });
    }
    if is_durable && !about.is_durable {
        return Some(NodeFault::NoQueue);
    }
    native.then(|| processor::lacks(&about.features)).flatten()
}

/// `2.36` as numbers.
fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nodes_that_cannot_run_what_is_compiled_here_are_refused() {
        let fits = About {
            version: VERSION,
            host: "node1".to_owned(),
            pid: 1,
            slots: 1,
            cores: 1,
            memory: 1,
            libc: libc_version(),
            architecture: std::env::consts::ARCH.to_owned(),
            features: processor::features(),
            is_durable: false,
        };
        let why_not = |about: &About, native| why_not(about, native, false);
        assert_eq!(why_not(&fits, true), None);
        assert_eq!(super::why_not(&fits, true, true), Some(NodeFault::NoQueue));
        // Another processor is as good as long as nobody has asked for this one.
        let small = About {
            features: BTreeSet::new(),
            ..fits.clone()
        };
        assert_eq!(why_not(&small, false), None);
        if let Some(first) = processor::features().pop_first() {
            let fault = why_not(&small, true);
            assert!(
                matches!(&fault, Some(NodeFault::Processor { lacks }) if lacks.contains(&first)),
                "{fault:?}"
            );
        }
        let old = About {
            libc: "2.9".to_owned(),
            ..fits.clone()
        };
        assert!(matches!(why_not(&old, false), Some(NodeFault::Libc { its, .. }) if its == "2.9"));
        let other = About {
            version: VERSION + 1,
            ..fits.clone()
        };
        assert!(matches!(
            why_not(&other, false),
            Some(NodeFault::Version { .. })
        ));
        let other = About {
            architecture: "riscv64".to_owned(),
            ..fits
        };
        assert!(matches!(
            why_not(&other, false),
            Some(NodeFault::Architecture { .. })
        ));
    }
}
