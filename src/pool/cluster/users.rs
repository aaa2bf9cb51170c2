//! Who may connect to a cluster's own server: the session, and each node by a password of its own. What each of them may say
//! and hear there is written here: a node can neither pose as another one nor hear what another one is told.

use std::fmt::Write as _;

use super::server::secret;

const SESSION: &str = "session";

/// Somebody whom the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
    /// Subjects.
    publish: Vec<String>,
    subscribe: Vec<String>,
}

#[derive(Debug)]
pub struct Users {
    cluster: String,
    session: User,
    nodes: Vec<(String, User)>,
}

impl Users {
    /// The session alone. `cluster` is what all subjects begin with.
    pub fn of(cluster: &str) -> std::io::Result<Self> {
        let subjects = |names: &[&str]| names.iter().map(|it| format!("{cluster}.{it}")).collect();
        Ok(Self {
            session: User {
                name: SESSION.to_owned(),
                password: secret()?,
                publish: subjects(&["to.>", "beat"]),
                subscribe: subjects(&["from.>", "pulse.>"]),
            },
            cluster: cluster.to_owned(),
            nodes: Vec::new(),
        })
    }

    pub fn session(&self) -> &User {
        &self.session
    }

    /// From the next [`Self::authorization`] on the session needs this.
    pub fn change_password(&mut self) -> std::io::Result<String> {
        self.session.password = secret()?;
        Ok(self.session.password.clone())
    }

    /// From the next [`Self::authorization`] on this seat has a user. Of a `shared` one the nodes are below it: several may
    /// have its password.
    pub fn admit(&mut self, seat: &str, shared: bool) -> std::io::Result<User> {
        let below = if shared { ".*" } else { "" };
        let subject = |what: &str| format!("{}.{what}.{seat}{below}", self.cluster);
        let user = User {
            name: format!("node-{seat}"),
            password: secret()?,
            publish: vec![subject("from"), subject("pulse")],
            subscribe: vec![subject("to"), format!("{}.beat", self.cluster)],
        };
        self.nodes.push((seat.to_owned(), user.clone()));
        Ok(user)
    }

    /// It has none any more; whether it had one.
    pub fn dismiss(&mut self, seat: &str) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|(of, _)| of != seat);
        self.nodes.len() < before
    }

    /// As the server's configuration has it.
    pub fn authorization(&self) -> String {
        let mut text = "authorization {\n\tusers = [\n".to_owned();
        for user in std::iter::once(&self.session).chain(self.nodes.iter().map(|(_, user)| user)) {
            // Subjects and names are of letters, digits and what NATS gives a meaning; into memory it cannot fail.
            let _ = writeln!(
                text,
                "    {{ user: \"{}\", password: \"{}\", permissions: {{ publish: {:?}, subscribe: {:?} }} }}",
                user.name, user.password, user.publish, user.subscribe
            );
        }
        text + "  ]\n}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_its_own_subjects_until_it_goes() {
        let mut users = Users::of("c").unwrap();
        let node = users.admit("3", false).unwrap();
        assert_eq!(node.publish, ["c.from.3", "c.pulse.3"]);
        assert_eq!(node.subscribe, ["c.to.3", "c.beat"]);
        let shared = users.admit("f1", true).unwrap();
        assert_eq!(shared.publish, ["c.from.f1.*", "c.pulse.f1.*"]);
        assert_eq!(shared.subscribe, ["c.to.f1.*", "c.beat"]);
        let line = format!(
            r#"{{ user: "node-3", password: "{}", permissions: {{ publish: ["c.from.3", "c.pulse.3"], subscribe: ["c.to.3", "c.beat"] }} }}"#,
            node.password
        );
        assert!(users.authorization().contains(&line));
        assert!(users.dismiss("3"));
        assert!(!users.authorization().contains("node-3"));
        assert!(!users.dismiss("3"));
        let old = users.session().password.clone();
        let new = users.change_password().unwrap();
        assert!(users.authorization().contains(&new));
        assert!(!users.authorization().contains(&old));
    }
}
