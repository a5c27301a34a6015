use std::ffi::OsString;
use std::path::Path;

use super::*;

/// The file that is shipped.
const SHIPPED: &str = include_str!("../../config/linehub.toml");

/// A file of this test's own, gone when it ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("linehub-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let layers = Layers { file: file.map(Path::to_owned), variables, ..Layers::default() };
    let shown = file.map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    layers
        .load()
        .map_err(|Problems(problems)| problems.iter().map(|problem| problem.to_string().replace(&shown, "F")).collect())
}

fn from_file(name: &str, text: &str) -> Result<Config, Vec<String>> {
    load(Some(&File::new(name, text).0), &[])
}

#[test]
fn the_shipped_file_says_exactly_the_defaults() {
    assert_eq!(from_file("shipped", SHIPPED), Ok(Config::default()));
}

#[test]
fn the_shipped_file_names_every_key_there_is() {
    for key in schema::KEYS {
        let section = SHIPPED.split(&format!("\n[{}]\n", key.table)).nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        let named = section.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{} = ", key.name)));
        assert!(named, "{}", key.path);
    }
    let rooms = SHIPPED.split("# [[rooms]]\n").nth(1).unwrap_or_default();
    for entry in schema::ROOMS {
        assert!(
            rooms.contains(&format!("\n# {} = ", entry.name)) || rooms.starts_with(&format!("# {} = ", entry.name))
        );
    }
    for entry in schema::LISTEN {
        assert!(SHIPPED.contains(&format!("\n{} = ", entry.name)));
    }
}

#[test]
fn the_rule_shown_in_the_shipped_file_has_the_defaults_but_for_its_kind() {
    let rule: String = SHIPPED
        .lines()
        .skip_while(|line| *line != "# [[rooms]]")
        .flat_map(|line| [line.trim_start_matches("# "), "\n"])
        .filter(|line| !line.contains(' ') || line.contains(" = "))
        .collect();
    let config = from_file("rule", &rule).unwrap();
    let room = RoomName::parse("jobs.mail").unwrap();
    assert_eq!(config.rooms.len(), 1);
    let expected = Settings { kind: Kind::Queue, ..Config::default().settings(&room) };
    assert_eq!(config.settings(&room), expected);
}

#[test]
fn a_file_changes_what_it_names_and_nothing_else() {
    let text = "
        listen = [{ addr = '127.0.0.1:0', protocol = 'text' }]
        limits.max_line = 4096
        limits.messages_per_second = 0x10
        [history]
        dedup_window = '1h'
        [[rooms]]
        pattern = 'jobs.*'
        kind = 'queue'
        keep_bytes = '1MiB'
        [[rooms]]
        pattern = '>'
        history = 'none'
    ";
    let config = from_file("names", text).unwrap();
    let listen = vec![Listen { addr: ([127, 0, 0, 1], 0).into(), protocol: Protocol::Text }];
    let mut expected = Config { listen, ..Config::default() };
    expected.limits.max_line = 4096;
    expected.limits.messages_per_second = 16;
    expected.history.dedup_window = Duration::from_secs(3600);
    expected.rooms.clone_from(&config.rooms);
    assert_eq!(config, expected);
    let job = config.settings(&RoomName::parse("Jobs.mail").unwrap());
    assert_eq!((job.kind, job.history, job.keep_bytes), (Kind::Queue, HistoryKind::Disk, 1 << 20));
    assert_eq!(config.settings(&RoomName::parse("lobby").unwrap()).history, HistoryKind::None);
}

#[test]
fn every_problem_is_told_with_its_line_and_column_and_what_would_be_right() {
    let text = "
max_line = 5
[server]
sniff_timeout = 300
'é' = 1
[limit]
[limits]
max_lines = 5
max_line = 100
outbox_bytes = '1MB'
max_errors = '7'
max_rooms = -1
presence_members = 2.5
[[listen]]
addr = 'localhost'
[[listen]]
protocol = 'jsn'
[[rooms]]
pattern = 'a b'
kind = 'que'
history = 'dis'
privat = true
";
    let expected = [
        "F:2:1: there is no table or key `max_line`; it belongs under `[limits]`",
        "F:4:17: `server.sniff_timeout` takes a duration, as `\"300ms\"`, `\"30s\"` or `\"7d\"`, not 300",
        "F:5:1: `[server]` has no key `é`",
    ];
    let expected_more = [
        "F:6:2: there is no table or key `limit`; do you mean `limits`?",
        "F:8:1: `[limits]` has no key `max_lines`; do you mean `max_line`?",
        "F:9:12: `limits.max_line` takes 2048 to 1048576, not 100: a frame's own fields take up to 1 KiB of it, and one \
         line is held, checked and sent as one piece",
        "F:10:16: `limits.outbox_bytes` takes a size, as `65536` or `\"64KiB\"`, not \"1MB\"",
        "F:11:14: `limits.max_errors` takes a whole number, not \"7\"",
        "F:12:13: `limits.max_rooms` takes a whole number, not -1",
        "F:13:20: `limits.presence_members` takes a whole number, not 2.5",
        "F:15:8: `addr` takes an address and port, as `0.0.0.0:7878` or `[::]:7878`, not \"localhost\": invalid socket \
         address syntax",
        "F:16:1: `[[listen]]` number 2 needs `addr`",
        "F:17:12: `protocol` takes `\"auto\"` or `\"json\"` or `\"text\"`, not \"jsn\"",
        "F:19:11: `pattern` takes a pattern of rooms, as `\"jobs.>\"`, not \"a b\": a name has letters and digits, and \
         `_ - .` inside, not ' ' there",
        "F:20:8: `kind` takes `\"fanout\"` or `\"queue\"` or `\"latest\"`, not \"que\"",
        "F:21:11: `history` takes `\"none\"` or `\"memory\"` or `\"disk\"`, not \"dis\"",
        "F:22:1: `[[rooms]]` has no key `privat`; do you mean `private`?",
    ];
    let found = from_file("problems", text).unwrap_err();
    assert_eq!(found, [&expected[..], &expected_more[..]].concat());
}

#[test]
fn one_mistake_is_told_once() {
    let text = "[[rooms]]\npattern = ''\n[[rooms]]\npattern = ''\n[[listen]]\naddr = 7\n[[listen]]\naddr = 7\n";
    let found = from_file("once", text).unwrap_err();
    let places: Vec<&str> = found.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert_eq!(places, ["F:2:11", "F:4:11", "F:6:8", "F:8:8"]);
}

#[test]
fn a_file_that_is_no_toml_is_told_where_at_every_break() {
    let found = from_file("syntax", "[limits\nmax_line = \n[server]\nsniff_timeout = 1s\n").unwrap_err();
    let places: Vec<&str> = found.iter().filter_map(|problem| problem.split(": ").next()).collect();
    assert!(places.len() >= 2 && places.iter().all(|place| place.starts_with("F:")), "{found:?}");
    let twice = from_file("twice", "[limits]\nmax_line = 4096\nmax_line = 4096\n").unwrap_err();
    assert!(twice.len() == 1 && twice[0].starts_with("F:3:1: "), "{twice:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_name() {
    let missing = Path::new("/nonexistent/linehub.toml");
    assert_eq!(load(Some(missing), &[]).unwrap_err(), ["F: cannot be read: No such file or directory (os error 2)"]);
    let file = File::new("bytes", b"# \xc3\xa9\n# \xff\n");
    assert_eq!(load(Some(&file.0), &[]).unwrap_err(), ["F:2:3: a configuration is UTF-8, and this byte is not"]);
}

#[test]
fn tables_of_the_wrong_shape_are_told_how_they_are_written() {
    assert_eq!(from_file("shape", "limits = 5").unwrap_err(), ["F:1:10: `limits` is a table, written as `[limits]`"]);
    let found = from_file("shapes", "[listen]\naddr = '127.0.0.1:1'\n").unwrap_err();
    assert!(found.len() == 1 && found[0].ends_with("`listen` can be there many times, each written as `[[listen]]`"));
    assert_eq!(
        from_file("elements", "rooms = [1]").unwrap_err(),
        ["F:1:10: each `rooms` is a table, written as `[[rooms]]`"]
    );
    assert_eq!(from_file("none", "listen = []").unwrap_err(), ["F:1:10: `listen` is empty: nobody could connect"]);
}

#[test]
fn settings_that_do_not_fit_together_are_refused_where_they_can_be_mended() {
    let table = [
        ("[limits]\nmax_line = '1MiB'", "F:2:12: `limits.outbox_bytes` takes at least twice `max_line`, so 2097152"),
        ("[limits]\noutbox_bytes = 65536", "F:2:16: `limits.outbox_bytes` takes at least twice `max_line`, so 131072"),
        (
            "[limits]\nuncommitted_bytes = 4096",
            "F:2:21: `limits.uncommitted_bytes` takes at least `max_line`, so 65536",
        ),
        ("[limits]\noutbox_total_bytes = 4096", "F:2:22: `limits.outbox_total_bytes` takes at least `outbox_bytes`"),
        ("[limits]\nmemory_history_bytes = 4096", "F:2:24: `limits.memory_history_bytes` takes at least `max_line`"),
        ("[auth]\nguests = 'read'", "F:2:10: `auth.guests` can only be `true`: this version has no accounts"),
        ("[tls]\ncert = 'a.pem'", "F:1:2: there is no table or key `tls`: this version does not speak TLS"),
        ("[server]\nshutdown_timeout = '0'", "F:2:20: `server.shutdown_timeout` takes at least 1ms, not \"0\""),
        ("[server]\nresume_window = '40000d'", "F:2:17: `server.resume_window` takes at most `\"36500d\"`"),
        (
            "[[listen]]\naddr='0.0.0.0:7'\n[[listen]]\naddr='127.0.0.1:7'",
            "F:4:1: `127.0.0.1:7` is taken by the listener",
        ),
        ("[[rooms]]\npattern='a.*'\n[[rooms]]\npattern='A.*'", "F:4:1: the rule for `A.*` never counts"),
        (
            "[[rooms]]\npattern='a'\nkind='queue'\nhistory='none'",
            "F:2:1: the rule for `a` is for a queue without history",
        ),
        ("[[rooms]]\npattern='a'\nkind='latest'\nhistory='none'", "F:2:1: the rule for `a` is for the latest value"),
        (
            "[[rooms]]\npattern='a'\nhistory='none'\nkeep_age='1d'",
            "F:2:1: the rule for `a` keeps something of no history",
        ),
        ("[[rooms]]\npattern='a'\nkind='fanout'\nack_wait='1s'", "F:2:1: the rule for `a` has `ack_wait`"),
        ("[log]\nfilter='linehub=loud'", "F:2:8: `log.filter` takes a filter, as `info` or `linehub=debug`, not"),
    ];
    for (at, (text, expected)) in table.into_iter().enumerate() {
        let found = from_file(&format!("fit-{at}"), text).unwrap_err();
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{text}\n{found:#?}");
    }
    for free in [
        "[[listen]]\naddr='127.0.0.1:0'\n[[listen]]\naddr='127.0.0.1:0'",
        "[[listen]]\naddr='0.0.0.0:7'\n[[listen]]\naddr='[::]:7'",
    ] {
        assert!(from_file("free", free).is_ok());
    }
}

#[test]
fn variables_count_over_the_file_and_know_every_key() {
    let file = File::new("over", "[limits]\nmax_line = 8192\nmax_rooms = 7\n");
    let variables = [
        ("LINEHUB_LIMITS_MAX_LINE", "4KiB"),
        ("LINEHUB_DATA_DIR", "/var/lib/linehub"),
        ("LINEHUB_QUEUE_ACK_WAIT", "2m"),
        ("LINEHUB_LOG_FORMAT", "json"),
        ("LINEHUB_LISTEN", "127.0.0.1:1, [::1]:2"),
        // Of others.
        ("PATH", "/bin"),
        ("LINEHUB_PORT", "tcp://10.0.0.1:7878"),
        ("LINEHUB_PORT_7878_TCP_ADDR", "10.0.0.1"),
        ("LINEHUB_SERVICE_HOST", "10.0.0.1"),
        ("LINEHUB_TEST_DATA", "/data"),
    ];
    let config = load(Some(&file.0), &variables).unwrap();
    assert_eq!((config.limits.max_line, config.limits.max_rooms), (4096, 7));
    assert_eq!(config.data.dir, Path::new("/var/lib/linehub"));
    assert_eq!(config.queue.ack_wait, Duration::from_secs(120));
    assert_eq!(config.log.format, LogFormat::Json);
    let listen: Vec<_> = config.listen.iter().map(|listen| (listen.addr.to_string(), listen.protocol)).collect();
    assert_eq!(listen, [("127.0.0.1:1".to_owned(), Protocol::Auto), ("[::1]:2".to_owned(), Protocol::Auto)]);
}

#[test]
fn a_variable_names_the_file_where_no_flag_does() {
    let file = File::new("named", "[limits]\nmax_rooms = 7\n");
    let config = load(None, &[("LINEHUB_CONFIG", file.0.to_str().unwrap())]).unwrap();
    assert_eq!(config.limits.max_rooms, 7);
}

#[test]
fn an_unknown_or_wrong_variable_is_an_error_that_names_the_nearest() {
    let variables = [
        ("LINEHUB_LIMITS_MAX_LINES", "1"),
        ("LINEHUB_ZZZ", "1"),
        ("LINEHUB_LIMITS_MAX_ROOMS", "many"),
        ("LINEHUB_LISTEN", "7878"),
        ("LINEHUB_ROOMS_KIND", "queue"),
        ("LINEHUB_LIMITS_OUTBOX_BYTES", "64KiB"),
    ];
    let found = load(None, &variables).unwrap_err();
    let expected = [
        "LINEHUB_LIMITS_MAX_LINES: there is no such setting; do you mean `LINEHUB_LIMITS_MAX_LINE`?",
        "LINEHUB_LIMITS_MAX_ROOMS: `limits.max_rooms` takes a whole number, not \"many\"",
        "LINEHUB_LIMITS_OUTBOX_BYTES: `limits.outbox_bytes` takes at least twice `max_line`, so 131072: else one long \
         line makes its reader lag",
        "LINEHUB_LISTEN: takes an address and port, as `0.0.0.0:7878` or `[::]:7878`, not \"7878\": invalid socket \
         address syntax",
        "LINEHUB_ROOMS_KIND: rooms are configured in a file alone, as `[[rooms]]`",
        "LINEHUB_ZZZ: there is no such setting",
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_variable_could_be_that_of_two_keys() {
    let mut names: Vec<String> =
        schema::KEYS.iter().map(|key| key.path.replace('.', "_")).chain(["config".into(), "listen".into()]).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn flags_count_over_variables() {
    let layers = Layers {
        variables: vec![("LINEHUB_LISTEN".into(), "127.0.0.1:1".into()), ("LINEHUB_DATA_DIR".into(), "a".into())],
        listen: vec![([127, 0, 0, 1], 2).into()],
        data: Some("b".into()),
        log_format: Some(LogFormat::Json),
        log_filter: Some("debug".into()),
        ..Layers::default()
    };
    let config = layers.load().unwrap();
    assert_eq!(config.listen, [Listen { addr: ([127, 0, 0, 1], 2).into(), protocol: Protocol::Auto }]);
    assert_eq!(config.data.dir, Path::new("b"));
    assert_eq!(config.log, Log { format: LogFormat::Json, filter: "debug".into() });
}

#[test]
fn a_reload_takes_what_it_can_and_names_what_waits() {
    let old = Config::default();
    let mut new = Config::default();
    new.limits.max_rooms = 7;
    new.limits.max_line = 4096;
    new.data.dir = "elsewhere".into();
    new.listen.clear();
    new.queue.prefetch = 1;
    let (now, waiting) = reload(&old, new);
    assert_eq!(waiting, ["data.dir", "limits.max_line", "listen"]);
    let mut expected = Config::default();
    expected.limits.max_rooms = 7;
    expected.queue.prefetch = 1;
    assert_eq!(now, expected);
    assert_eq!(reload(&old, old.clone()), (old.clone(), vec![]));
}
