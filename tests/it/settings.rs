//! The promise: `herald check` and `herald serve` judge a configuration alike, up to the first socket: the same exit code,
//! the same words. Runs the built program.

use crate::support::process::{Herald, Launch};

const EXIT_CONFIG: i32 = 78;

/// A text of the file (`DIR` is the folder of the test), a variable, and words of the refusal.
type Case = (&'static str, Option<(&'static str, &'static str)>, &'static str);

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo";

#[rustfmt::skip]
const REFUSED: &[Case] = &[
    // Texts, keys and types.
    ("[limits\n", None, "not TOML"),
    ("limits.body_byte = '1KiB'", None, "did you mean limits.body_bytes?"),
    ("nope.x = 1", None, "unknown section"),
    ("http = 5", None, "expected a section"),
    ("limits.headers = 'many'", None, "a whole number"),
    ("drain.timeout = 25", None, "a text in quotes"),
    ("readiness.bus = 'loose'", None, "serving"),
    ("drain.timeout = '25 parsecs'", None, "a duration such as"),
    ("limits.sends_per_user = '20/h'", None, "a rate such as"),
    ("limits.send_bytes_per_session = '4MB/s'", None, "a rate such as 4MiB/s"),
    ("limits.body_bytes = '10kb'\nlimits.headers = 'many'", None, "2 errors"),
    ("", Some(("HERALD_HTTP__LISTEM", "x")), "HERALD_HTTP__LISTEM"),
    ("", Some(("HERALD_API__KEYS", "x")), "in the configuration file only"),
    // Sections by themselves.
    ("", Some(("HERALD_HTTP__LISTEN", "localhost:80")), "an IP address and a port"),
    ("http.admin_listen = 'x'", None, "an IP address and a port"),
    ("http.base_path = 'backend'", None, "a path such as /backend"),
    ("http.ws_path = '/api'", None, "a path of its own"),
    ("http.trace_url = 'javascript:alert({trace_id})'", None, "http.trace_url"),
    ("http.page_oidc.issuer = 'http://id.example'", None, "the https:// address of a provider"),
    ("http.page_oidc = { issuer = 'https://id.example' }", None, "http.page_oidc.client_id"),
    ("http.page_oidc.scopes = ['email']", None, "expected openid among them"),
    ("http.origins = ['*', 'example.com']", None, "http.origins[1]"),
    ("http.cors_origins = ['https://a/']", None, "http.cors_origins[0]"),
    ("http.hosts = ['a.example', 'http://b.example']", None, "http.hosts[1]"),
    ("http.trusted_proxies = ['10.0.0.0/33']", None, "http.trusted_proxies[0]"),
    ("http.proxy_protocol = true", None, "http.trusted_proxies"),
    ("http.tls.cert_file = '/nowhere'", None, "expected http.tls.key_file too"),
    ("http.tls = { cert_file = '/nowhere', key_file = '/nowhere' }", None, "http.tls.cert_file"),
    ("http.tls.min_version = '1.1'", None, "\"1.2\" or \"1.3\""),
    ("http.tls.client_auth = 'require'", None, "expected http.tls.client_ca_file too"),
    ("[[api.certificates]]\nname = 'a'", None, "exactly one of uri, dns and subject"),
    ("[[api.certificates]]\nname = 'a'\ndns = 'a'\nuri = 'b'", None, "exactly one of uri, dns and subject"),
    ("[[api.certificates]]\nname = 'a'\ndns = 'a'\ndestinations = ['/app/x']", None, "api.certificates[0].destinations[0]"),
    ("http.admin_tls = { cert_file = '/nowhere', key_file = '/nowhere' }", None, "http.admin_listen"),
    ("http.max_request_bytes = '65MiB'", None, "http.max_request_bytes"),
    ("[[api.keys]]\nname = 'a'\nsha256 = 'x'", None, "64 hexadecimal digits"),
    ("[[api.keys]]\nname = ''\nsha256 = 'x'", None, "1 to 128 bytes"),
    ("[[api.keys]]\nname = 'a'\nsha256 = []", None, "one SHA-256 or two, got 0"),
    ("[[api.keys]]\nname = 'a'\nsha256 = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\ndestinations = ['/app/x']", None, "api.keys[0].destinations[0]"),
    ("[[api.keys]]\nname = 'a'\nsha256 = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\nrate = 'often'", None, "api.keys[0].rate"),
    ("[[api.keys]]\nname = 'a'\nsha256 = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\nnot_after = 'soon'", None, "a moment such as"),
    ("[[auth.users]]\nname = 'a'\npassword = 'x'\nattributes = { t = [] }", None, "expected 1 to 16 values"),
    ("auth.cookie.name = 'a b'", None, "expected the name of a cookie"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']", None, "the key user_prefix is missing"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\n[[auth.issuers.keys]]\nsecret_file = '/nowhere'", None, "/nowhere: No such file"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\n[[auth.issuers.keys]]\nsecret_file = 'DIR/public.pem'", None, "found a public key, which is no secret: a public key belongs in public_key_file"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\n[[auth.issuers.keys]]\npublic_key_file = 'DIR/public.pem'\n[[auth.issuers.keys]]\nsecret_file = 'DIR/public.pem'", None, "auth.issuers[0].keys[1].secret_file"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\n[[auth.issuers.keys]]\nsecret_file = 'DIR/private.pem'", None, "found a private key"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\n[[auth.issuers.keys]]\nsecret_file = 'DIR/jwks.json'", None, "found JSON"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\njwks_uri = 'https://a/'\nca_file = '/nowhere'", None, "auth.issuers.ca_file"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'a:'\nclose_on_key_removal = true\n[[auth.issuers.keys]]\nsecret_file = '/dev/null'", None, "expected jwks_uri or discovery"),
    ("[[auth.issuers]]\nissuer = 'a'\naudience = ['a']\nuser_prefix = 'anonymous:'\njwks_uri = 'https://a/'", None, "the names of anonymous sessions"),
    ("[[permissions.publish]]\ndestination = '/topic/x'\nanonymous = true", None, "nobody is anonymous over REST"),
    ("limits.anonymous_sessions = 0", None, "expected 1 to 1000000"),
    ("auth.order = ['callout']", None, "expected whom to ask"),
    ("auth.order = ['callout', 'password']", None, "expected callout as the last"),
    ("auth.callout.target = 'http://a.example/'", None, "expected nats; or an https:// address"),
    ("auth.order = ['callout']\nauth.callout = { target = 'nats', user_prefix = 'a:' }", None, "expected bus.url too"),
    ("auth.order = ['callout']\nauth.callout = { target = 'https://a/', user_prefix = 'a:', ca_file = '/nowhere' }", None, "auth.callout.ca_file"),
    ("permissions.default = 'shut'", None, "permissions.default"),
    ("[[permissions.send]]\ndestination = '/queue/{tenant}'", None, "{user}, or {claim.NAME}"),
    ("[[permissions.send]]\ndestination = '/queue/x'\nname = 'a b'", None, "1 to 64 visible ASCII"),
    ("[[permissions.publish]]\ndestination = '/app/x'", None, "permissions.publish[0].destination"),
    ("api.taps = 65", None, "expected 0 to 64"),
    ("bus.url = 'nats://u:s3cret@a'", None, "bus.password_file"),
    ("bus.url = 'http://a'", None, "nats://host:port"),
    ("bus.prefix = 'a.b'", None, "one NATS token"),
    ("bus.user = 'x'", None, "bus.password"),
    ("bus.control_unsigned = 'drop'", None, "expected accept or refuse"),
    ("bus.control_unsigned = 'refuse'", None, "takes effect only with bus.control_key_file; set that too"),
    ("bus.token = 'x'\nbus.token_file = 'x'", None, "got both"),
    ("auth.password_session = '999ms'", None, "expected at least 1s"),
    ("auth.revocations = 0", None, "expected 1 to 1000000"),
    ("auth.token.remind = 'soon'", None, "auth.token.remind"),
    ("application.errors = '/queue/herald/x'", None, "Herald's own"),
    ("login.cache_entries = 1000001", None, "login.cache_entries"),
    ("login.permits = 0", None, "expected 1 to 1024"),
    ("login.delay = '1m'", None, "login.delay_max"),
    ("instance.name = ' x'", None, "blanks around them"),
    ("log.level = 'inof'", None, "expected a level"),
    ("log.recent_bytes = '17MiB'", None, "expected 0B to 16MiB"),
    ("audit.queue_lines = 0", None, "expected 1 to 1000000"),
    ("audit.groups = 0", None, "expected 1 to 65536"),
    ("audit.names = 'hash'", None, "expected plain or hashed"),
    ("audit.names = 'hashed'", None, "expected at least 16 bytes"),
    ("audit.file = ''", None, "or - for standard error"),
    ("audit.file = '/nowhere/audit'", None, "no such folder"),
    ("audit.file = '/proc'", None, "expected a file"),
    ("audit.file = '/proc/audit'", None, "/proc/audit: "),
    ("audit.file = 'DIR/new/'", None, "expected a file"),
    ("limits.body_bytes = '8MiB'", None, "expected 1B to 8000KiB"),
    ("limits.headers = 9007199254740993", None, "expected 8 to 10000"),
    ("limits.header_bytes = '9GiB'", None, "expected 256B to 1MiB"),
    ("limits.subscriptions = 9223372036854775807", None, "expected 1 to 1000000"),
    ("heartbeat.send = '999ms'", None, "0s or at least 1s"),
    ("delivery.shards = 65", None, "expected 1 to 64"),
    ("drain.timeout = '6s'", None, "drain.balancer_wait"),
    ("tracing.endpoint = 'localhost:4317'", None, "a collector's address"),
    ("metrics.endpoint = 'localhost:4317'", None, "a collector's address"),
    ("tracing.ratio = 1.5", None, "0.0 to 1.0"),
    ("application.time_zone = 'Mars/Base'", None, "an IANA time zone"),
    ("tracing.baggage_to_browsers = ['a=1']", None, "a key of baggage"),
    // What spans sections.
    ("tracing.trust = ['key:nobody']", None, "one of api.keys"),
    ("presence.list_destination = '/app/x'", None, "a broadcast destination"),
    ("destinations.user_prefix = '/app'", None, "overlaps"),
    ("[[permissions.send]]\ndestination = '/nowhere/x'\nroles = []", None, "permissions.send[0].destination"),
    ("[[permissions.send]]\ndestination = '/queue/**/x'\nroles = []", None, "one whole segment"),
    ("[[permissions.subscribe]]\ndestination = '/chat/x'\nroles = []", None, "nobody may SUBSCRIBE"),
    ("[[permissions.send]]\ndestination = '/queue/x'\nroles = ['ADMIN']", None, "full names such as ROLE_USER"),
    ("[[auth.users]]\nname = 'a'\npassword = 'HASH'\nroles = ['USER']", None, "auth.users[0].roles[0]"),
    ("[[auth.users]]\nname = 'a'\npassword = 's3cret'", None, "auth.users[0].password"),
    // Files that settings name.
    ("auth.users_file = '/nowhere.toml'", None, "/nowhere.toml"),
    ("auth.users_file = 'DIR/users.toml'", None, "user number 1"),
    ("auth.revoked_file = 'DIR/new/'", None, "expected a file"),
    ("auth.revoked_file = 'DIR'", None, "expected a file"),
    ("auth.revoked_file = '/nowhere/revoked'", None, "no such folder"),
    ("auth.revoked_file = 'DIR/users.toml'", None, "this is another file"),
    ("auth.revoked_file = 'DIR/newer'", None, "version 2 of the file"),
    ("auth.revoked_file = 'DIR/torn'", None, "line 2 is no revocation"),
    ("api.keys_file = '/nowhere.toml'", None, "/nowhere.toml"),
    ("api.keys_file = 'DIR/users.toml'", None, "unknown field `users`"),
    ("api.keys_file = 'DIR/keys.toml'", None, "keys[1].name"),
    ("bus.url = 'nats://127.0.0.1'\nbus.token_file = '/nowhere'", None, "bus.token_file"),
    ("bus.url = 'nats://127.0.0.1'\nbus.nkey = 's3cret'", None, "bus.nkey"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = '/nowhere'", None, "bus.control_key_file"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR'", None, "bus.control_key_file"),
    ("bus.url = 'nats://127.0.0.1'\nbus.token_file = 'DIR/private.pem'", None, "bus.token_file"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR/public.pem'", None, "the file holds PEM"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR/jwks.json'", None, "JSON or a public key"),
    ("audit.names = 'hashed'\naudit.names_key = '-----BEGIN PUBLIC KEY-----'", None, "found a public key"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR/empty'", None, "the file is empty"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR/short'", None, "at least 32 characters"),
    ("bus.url = 'nats://127.0.0.1'\nbus.control_key_file = 'DIR/three'", None, "more lines"),
    ("bus.url = 'nats://127.0.0.1'\nbus.ca_file = 'DIR/users.toml'", None, "certificates in PEM"),
    ("bus.url = 'nats://127.0.0.1'\nbus.cert_file = '/nowhere'", None, "expected bus.key_file too"),
    ("bus.url = 'nats://127.0.0.1'\nbus.cert_file = '/nowhere'\nbus.key_file = '/nowhere'", None, "bus.cert_file"),
];

/// A public key that `public_key_file` takes.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// What stands behind a damaged line was written after it.
const TORN: &str = r#"{"herald":"revocations","version":1}
{"id":"01JDEXAMPRE0000000000000AA","user":"a","blo
{"id":"01JDEXAMPRE0000000000000AB","user":"a","block":true,"since_ms":1,"until_ms":2,"by":"key:ops"}
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("empty", "\n");
        folder.write("short", "s3cret");
        let key = |letter: &str| format!("s3cret{}\n", letter.repeat(32));
        folder.write("three", &(key("a") + &key("b") + &key("c")));
        let key = |digit: &str| format!("[[keys]]\nname = 'a'\nsha256 = '{}'\n", digit.repeat(64));
        folder.write("keys.toml", &(key("1") + &key("2")));
        folder.write("newer", "{\"herald\":\"revocations\",\"version\":2}\n");
        folder.write("torn", TORN);
        folder.write("public.pem", PUBLIC);
        folder.write(
            "private.pem",
            "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n",
        );
        folder.write("jwks.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"s3cret\"}]}\n");
        folder.write("users.toml", "[[users]]\nname = 'a'\npassword = 's3cret'\n");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// `herald` with `command` and the file.
    fn launch(&self, command: &str, text: &str, variable: Option<(&str, &str)>) -> Launch {
        let folder = self.0.path().to_str().unwrap();
        self.write("herald.toml", &text.replace("DIR", folder).replace("HASH", HASH));
        let launch = Launch::new(&[command, "--config", &format!("{folder}/herald.toml")])
            .set("HERALD_HTTP__LISTEN", "127.0.0.1:0");
        match variable {
            Some((name, value)) => launch.set(name, value),
            None => launch,
        }
    }
}

#[tokio::test]
async fn what_check_refuses_serve_refuses_with_the_same_words() {
    assert!(REFUSED.len() >= 40);
    let folder = Folder::new();
    for (text, variable, words) in REFUSED {
        let check = folder.launch("check", text, *variable).run().await;
        let serve = folder.launch("serve", text, *variable).run().await;
        assert_eq!(check, serve, "{text} {variable:?}");
        let (code, said) = check;
        assert_eq!(code, Some(EXIT_CONFIG), "{text} {variable:?}: {said}");
        assert!(
            said.contains(words) && !said.contains("s3cret"),
            "{text} {variable:?}: {said}"
        );
    }
}

#[tokio::test]
async fn what_check_warns_of_serve_warns_of_with_the_same_words() {
    let folder = Folder::new();
    let collector = "tracing.endpoint = 'http://127.0.0.1:9'";
    for (text, variable, key) in [
        (
            collector,
            Some(("OTEL_TRACES_SAMPLER", "xray")),
            "OTEL_TRACES_SAMPLER",
        ),
        ("http.page = 'small'", None, "http.page"),
        (
            "http.max_request_bytes = '999KiB'",
            None,
            "http.max_request_bytes",
        ),
    ] {
        let (code, said) = folder.launch("check", text, variable).run().await;
        assert_eq!(code, Some(0), "{said}");
        let warning = said
            .lines()
            .filter_map(|line| line.split_once("warning: "))
            .map(|(_, words)| words)
            .find(|words| words.starts_with(key))
            .unwrap_or_else(|| panic!("no warning of {key} in {said}"));
        let herald = Herald::start("warned", &folder.launch("serve", text, variable)).await;
        let json = serde_json::to_string(&format!("configuration: {warning}")).unwrap();
        assert_eq!(herald.lines_with(&json).len(), 1, "{warning}");
        herald.stop().await;
    }
}
