use super::*;

const SMALLEST: &str = r#"
[listen]
address = "127.0.0.1:8402"
plain_http = true

[lnd]
address = "127.0.0.1:10009"
certificate = "tls.cert"
macaroon = "farebox.macaroon"
network = "regtest"

[[service]]
name = "send-sms"
method = "POST"
path = "/api/l402/send-sms"
ticket = "single-use"
price_sat = 100
upstream = "http://127.0.0.1:8080/send"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/farebox/farebox.toml"), text)
}

fn fault(text: &str) -> String {
    parse(text).err().map_or_else(|| panic!("accepted:\n{text}"), |error| error.to_string())
}

fn changed(from: &str, to: &str) -> String {
    assert!(SMALLEST.contains(from), "{from}");
    SMALLEST.replace(from, to)
}

#[test]
fn the_smallest_file_works_and_has_the_documented_defaults() {
    let config = parse(SMALLEST).unwrap();
    let default_ledger = "/var/lib/farebox/ledger.db";
    assert!(
        matches!(&config.ledger, LedgerPlace::Sqlite(path) if path == Path::new(default_ledger))
    );
    assert_eq!(config.lnd.certificate, Path::new("/etc/farebox/tls.cert"));
    assert_eq!(config.ops.address.to_string(), "127.0.0.1:9402");
    assert_eq!(config.invoice_expiry.as_secs(), 600);
    assert_eq!(config.tickets.lifetime.as_secs(), 30 * 86_400);
    assert_eq!(
        (config.limits.unpaid_per_client, config.limits.unpaid_total, config.limits.body),
        (30, 10_000, 65_536)
    );
    assert_eq!(config.services[0].backend.timeout.as_secs(), 10);
}

#[test]
fn the_example_file_is_a_valid_config() {
    let example = include_str!("../../config.example.toml");
    if let Err(error) = parse(example) {
        // The example reads a secret from the environment, which the test does not have.
        assert!(error.to_string().contains("SMS_BACKEND_TOKEN"), "{error}");
    }
}

#[test]
fn a_mistyped_key_is_refused_with_its_line_and_a_suggestion() {
    let said = fault(&changed("price_sat = 100", "price_sats = 100"));
    assert!(said.starts_with("/etc/farebox/farebox.toml:17: "), "{said}");
    assert!(said.contains("`price_sats`; did you mean `price_sat`? Expected one of"), "{said}");
    let said = fault(&changed("[lnd]", "[lnds]"));
    assert!(said.contains("did you mean `lnd`?"), "{said}");
    let said = fault(&changed("single-use", "singleuse"));
    assert!(said.contains("did you mean `single-use`?"), "{said}");
}

#[test]
fn a_value_of_another_kind_is_named_by_its_key_and_line() {
    let number = "invalid type: a text, expected a whole number";
    let text = "invalid type: a number, expected a text in quotes";
    for (from, to, line, words) in [
        ("price_sat = 100", "price_sat = \"100\"", 17, format!("`price_sat`: {number}")),
        ("true", "3", 4, "`listen.plain_http`: invalid type".to_owned()),
        ("\"tls.cert\"", "3", 8, format!("`lnd.certificate`: {text}")),
        (
            "price_sat = 100",
            "price_sat = 100\nsms = { to = \"a\", text = \"b\", per_number = 3 }",
            18,
            format!("`sms.per_number`: {text}"),
        ),
        (
            "8080/send\"",
            "8080/send\"\n[service.sms]\nto = \"a\"\ntext = \"b\"\nmax_segments = \"two\"",
            22,
            format!("`sms.max_segments`: {number}"),
        ),
        (
            "price_sat = 100",
            "price_sat = 100\nsms = { to = \"a\", text = \"b\", per_day = { all = \"x\" } }",
            18,
            "`sms.per_day`: expected a number such as 10000".to_owned(),
        ),
        // A number may be a secret, too.
        (
            "price_sat = 100",
            "price_sat = 100\nupstream_headers = { X = 123456 }",
            18,
            "`upstream_headers.X`: invalid type: a number, expected a text, {".to_owned(),
        ),
        ("\"single-use\"", "\"once\"", 16, "`ticket`: unknown variant `once`".to_owned()),
    ] {
        let said = fault(&changed(from, to));
        let expected = format!("/etc/farebox/farebox.toml:{line}: {words}");
        assert!(said.starts_with(&expected), "{from} -> {to}: {said}");
    }
}

#[test]
fn what_is_missing_or_out_of_range_is_named_with_its_line() {
    for (from, to, line, words) in [
        ("plain_http = true", "", 3, "`certificate` and `key`"),
        ("plain_http = true", "certificate = \"a\"", 3, "`certificate` and `key`"),
        ("plain_http = true", "plain_http = true\n[log]\notlp = \"collector\"", 6, "`log.otlp`"),
        ("price_sat = 100", "price_sat = 0", 17, "at least 1"),
        ("price_sat = 100", "", 13, "needs `price_sat`"),
        ("\"single-use\"", "\"pass\"", 13, "needs `pass_time`"),
        (
            "price_sat = 100",
            "price_sat = 100\npass_time = \"1h\"",
            18,
            "is for `ticket = \"pass\"`",
        ),
        ("\"regtest\"", "\"main\"", 10, "`lnd.network`"),
        ("\"127.0.0.1:8402\"", "\"localhost\"", 3, "`listen.address`"),
        ("\"127.0.0.1:10009\"", "\"127.0.0.1\"", 7, "`lnd.address`"),
        ("\"send-sms\"", "\"send_sms\"", 13, "`name`"),
        ("\"POST\"", "\"post\"", 14, "`method`"),
        ("\"/api/l402/send-sms\"", "\"/api//send\"", 15, "`path`"),
        ("\"/api/l402/send-sms\"", "\"/api/%73end\"", 15, "`path`"),
        ("\"/api/l402/send-sms\"", "\"/api/../send\"", 15, "`path`"),
        ("\"/api/l402/send-sms\"", "\"api\"", 15, "`path`"),
        ("http://127.0.0.1:8080/send", "ftp://127.0.0.1/send", 18, "http://"),
        ("http://127.0.0.1:8080/send", "http://user:pass@127.0.0.1/send", 18, "password"),
        ("price_sat = 100", "price_sat = 100\ntimeout = \"10\"", 18, "duration"),
        (
            "price_sat = 100",
            "price_sat = 100\nforward_headers = [\"Range\"]",
            18,
            "can't be forwarded",
        ),
        (
            "price_sat = 100",
            "price_sat = 100\ninput = { type = \"string\", format = \"e146\" }",
            18,
            "JSON Schema",
        ),
        ("price_sat = 100", "price_sat = 100\ninput = \"nowhere.json\"", 18, "nowhere.json"),
    ] {
        let said = fault(&changed(from, to));
        assert!(
            said.starts_with(&format!("/etc/farebox/farebox.toml:{line}: ")),
            "{from} -> {to}: {said}"
        );
        assert!(said.contains(words), "{from} -> {to}: {said}");
    }
}

#[test]
fn what_is_wrong_is_said_of_free_services_too() {
    let free = changed("\"single-use\"\nprice_sat = 100", "\"free\"");
    let with =
        |line: &str| free.replace("ticket = \"free\"", &format!("ticket = \"free\"\n{line}"));
    assert!(parse(&free).is_ok());
    let said = fault(&with("forward_headers = [\"Authorization\"]"));
    assert!(said.contains(":17: ") && said.contains("can't be forwarded"), "{said}");
    let said = fault(&with(&format!("memo = \"{}\"", "a".repeat(640))));
    assert!(said.contains(":17: ") && said.contains("`memo` is longer"), "{said}");
}

#[test]
fn two_services_must_differ_in_name_and_route() {
    let twice = format!(
        "{SMALLEST}{}",
        SMALLEST.split_once("[[service]]").map(|(_, s)| format!("[[service]]{s}")).unwrap()
    );
    assert!(fault(&twice).contains("two services are named `send-sms`"));
    let renamed = twice.replacen("\"send-sms\"", "\"other\"", 1);
    assert!(fault(&renamed).contains("two services match POST /api/l402/send-sms"));
    assert!(fault(SMALLEST.split_once("[[service]]").unwrap().0).contains("no [[service]]"));
}

#[test]
fn secrets_come_from_files_or_the_environment_and_never_into_a_message() {
    let with = |line: &str| changed("price_sat = 100", &format!("price_sat = 100\n{line}"));
    let said = fault(&with(
        "upstream_headers = { Authorization = { env = \"FAREBOX_NO_SUCH_VARIABLE\" } }",
    ));
    assert!(
        said.contains("`FAREBOX_NO_SUCH_VARIABLE` is not set") && said.contains(":18:"),
        "{said}"
    );
    let said = fault(&with("upstream_headers = { Authorization = { fil = \"x\" } }"));
    assert!(said.contains("did you mean `file`?"), "{said}");
    let said = fault(&format!("{SMALLEST}\n[tickets]\nmaster_secret = \"deadbeefsecret\"\n"));
    assert!(said.contains("never written into the config") && !said.contains("deadbeef"), "{said}");
    for (line, belongs) in [
        ("upstream_headers = \"Bearer deadbeefsecret\"", "expected a table"),
        (
            "upstream_headers = { A = { file = \"deadbeefsecretdeadbeefsecret012345AB\" } }",
            "a file",
        ),
        ("upstream_headers = { A = { env = \"Bearer deadbeefsecret\" } }", "a variable"),
        ("upstream_ca = \"-----BEGIN CERTIFICATE-----deadbeefsecret\"", "a file"),
    ] {
        let said = fault(&with(line));
        assert!(said.contains(":18:") && !said.contains("deadbeef"), "{line}: {said}");
        assert!(said.contains(belongs) || said.contains("belongs here"), "{line}: {said}");
    }
    let macaroon = format!("macaroon = \"{}\"", "0201036c6e64deadbeef".repeat(3));
    let said = fault(&changed("macaroon = \"farebox.macaroon\"", &macaroon));
    assert!(said.contains("belongs here") && !said.contains("deadbeef"), "{said}");
    let plain = parse(&with("upstream_headers = { X-Api = \"a\" }")).unwrap();
    assert_eq!(plain.services[0].backend.headers[0].1, "a");
}

#[test]
fn what_pages_say_is_checked() {
    let with = |lines: &str| format!("{SMALLEST}\n[pages]\n{lines}\n");
    let pages = parse(SMALLEST).unwrap().pages;
    assert!(pages.is_enabled && pages.title.is_none() && pages.static_dir.is_none());
    let good =
        "title = \"A\"\ncontact = \"mailto:a@b.c\"\nterms = \"https://b.c/t\"\naccent = \"#0a7\"";
    assert_eq!(
        parse(&with(good)).unwrap().pages.accent.map(|accent| accent.0),
        Some([0, 0xaa, 0x77])
    );
    for (line, words) in [
        ("contact = \"a@b.c\"", "begins with mailto:"),
        ("contact = \"javascript:alert(1)\"", "begins with mailto:"),
        ("terms = \"https:// b\"", "begins with https://"),
        ("accent = \"green\"", "a colour such as"),
        ("accent = \"#0a7}x{\"", "a colour such as"),
        ("logo = \"nowhere.svg\"", "nowhere.svg"),
        ("logo = \"logo.bmp\"", "a picture that ends in"),
        ("static_dir = \"nowhere\"", "nowhere"),
        ("static_dir = \"/etc/hostname\"", "no folder"),
        ("wallet = { title = \"W\", url = \"https://w.example/\" }", "{invoice}"),
        ("wallet = { title = \"W\", url = \"javascript:{invoice}\" }", "{invoice}"),
        ("titel = \"x\"", "did you mean `title`?"),
    ] {
        let said = fault(&with(line));
        assert!(said.contains(":21: ") && said.contains(words), "{line}: {said}");
    }
}

#[test]
fn what_descriptions_say_of_a_service_is_checked() {
    let with = |line: &str| changed("price_sat = 100", &format!("price_sat = 100\n{line}"));
    let input = "input = { type = \"object\", required = [\"a\"], properties = { a = { type = \
                 \"string\" } } }";
    let offer = |line: &str| {
        let config = parse(&with(&format!("{line}\n{input}"))).unwrap();
        config.services[0].offer.as_ref().unwrap().example.clone()
    };
    assert_eq!(offer("example = { a = \"b\" }"), Some(serde_json::json!({"a": "b"})));
    assert!(offer("").is_some(), "one is made up");
    for (line, words) in [
        (format!("example = {{ a = 5 }}\n{input}"), "not a request that this service sells"),
        ("trusted_html = true".to_owned(), "for free services"),
        ("pobe = true".to_owned(), "did you mean `probe`?"),
    ] {
        let said = fault(&with(&line));
        assert!(said.contains(":18: ") && said.contains(words), "{line}: {said}");
    }
    let free = changed("\"single-use\"\nprice_sat = 100", "\"free\"\nprobe = true");
    assert!(fault(&free).contains("for paid services"));
    let pass = changed("\"single-use\"", "\"pass\"\npass_time = \"1h\"\nprobe = true");
    assert!(fault(&pass).contains("a pass that is shown to all"));
    for own in ["/services/x", "/l402/status", "/l402/", "/assets/x", "/.well-known/l402.json"] {
        let said = fault(&changed("/api/l402/send-sms", own));
        assert!(said.contains(":15: ") && said.contains("Farebox's own"), "{own}: {said}");
    }
    for yielding in ["/", "/openapi.json", "/llms.txt", "/.well-known/other"] {
        assert!(parse(&changed("/api/l402/send-sms", yielding)).is_ok(), "{yielding}");
    }
}

#[test]
fn the_public_address_may_have_a_path() {
    let with = |url: &str| {
        changed("plain_http = true", &format!("plain_http = true\npublic_url = \"{url}\""))
    };
    let read = |url: &str| parse(&with(url)).unwrap().listen.public_url.unwrap();
    assert_eq!(read("https://example.com/sms/"), "https://example.com/sms");
    assert_eq!(read("https://example.com"), "https://example.com");
    for bad in [
        "example.com",
        "https://example.com/a?b",
        "https://example.com/a b",
        "https://example.com//a",
        "https://example.com/../a",
        "https://example.com/'x'",
    ] {
        assert!(fault(&with(bad)).contains("`public_url`"), "{bad}");
    }
}

#[test]
fn what_is_demanded_of_text_messages_is_checked() {
    let closed = "additionalProperties = false";
    let with = |closed: &str, sms: &str| {
        let input = format!(
            "input = {{ type = \"object\", {closed}, properties = {{ to = {{}}, text = {{ type = \
             \"string\" }}, n = {{ type = \"integer\" }} }} }}"
        );
        changed("price_sat = 100", &format!("price_sat = 100\n{input}\nsms = {{ {sms} }}"))
    };
    let members = "to = \"to\", text = \"text\"";
    let config = parse(&with(closed, members)).unwrap();
    let example = config.services[0].offer.as_ref().unwrap().example.clone().unwrap();
    assert_eq!(example["to"], "+1234567890", "one is made up that is sold");
    for (sms, words) in [
        ("to = \"t\", text = \"text\"", "`sms.to` names `t`, which isn't among"),
        ("to = \"to\", text = \"n\"", "which has another type than \"string\""),
        ("to = \"text\", text = \"text\"", "one name for `to` and `text`"),
        (&format!("{members}, suffix = \"\\u0000\""), "a control character"),
        (&format!("{members}, suffix = \"’\", encoding = \"gsm7\""), "isn't in that alphabet"),
        (&format!("{members}, suffix = \"{}\"", "a".repeat(160)), "lets no text pass"),
        (&format!("{members}, refuse = [\"\"]"), "lets no text pass"),
        (&format!("{members}, refuse = [\"(\"]"), "`sms.refuse`: `(` is not a regular"),
        (&format!("{members}, max_segments = 11"), "between 1 and 10"),
        (&format!("{members}, encoding = \"ucs2\""), "unknown variant `ucs2`, expected `gsm7`"),
    ] {
        let said = fault(&with(closed, sms));
        assert!(said.contains(":19: ") && said.contains(words), "{sms}: {said}");
    }
    let said = fault(&with("minProperties = 1", members));
    assert!(said.contains("needs an `input` with `additionalProperties = false`"), "{said}");
}
