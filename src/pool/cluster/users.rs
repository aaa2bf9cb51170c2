//! Who may connect to a cluster's own server: the session, and each node by a password of its own. What each of them may say
//! and hear there is written here: without a queue, a node can neither pose as another one nor hear what another one is told.

use std::fmt::Write as _;

use super::message::Join;
use super::queue::schema::Names;
use super::server::secret;

const SESSION: &str = "session";

/// Where answers come to: below it a subject for each user.
const INBOX: &str = "_INBOX";

/// Where answers come to who connects with this. Those of one user share it.
pub fn inbox(join: &Join) -> String {
    let user = &join.user;
    let is_word = user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    // One without a password is a token, which is nobody else's to see.
    match !join.password.is_empty() && !user.is_empty() && is_word {
        true => format!("{INBOX}.{user}"),
        false => INBOX.to_owned(),
    }
}

/// The seat of the node to which answers come there; who has named the subject may have named another one's.
pub fn seat_of(answers: &str) -> Option<&str> {
    answers
        .strip_prefix(INBOX)?
        .strip_prefix(".node-")?
        .split('.')
        .next()
}

/// Somebody whom the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub password: String,
    /// Subjects.
    publish: Vec<String>,
    subscribe: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Users {
    cluster: String,
    /// Of streams and subjects of the cluster's queue.
    queue: Option<Names>,
    session: User,
    nodes: Vec<(String, User)>,
}

impl Users {
    /// The session alone. `cluster` is what all subjects begin with; `is_durable`: it has a queue.
    pub fn of(cluster: &str, is_durable: bool) -> std::io::Result<Self> {
        let subjects = |names: &[&str]| -> Vec<String> {
            let all = names.iter().map(|it| format!("{cluster}.{it}"));
            // It makes the queue and empties it.
            let streams = ["job.>", "work.>", "result.>"].map(|it| format!("{cluster}.{it}"));
            let api = ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$O.>"].map(str::to_owned);
            let inbox = format!("{INBOX}.{SESSION}.>");
            let queue = streams.into_iter().chain(api).chain([inbox]);
            all.chain(queue.filter(|_| is_durable)).collect()
        };
        Ok(Self {
            queue: is_durable.then(|| Names::of(cluster)),
            session: User {
                name: SESSION.to_owned(),
                password: secret()?,
                publish: subjects(&["to.>", "now.>", "beat"]),
                subscribe: subjects(&["from.>", "pulse.>"]),
            },
            cluster: cluster.to_owned(),
            nodes: Vec::new(),
        })
    }

    pub fn session(&self) -> &User {
        &self.session
    }

    /// Whether the cluster has a queue.
    pub fn have_queue(&self) -> bool {
        self.queue.is_some()
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
        let name = format!("node-{seat}");
        let mut user = User {
            password: secret()?,
            publish: vec![subject("from"), subject("pulse")],
            subscribe: vec![
                subject("to"),
                subject("now"),
                format!("{}.beat", self.cluster),
            ],
            name,
        };
        if let Some(names) = &self.queue {
            user.publish.extend(of_queue(names));
            let inbox = format!("{INBOX}.{}.>", user.name);
            user.subscribe
                .extend([names.all_jobs(), names.all_failed(), inbox]);
        }
        // Two of a name would have the server take nobody any more.
        self.dismiss(seat);
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

/// What nodes say for the queue: they ask for pieces and acknowledge them, give results, read manifests, strikes and objects,
/// and write large results. They can neither queue anything nor change a stream, nor make a consumer, which has the server send
/// what is stored to a subject that its maker chooses. What they may ask for does that too, once for each question: JetStream
/// answers where the asker says, and no permission is about that. The guide says what follows from it.
fn of_queue(names: &Names) -> Vec<String> {
    let (works, results, jobs) = (names.works(), names.results(), names.jobs());
    let (objects, large) = (names.objects(), names.large());
    let mut may = vec![
        format!("$JS.API.CONSUMER.MSG.NEXT.{works}.*"),
        format!("$JS.API.CONSUMER.INFO.{works}.*"),
        format!("$JS.ACK.{works}.>"),
        // Newer servers name domain and account before the stream.
        format!("$JS.ACK.*.*.{works}.>"),
        names.all_kept(),
        format!("$JS.API.DIRECT.GET.{results}.>"),
        format!("$JS.API.DIRECT.GET.{jobs}.>"),
        format!("$O.{large}.>"),
    ];
    for bucket in [&objects, &large] {
        may.push(format!("$JS.API.STREAM.INFO.OBJ_{bucket}"));
        may.push(format!("$JS.API.DIRECT.GET.OBJ_{bucket}.>"));
        may.push(format!("$JS.API.DIRECT.GET.OBJ_{bucket}"));
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_its_own_subjects_until_it_goes() {
        let mut users = Users::of("c", false).unwrap();
        let node = users.admit("3", false).unwrap();
        assert_eq!(node.publish, ["c.from.3", "c.pulse.3"]);
        assert_eq!(node.subscribe, ["c.to.3", "c.now.3", "c.beat"]);
        let shared = users.admit("f1", true).unwrap();
        assert_eq!(shared.publish, ["c.from.f1.*", "c.pulse.f1.*"]);
        assert_eq!(shared.subscribe, ["c.to.f1.*", "c.now.f1.*", "c.beat"]);
        let line = format!(
            r#"{{ user: "node-3", password: "{}", permissions: {{ publish: ["c.from.3", "c.pulse.3"], subscribe: ["c.to.3", "c.now.3", "c.beat"] }} }}"#,
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

    #[test]
    fn nodes_of_a_queue_take_from_it_and_put_nothing_there() {
        let mut users = Users::of("c", true).unwrap();
        let node = users.admit("3", false).unwrap();
        let may = |subject: &str| node.publish.iter().any(|it| it == subject);
        assert!(may("$JS.API.CONSUMER.MSG.NEXT.c-work.*") && may("c.result.>"));
        let is_forbidden = |subject: &String| {
            subject.starts_with("c.work")
                || subject.starts_with("c.job")
                || subject.starts_with("$JS.API.STREAM.D")
                || subject.starts_with("$JS.API.CONSUMER.C")
        };
        assert!(!node.publish.iter().any(is_forbidden));
        let heard = [
            "c.to.3",
            "c.now.3",
            "c.beat",
            "c.job.*.*",
            "c.result.*.*.failed",
            "_INBOX.node-3.>",
        ];
        assert_eq!(node.subscribe, heard);
        assert_eq!(seat_of("_INBOX.node-3.x.kept.0"), Some("3"));
        assert_eq!(seat_of("_INBOX.session.x.0"), None);
    }
}
