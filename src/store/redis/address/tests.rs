//! Addresses as people write them; cases of redis-py's and redis-rs's own tests of their URLs.

use super::{Address, AddressError, hide_passwords, shown, without_password};

fn parsed(text: &str) -> (String, String) {
    let address = Address::parse(text, None).unwrap();
    (address.to_string(), address.url().to_owned())
}

#[test]
fn addresses_are_shown_without_and_passed_on_with_their_password() {
    let both = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(
        parsed("redis://localhost"),
        both("redis://localhost:6379/0")
    );
    assert_eq!(parsed("redis://[::1]:7/2"), both("redis://[::1]:7/2"));
    let of_user = parsed("rediss://ada:p%40ss%2Fword@example.org:6380/3");
    assert_eq!(of_user.0, "rediss://ada:***@example.org:6380/3");
    assert_eq!(of_user.1, "rediss://ada:p%40ss%2Fword@example.org:6380/3");
    assert_eq!(parsed("redis://:secret@h").0, "redis://:***@h:6379/0");
    for socket in [
        "unix:/tmp/r.sock",
        "unix:///tmp/r.sock",
        "redis+unix:///tmp/r.sock",
    ] {
        let of_socket = parsed(socket);
        assert_eq!(of_socket.0, "unix:/tmp/r.sock");
        assert_eq!(of_socket.1, "unix:///tmp/r.sock");
    }
    let of_socket = parsed("unix:/tmp/r.sock?db=2&password=se%20cret");
    assert_eq!(of_socket.0, "unix:/tmp/r.sock?db=2&password=***");
    assert_eq!(of_socket.1, "unix:///tmp/r.sock?db=2&password=se%20cret");
}

#[test]
fn addresses_are_read_as_other_clients_read_them() {
    for (text, url) in [
        ("redis://my.host", "redis://my.host:6379/0"),
        ("REDIS://my.host:6380", "redis://my.host:6380/0"),
        ("UNIX:///tmp/r.sock", "unix:///tmp/r.sock"),
        ("redis://me:@h", "redis://me@h:6379/0"),
        (
            "redis://%2Fme%2F%2B name%3D%24+:@h",
            "redis://%2Fme%2F%2B%20name%3D%24%2B@h:6379/0",
        ),
        (
            "redis://:%2Fword%2F%2B d%3D%24+@h",
            "redis://:%2Fword%2F%2B%20d%3D%24%2B@h:6379/0",
        ),
        (
            "redis://%25john%25:%23%40%3C%3E%24@h/2",
            "redis://%25john%25:%23%40%3C%3E%24@h:6379/2",
        ),
        ("redis://h/2?db=3", "redis://h:6379/3"),
        (
            "redis://h?db=1&username=me&password=a%2520b",
            "redis://me:a%2520b@h:6379/1",
        ),
        ("redis://h/?protocol=3", "redis://h:6379/0"),
        ("valkey://h/1", "redis://h:6379/1"),
        ("valkeys://h", "rediss://h:6379/0"),
        ("valkey+unix:///s", "unix:///s"),
        ("unix://me:@/s", "unix:///s?username=me"),
        ("unix://:word@/s?db=2", "unix:///s?db=2&password=word"),
        (
            "unix://%2Fme%3D:%40%2F%3A@/s",
            "unix:///s?username=%2Fme%3D&password=%40%2F%3A",
        ),
        (
            "unix:///s?user=%25john%25&pass=%23%40%3C%3E%24&db=2",
            "unix:///s?db=2&username=%25john%25&password=%23%40%3C%3E%24",
        ),
        (
            "unix:///s?pass=%26%3F%3D+%2A%2B",
            "unix:///s?password=%26%3F%3D%20%2A%2B",
        ),
        (
            "unix:///my%20folder/a%3Fb%25+%23@c",
            "unix:///my%20folder/a%3Fb%25%2B%23%40c",
        ),
    ] {
        let address = Address::parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = address.url().to_owned();
        assert_eq!(found, url, "{text}");
        // What is passed on means the same.
        assert_eq!(Address::parse(&found, None).unwrap().url(), url);
    }
    let socket = Address::parse("unix:///my%20folder/a%3Fb", None).unwrap();
    assert_eq!(socket.socket().unwrap().to_str(), Some("/my folder/a?b"));
}

#[test]
fn a_password_from_elsewhere_counts() {
    let address = Address::parse("redis://h", Some("a b")).unwrap();
    assert_eq!(address.to_string(), "redis://:***@h:6379/0");
    assert_eq!(address.url(), "redis://:a%20b@h:6379/0");
    assert!(!format!("{address:?}").contains("a b"));
}

#[test]
fn what_is_no_address_says_what_is_one() {
    let trouble = |text: &str| Address::parse(text, None).unwrap_err().to_string();
    assert!(trouble("localhost:6379").contains("redis://host:6379/0"));
    assert!(trouble("http://localhost").contains("redis://host:6379/0"));
    for text in [
        "unix:r.sock",
        "unix://r.sock",
        "unix://host/r.sock",
        "redis:host:6379",
        "redis://",
        "redis://:pw@",
        "rediss://h#insecure",
        "redis://C3%B0@h",
        "",
        "://",
    ] {
        assert!(
            trouble(text).contains("unix:/path"),
            "{text}: {}",
            trouble(text)
        );
    }
    for (text, number) in [
        ("redis://h/db", "db"),
        ("redis://h/1/2", "1/2"),
        ("redis://h/-1", "-1"),
        ("redis://h?db=two", "two"),
        ("unix:///s?db=-2", "-2"),
        ("redis://h/99999999999999999999", "99999999999999999999"),
    ] {
        let number = AddressError::Database(number.to_owned());
        assert_eq!(Address::parse(text, None).unwrap_err(), number, "{text}");
    }
    assert_eq!(
        Address::parse("redis://h/x", None).unwrap_err(),
        AddressError::Database("x".to_owned())
    );
    assert!(trouble("redis://h?ca=/x").contains("`ca` is no option"));
    assert!(trouble("rediss://h?ca=/no/such/file").contains("/no/such/file"));
    assert!(trouble("rediss://h?speed=9").contains("ca, cert and key"));
    for text in [
        "http://:secret@h",
        "rediss://u:secret@h?speed=9",
        "redis://:secret@h/x/y",
    ] {
        assert!(!trouble(text).contains("secret"), "{text}");
    }
}

#[test]
fn a_password_that_ends_the_place_is_told_how_to_be_written_and_is_shown_nowhere() {
    for text in [
        "redis://u:pa?ss@h",
        "redis://u:pa#ss@h:6379/0",
        "redis://u:pa/ss@h",
        "redis://u:6379?ss@h",
        "redis://u:6379#ss@h",
        "redis://u:6379/ss@h",
        "redis://:p@a?ss@h",
        "redis://:pa?s:s#s/s@h",
        "unix://u:pa?ss@/s",
    ] {
        let error = Address::parse(text, None).unwrap_err();
        let hidden = match text.starts_with("redis://u") {
            true => "redis://u:***@h",
            false => ":***@",
        };
        assert!(matches!(error, AddressError::Raw(_)), "{text}: {error:?}");
        let told = error.to_string();
        assert!(told.contains("%3F") && told.contains(hidden), "{told}");
        assert!(!told.contains("ss@"), "{told}");
        assert!(!shown(text).contains("ss"), "{}", shown(text));
        let cell = format!("%store use {text} --ca x\n%store use \"{text}\"");
        assert!(!hide_passwords(&cell).contains("ss"), "{cell}");
        assert!(hide_passwords(&cell).contains(" --ca x\n"), "{cell}");
    }
    let written = Address::parse("redis://u:pa%3Fs%23s@h", None).unwrap();
    assert_eq!(written.url(), "redis://u:pa%3Fs%23s@h:6379/0");
    assert_eq!(
        without_password("\"redis://u:a b'c@h\" unix:/s?password=x#y&db=1"),
        "\"redis://u:***@h\" unix:/s?password=***&db=1"
    );
}

#[test]
fn passwords_go_from_any_text() {
    let text = "%store use redis://u:pa:s@s@h:1/0 # or unix:/s?password=x&db=1";
    let hidden = "%store use redis://u:***@h:1/0 # or unix:/s?password=***&db=1";
    assert_eq!(without_password(text), hidden);
    let token =
        "%pool start cluster --url nats://token@h:4222 # tls://u:p@h, redis://user@h, nats://h";
    let hidden =
        "%pool start cluster --url nats://***@h:4222 # tls://u:***@h, redis://user@h, nats://h";
    assert_eq!(without_password(token), hidden);
    let plain = "see https://example.org/a:b and `let a = x ? y : z`";
    assert_eq!(without_password(plain), plain);
}

#[test]
fn cells_are_kept_without_the_passwords_of_their_magics() {
    let cell = "let url = \"redis://:own@h\";\n%store use redis://:secret@h\nx";
    let kept = "let url = \"redis://:own@h\";\n%store use redis://:***@h\nx";
    assert_eq!(hide_passwords(cell), kept);
    assert_eq!(hide_passwords("1 + 1\n"), "1 + 1\n");
    assert_eq!(hide_passwords("%time f(a::b)\n"), "%time f(a::b)\n");
}
