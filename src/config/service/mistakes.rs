//! Mistakes in a service that sells text messages, and what is said of them.

use crate::config::Config;

const CONFIG: &str = r#"
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
path = "/send"
ticket = "single-use"
price_sat = 100
upstream = "http://127.0.0.1:8080"
sms = { to = "to", text = "text" }
backend = { preset = "gateway.toml", user = "u" }
"#;

const PRESET: &str = r#"
credentials = ["user"]
path = "/send"
query = { to = "{to}", text = "{text}", user = "{user}" }
"#;

/// What is changed in the config, the line of the fault, and words that are said of it.
const MISTAKES: &[(&str, &str, u32, &str)] = &[
    ("price_sat = 100", "price = 100", 17, "expected a table, such as { table = \"prices.csv\" }"),
    ("price_sat = 100", "price = { per = \"segment\" }", 17, "`price` lacks `table`: the CSV"),
    ("user = \"u\"", "user = \"u\", answer = \"Okay\"", 20, "expected a table: { text"),
    ("user = \"u\"", "user = \"u\", report = true", 20, "did you mean `reports`?"),
    ("user = \"u\"", "user = 3", 20, "`backend.user`: expected a text, { file"),
    ("user = \"u\"", "usr = \"u\"", 20, "which is user; did you mean `user`?"),
    ("user = \"u\"", "user = \"u\", reports = {}", 20, "expected true, false, or an address"),
    ("user = \"u\"", "user = \"u\", reports = true", 20, "no `[reports]` in what `preset`"),
    ("user = \"u\"", "user = \"u\", method = \"POTS\"", 20, "`method` is one of"),
    ("\"gateway.toml\"", "\"kanel\"", 20, "did you mean \"kannel\"?"),
    ("{ preset = \"gateway.toml\", user = \"u\" }", "\"kannel\"", 20, "expected a table, such"),
    (
        "preset = \"gateway.toml\", user = \"u\"",
        "query = { to = \"{to}\", text = \"{text}\" }, reports = true",
        20,
        "put the mapping into a file of its own",
    ),
    ("ticket = \"single-use\"", "", 12, "this [[service]] lacks `ticket`: \"single-use\" (a pay"),
    ("to = \"to\", ", "", 19, "`sms` lacks `to`: the member"),
    ("\"text\" }", "\"text\", refuse = [\"(a\"] }", 19, "`(a` is not a regular expression: unclos"),
    (
        "\"text\" }",
        "\"text\", refuse = \"a\" }",
        19,
        "`sms.refuse`: invalid type: a text, expected a",
    ),
    ("{ to = \"to\", text = \"text\" }", "\"to\"", 19, "expected a table: { to"),
    ("[[service]]", "[service]", 12, "write `[[service]]`"),
    ("price_sat = 100", "price_sat = 100\nstrict = true", 18, "`strict` belongs to [service.sms]"),
    ("\"text\" }", "\"text\", refused = [] }", 19, "`refused` belongs to [[service]]"),
    ("user = \"u\"", "user = \"u\", to = \"x\"", 20, "{to} is the message's own"),
    ("user = \"u\"", "user = { evn = \"U\" }", 20, "unknown field `evn`, expected `file` or `env`"),
    (
        "user = \"u\"",
        "user = { env = \"$U\" }",
        20,
        "the name of an environment variable belongs here",
    ),
    ("preset = ", "presets = ", 20, "`backend.presets`: no key of [service.backend]"),
    (":8080\"", ":8080/send\"", 18, "its mapping adds the path `/send`"),
    (":8080\"", ":8080\"\ndelivered = { status = 200 }", 19, "expected a list"),
];

/// What is said of a config and the preset that it names.
fn said(config: &str, preset: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.toml"), preset).unwrap();
    let error = Config::parse(&folder.path().join("farebox.toml"), config).err()?;
    let folder = format!("{}/", folder.path().display());
    Some(error.to_string().replace(&folder, ""))
}

fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn a_mistake_in_a_config_is_said_with_its_place_and_what_to_do() {
    assert_eq!(said(CONFIG, PRESET), None);
    for (from, to, line, words) in MISTAKES {
        let said = said(&changed(CONFIG, from, to), PRESET).unwrap_or_default();
        let place = format!("farebox.toml:{line}: ");
        assert!(said.starts_with(&place) && said.contains(words), "{from} -> {to}: {said}");
        assert!(!said.contains("struct ") && !said.contains("sequence"), "{said}");
    }
}

#[test]
fn a_mistake_in_a_preset_is_said_with_its_place_in_it() {
    for (from, to, line, words) in [
        ("path =", "delivrd = { status = [200] }\npath =", 3, "did you mean `delivered`?"),
        ("path =", "method = \"POTS\"\npath =", 3, "`method` is one of"),
        ("path =", "id = \"/id\"\npath =", 3, "such as { json = \"/data/id\" }"),
        ("path =", "id = { body = \"(a\" }\npath =", 3, "not a regular expression: unclosed group"),
        ("{user}", "{users}", 4, "{user}"),
        ("{user}", "s3cr3t{", 4, "a brace without its other half"),
        (
            "query =",
            "[inbound]\nfrom = { json = \"a\" }\ntext = { form = \"b\" }\n[query]\n#",
            5,
            "or { json = \"/data/from\" }",
        ),
        (
            "query =",
            "[reports]\nkey = { json = \"a\" }\nstate = { form = \"b\" }\n[query]\n#",
            5,
            "`a` is no JSON pointer",
        ),
    ] {
        let said = said(CONFIG, &changed(PRESET, from, to)).unwrap_or_default();
        let place = format!("gateway.toml:{line}: ");
        assert!(said.starts_with(&place) && said.contains(words), "{from} -> {to}: {said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let own =
        said(CONFIG, &changed(PRESET, "[\"user\"]", "[\"user\", \"to\"]")).unwrap_or_default();
    assert!(own.starts_with("gateway.toml") && own.contains("can't be a credential"), "{own}");
    let its_own = changed(CONFIG, "upstream = \"http://127.0.0.1:8080\"", "");
    let twice = changed(PRESET, "path =", "upstream = \"http://a/send\"\npath =");
    let twice = said(&its_own, &twice).unwrap_or_default();
    assert!(twice.starts_with("gateway.toml:3: ") && twice.contains("adds the path"), "{twice}");
    let said = said(CONFIG, &PRESET.replace("credentials = [\"user\"]", "")).unwrap_or_default();
    let words = "{user} stands in gateway.toml, which has to list it in its `credentials`";
    assert!(said.starts_with("farebox.toml:20: ") && said.contains(words), "{said}");
}
