//! Promises 2, 3, 6 and 9: a mapping of the operator's own, what goes wrong in one, and that a
//! change of it has nothing sent twice.

use serde_json::{Value, json};

use crate::support::presets::{PRESETS, SECRET, TO, service};
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

fn world(more: String) -> World {
    let environment = vec![("SECRET", SECRET.to_owned())];
    World::with(Options { more, environment, ..Options::default() })
}

const KEYED: &str = r#"
[[service]]
name = "own"
method = "GET"
path = "/own"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM"
sms = { to = "to", text = "text" }
LINES

[service.backend]
login = "a/b"
token = { env = "SECRET" }
path = "/v1/{login}/send"
json = { to = "{to}", text = "{text}", id = "{key}", token = "{token}", other = "literal-secret" }
"#;

const QUERY: &str = "?to=%2B491701234567&text=x";

/// What the backend makes of a key that it was told elsewhere in its request, nobody knows.
#[test]
fn a_changed_mapping_takes_no_key_for_known() {
    let world = world(KEYED.replace("LINES", "") + "remembered = \"24h\"\n");
    let payer = world.payer_at("GET", "/own");
    let ticket = payer.buys(QUERY);
    world.upstream.behave(Behaviour::status(500, "oops"));
    payer.redeems(&ticket, QUERY).is(504, "outcome-unknown");
    let tries = world.upstream.count();
    assert!(tries > 1, "it is thrown away by its key there, and so tried again");
    world.write_config("farebox.toml", &[("id = \"{key}\"", "ref = \"{key}\"")]);
    world.reloads();
    world.upstream.behave(Behaviour::okay());
    payer.redeems(&ticket, QUERY).is(504, "outcome-unknown");
    assert_eq!(world.upstream.count(), tries);
    world.write_config("farebox.toml", &[("ref = \"{key}\"", "id = \"{key}\"")]);
    world.reloads();
    payer.redeems(&ticket, QUERY).has_status(200);
}

#[test]
fn a_look_up_asks_below_the_account_and_an_unknown_word_in_it_is_refused() {
    let lines = "lookup = { path = \"/v1/{login}/messages/{key}\", final_after = \"24h\" }";
    let world = world(KEYED.replace("LINES", lines));
    let payer = world.payer_at("GET", "/own");
    let ticket = payer.buys(QUERY);
    world.upstream.behave(Behaviour::status(500, "oops"));
    payer.redeems(&ticket, QUERY).is(504, "outcome-unknown");
    let asked = || {
        let all = world.upstream.requests();
        all.iter().find(|one| one.line.starts_with("GET /v1/a%2Fb/messages/")).cloned()
    };
    wait_until("the question", || asked().is_some());
    assert!(!asked().unwrap().line.contains('{'), "{:?}", asked());
    world.upstream.behave(Behaviour::okay());
    wait_until("the find", || world.row_of(&ticket.payment_hash())["state"] == "delivered");
    world.write_config("wrong.toml", &[("/messages/{key}", "/{nobody}/{key}")]);
    let (_, said) = world.farebox("check --config wrong.toml");
    assert!(said.contains("`{nobody}` is nothing that is known here"), "{said}");
}

#[test]
fn what_the_operator_wrote_into_a_mapping_is_not_told_to_payers() {
    let world = world(KEYED.replace("LINES", ""));
    let payer = world.payer_at("GET", "/own");
    world.upstream.behave(Behaviour::status(400, "no: literal-secret s&cr=t a/b"));
    let refused = payer.redeems(&payer.buys(QUERY), QUERY);
    refused.is(502, "upstream-refused");
    let said = refused.text();
    assert!(!said.contains("literal-secret") && !said.contains(SECRET), "{said}");
}

/// Its status is that of a success; what it says, nobody can read.
#[test]
fn an_answer_that_can_not_be_read_is_no_delivery_where_its_words_decide() {
    let world = world(service(&PRESETS[2]));
    let payer = world.payer_at("POST", "/vonage");
    let order = json!({ "number": TO, "words": "x" }).to_string();
    let ticket = payer.buys(&order);
    let headers = "Content-Encoding: br\r\n";
    let body = br#"{"messages":[{"status":"2"}]}"#.to_vec();
    world.upstream.behave(Behaviour::Answer { status: 200, headers, body });
    payer.redeems(&ticket, &order).is(504, "outcome-unknown");
}

/// A gateway that no preset knows, by a file of the operator's in the form of one.
#[test]
fn an_operator_s_own_file_is_a_preset_like_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let own = r#"
credentials = ["login"]
secrets = ["token"]
optional = ["from"]
path = "/v1/{login}/send"
headers = { X-Token = "{token}", X-Reference = "{reference}" }
json = { to = ["{to}"], from = "{from}", body = "<{text}>", urgent = true, n = 3 }
id = { body = "^OK (.+)" }
delivered = { body = "^OK " }
not_sent = [{ status = [503] }, { body = "^BUSY" }]
account = { path = "/v1/{login}" }
"#;
    std::fs::write(&path, own).unwrap();
    let more = format!(
        r#"
[[service]]
name = "own"
method = "GET"
path = "/own"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM"
sms = {{ to = "to", text = "text" }}

[service.backend]
preset = "{}"
login = "a/b c"
token = {{ env = "SECRET" }}
answer = {{ text = "Okay" }}
"#,
        path.display()
    );
    let world = world(more);
    let (payer, query) = (world.payer_at("GET", "/own"), "?to=%2B491701234567&text=a%22b");
    for (status, answer, means) in [(503, "", 502), (200, "BUSY", 502), (200, "OK 7", 200)] {
        world.upstream.behave(Behaviour::status(status, answer));
        payer.redeems(&payer.buys(query), query).in_case(answer).has_status(means);
    }
    let request = world.upstream.last();
    assert_eq!(request.line, "POST /v1/a%2Fb%20c/send HTTP/1.1");
    let expected = json!({ "to": [TO], "body": "<a\"b>", "urgent": true, "n": 3 });
    assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), expected);
    assert_eq!(request.header("x-token"), Some(SECRET));
    assert_eq!(request.header("x-reference").unwrap().len(), 32);
    assert_eq!(payer.redeems(&payer.buys(query), query).text(), "Okay");

    let checked = || world.farebox("check --config farebox.toml").1;
    let part = "service own: its backend";
    world.upstream.behave(Behaviour::status(200, ""));
    let said = checked();
    assert!(said.contains(&format!("ok       {part} knows the credentials")), "{said}");
    assert_eq!(world.upstream.last().line, "GET /v1/a%2Fb%20c HTTP/1.1");
    world.upstream.behave(Behaviour::status(401, ""));
    let said = checked();
    assert!(said.contains(&format!("FAILED   {part} refuses the credentials")), "{said}");
}

#[test]
fn what_is_missing_or_mistaken_is_named_with_its_line() {
    let more = service(&PRESETS[0]);
    let world = world(more);
    for (old, new, said) in [
        ("preset = \"kannel\"", "preset = \"kanel\"", "`kanel` is none of android-sms-gateway"),
        ("preset = \"kannel\"", "preset = \"none.toml\"", "none.toml: No such file"),
        ("username = \"u s\", ", "", "needs `username`, which the preset asks for"),
        ("username", "user_name", "asks for, which is username, password, from"),
        ("{ env = \"SECRET\" }", "\"secret\"", "`backend.password`: a secret is { file"),
        ("from = \"me\"", "query = { text = \"{txt}\" }", "`{txt}` is nothing that is known"),
        ("from = \"me\"", "query = { text = \"no\" }", "put {text} where your backend"),
        ("from = \"me\"", "query = { to = \"1\" }", "put {to} where your backend"),
        ("from = \"me\"", "remembered = \"1h\"", "`remembered` needs {key}"),
        ("from = \"me\"", "delivered = { status = [200] }", "belongs to the service, above"),
        ("from = \"me\"", "account = { path = \"/x\" }", "belongs into a preset's own file"),
        ("from = \"me\"", "headers = { X-Text = \"{text}\" }", "{text_utf16_hex} can"),
        ("from = \"me\"", "headers = { X-A = \"1\", x-a = \"2\" }", "it stands twice"),
        ("from = \"me\"", "path = \"/a?b=c\"", "has no query, which stands in `query`"),
        (
            "preset = \"kannel\", username",
            "path = \"/x\", form = { to = \"{to}\", t = \"{text}\" }, methd",
            "`backend.methd`: no key of [service.backend], and no credential",
        ),
        ("\"/kannel\"", "\"/kannel\"\nshadow = true", "`shadow` passes requests on as they come"),
        ("/base/\"", "/base/?a=b\"", "is an address without a query"),
        ("sms = { to = \"number\", text = \"words\" }", "", "with [service.sms]"),
        ("\"/kannel\"", "\"/kannel\"\nidempotency = { header = \"K\" }", "put {key} where"),
    ] {
        world.write_config("wrong.toml", &[(old, new)]);
        let (status, output) = world.farebox("check --config wrong.toml");
        assert!(!status.success() && output.contains(said), "{old} -> {new}: {output}");
        assert!(output.contains("wrong.toml:"), "{output}");
    }
}
