//! The certificate of a cluster's server that other hosts reach: made for it alone, and the only one that its nodes take.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

/// Both in PEM.
pub struct Certified {
    pub certificate: String,
    pub key: String,
}

/// For a server that is reached by these names and addresses. It has no end of its own: it is worth nothing without the
/// server, whose key nobody has when that has ended.
pub fn make(cluster: &str, names: Vec<String>) -> Result<Certified, rcgen::Error> {
    let mut about = CertificateParams::new(names)?;
    about.distinguished_name = DistinguishedName::new();
    about.distinguished_name.push(DnType::CommonName, cluster);
    let key = KeyPair::generate()?;
    let certificate = about.self_signed(&key)?;
    Ok(Certified {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// What a server that listens there may be called: by others, and by this host and through tunnels.
pub fn names(host: &str, address: IpAddr) -> Vec<String> {
    let own = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let own = Some(own).filter(|name| !name.is_empty() && name.is_ascii());
    let mut names = vec![host.to_owned(), address.to_string()];
    names.extend(["127.0.0.1", "::1", "localhost"].map(str::to_owned));
    names.extend(own);
    names.sort();
    names.dedup();
    names
}
