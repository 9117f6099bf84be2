//! Promises 1, 2, 6 and 9: backends of nine kinds are told of a message in their own form, once,
//! and what they answer is understood as their documents say.

use serde_json::{Value, json};

use crate::support::kannel::Kannel;
use crate::support::payer::Payer;
use crate::support::presets::Means::{Accepted, NotSent, Refused, Trouble, Unknown};
use crate::support::presets::{GSM7, Means, PRESETS, Preset, SECRET, Sample, TO, UCS2, service};
use crate::support::upstream::Request;
use crate::support::world::Options;
use crate::support::{Behaviour, World, wait_until};

fn world() -> World {
    let more: String = PRESETS.iter().map(service).collect();
    let environment = vec![("SECRET", SECRET.to_owned())];
    World::with(Options { more, environment, ..Options::default() })
}

fn order(to: &str, text: &str) -> String {
    json!({ "number": to, "words": text }).to_string()
}

/// The head's first line without the version, and the body, with our names for the message taken
/// out.
fn said(request: &Request) -> String {
    let line = request.line.trim_end_matches(" HTTP/1.1").to_owned();
    let body = String::from_utf8(request.body.clone()).unwrap();
    let whole = if body.is_empty() { line } else { format!("{line} {body}") };
    let named = regex::Regex::new("[0-9a-f]{32}").unwrap();
    let word = if whole.contains("\"id\"") { "KEY" } else { "REFERENCE" };
    named.replace_all(&whole, word).into_owned()
}

#[test]
fn each_backend_is_told_in_its_own_form_and_understood() {
    let world = world();
    for preset in &PRESETS {
        let payer = world.payer_at("POST", &format!("/{}", preset.name));
        let samples = [(&GSM7, preset.gsm7), (&UCS2, preset.ucs2)];
        for (answer, (sample, form)) in preset.answers.iter().zip(samples.iter().cycle()) {
            let case = format!("{}: {} {}", preset.name, answer.0, answer.1);
            check(&world, &payer, preset, (sample, form), answer, &case);
        }
    }
}

fn check(
    world: &World,
    payer: &Payer,
    preset: &Preset,
    (sample, form): (&Sample, &str),
    (status, answer, means): &(u16, &str, Means),
    case: &str,
) {
    let open = format!("/services/{}/open", preset.name);
    world.operator_posts(&open).has_status(200);
    let (order, before) = (order(TO, sample.text), world.upstream.count());
    let ticket = payer.buys(&order);
    world.upstream.behave(Behaviour::status(*status, answer));
    let answered = payer.redeems(&ticket, &order).in_case(case);
    assert_eq!(world.upstream.count(), before + 1, "{case}");
    let request = world.upstream.last();
    let (text, number) = match form.starts_with('{') {
        true => (sample.in_json, TO),
        false => (sample.in_url, "%2B491701234567"),
    };
    let form = form.replace("TEXT", text).replace("NUMBER", number);
    let expected = format!("{}{}", preset.asked, form.replace("SECRET", "s%26cr%3Dt"));
    assert_eq!(said(&request), expected, "{case}");
    assert!(request.header("farebox-reference").is_none(), "{case}");
    assert!(!answered.text().contains(SECRET), "{case}: {answered:?}");
    match means {
        Accepted(id) => {
            let mut expected = json!({ "status": "accepted", "segments": 1 });
            if let Some(id) = id {
                expected["id"] = Value::from(*id);
            }
            assert_eq!((answered.status, answered.json()), (200, expected), "{case}");
            let again = payer.redeems(&ticket, &order);
            assert_eq!((again.json(), again.was_replayed()), (answered.json(), true), "{case}");
        }
        NotSent | Trouble => drop(answered.is(502, "upstream-refused")),
        Refused => {
            answered.is(422, "order-refused");
            payer.tries_to_buy(&order).in_case(case).is(400, "invalid-input");
            let allow = format!("/services/{}/numbers/{TO}/allow", preset.name);
            world.operator_posts(&allow).has_status(200);
        }
        Unknown => drop(answered.is(504, "outcome-unknown")),
    }
    assert_eq!(world.upstream.count(), before + 1, "{case}");
}

/// Before anybody buys: in the backend's own words.
#[test]
fn its_operator_reads_the_backend_s_own_words() {
    let world = world();
    let file = world.folder.path().join("order.json");
    std::fs::write(&file, order(TO, GSM7.text)).unwrap();
    let command = "check --config farebox.toml --send order.json --service";
    let send = |name: &str| world.farebox(&format!("{command} {name}")).1;
    for (preset, status, answer, said) in [
        ("twilio", 201, r#"{"sid":"SM1"}"#, r#"201 Created: {"sid":"SM1"}, which counts as del"#),
        ("kannel", 202, "3: Queued", "202 Accepted: 3: Queued, of which nobody knows"),
        ("twilio", 400, r#"{"code":21610}"#, r#"{"code":21610}, which counts as refused"#),
        ("twilio", 401, r#"{"code":20003}"#, "and as trouble of yours: sales stop after three"),
        ("twilio", 429, r#"{"code":20429}"#, "each buyer would be told so"),
        ("android-sms-gateway", 200, r#"{"state":"Sent"}"#, "its `lookup` finds that request"),
        ("android-sms-gateway", 201, r#"{"state":"Sent"}"#, "is none of `found` and `not_found`"),
    ] {
        world.upstream.behave(Behaviour::status(status, answer));
        let told = send(preset);
        assert!(told.contains(said), "{told}");
    }
    // What was taken just now is there: the path is wrong.
    let backend = "backend = { preset = \"android-sms-gateway\"";
    let with = format!("delivered = {{ status = [404] }}\n{backend}");
    world.write_config("farebox.toml", &[(backend, &with)]);
    world.upstream.behave(Behaviour::status(404, "no such path"));
    let told = send("android-sms-gateway");
    assert!(told.contains("parked ticket would be freed, and served twice"), "{told}");
}

/// What is the operator's to set right closes the sale after three buyers, and nothing else that
/// wasn't sent does.
#[test]
fn what_every_order_would_meet_is_sold_no_more() {
    let world = world();
    for preset in &PRESETS {
        let payer = world.payer_at("POST", &format!("/{}", preset.name));
        let order = order(TO, GSM7.text);
        for (status, answer, means) in preset.answers {
            if !matches!(means, NotSent | Trouble) {
                continue;
            }
            let case = format!("{}: {status} {answer}", preset.name);
            let open = format!("/services/{}/open", preset.name);
            world.operator_posts(&open).has_status(200);
            world.upstream.behave(Behaviour::status(*status, answer));
            for _ in 0..3 {
                let refused = payer.redeems(&payer.buys(&order), &order).in_case(&case);
                refused.is(502, "upstream-refused").charges_nothing();
            }
            let then = payer.tries_to_buy(&order).in_case(&case);
            match means {
                Trouble => drop(then.is(503, "upstream-misconfigured")),
                _ => drop(then.has_status(402)),
            }
        }
    }
}

/// Whatever the backend would read as several numbers, or as a field of its own.
#[test]
fn no_number_is_two_for_any_backend() {
    let world = world();
    for preset in &PRESETS {
        let payer = world.payer_at("POST", &format!("/{}", preset.name));
        for to in [
            "+491701234567,+12025550123",
            "+491701234567 +12025550123",
            "+491701234567+12025550123",
            "+491701234567<+12025550123",
            "+491701234567&to=+12025550123",
            "+491701234567%2B12025550123",
            "+49１701234567",
            "491701234567",
            "@group",
            "#group",
            " +491701234567",
            "",
        ] {
            let refused = payer.tries_to_buy(&order(to, "x"));
            refused.in_case(format!("{} {to}", preset.name)).is(400, "invalid-input");
        }
        for body in [
            r#"{"number":["+491701234567","+12025550123"],"words":"x"}"#,
            r#"{"number":"+491701234567","number":"+12025550123","words":"x"}"#,
            r#"{"number":"+491701234567","words":"x","from":"you"}"#,
            r#"{"number":{"0":"+491701234567"},"words":"x"}"#,
        ] {
            payer.tries_to_buy(body).in_case(body).has_status(400);
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

/// Who bought before the service was told of numbers can't have two of them written to.
#[test]
fn what_was_sold_without_a_mapping_is_said_by_it_only_if_it_is_one_message() {
    let service = "sms = { to = \"phone_number\", text = \"message\" }";
    let environment = vec![("SECRET", SECRET.to_owned())];
    let loose = Options { environment, ..Options::default() };
    let world = World::with(loose);
    world.write_config("farebox.toml", &[("format = \"e164\"\n", "")]);
    world.reloads();
    let payer = world.payer();
    let [one, two] = ["+491701234567", "+491701234567 +12025550123"]
        .map(|to| json!({ "phone_number": to, "message": "x" }).to_string());
    let (first, second) = (payer.buys(&one), payer.buys(&two));
    let mapped = format!(
        "{service}\nbackend = {{ preset = \"kannel\", username = \"u\", password = {{ env = \
         \"SECRET\" }} }}\n\n[service.input]"
    );
    world.write_config("farebox.toml", &[("/send?account=7", "/"), ("\n[service.input]", &mapped)]);
    world.reloads();
    world.upstream.behave(Behaviour::status(202, "0: Accepted for delivery"));
    payer.redeems(&second, &two).has_status(500);
    assert_eq!(world.upstream.count(), 0, "nothing is sent, and the ticket is not spent");
    assert_eq!(payer.redeems(&first, &one).json()["status"], "accepted");
    assert_eq!(world.upstream.count(), 1);
}

#[test]
fn kannel_sends_every_alphabet_as_it_was_written_in_as_many_parts_as_were_priced() {
    let kannel = Kannel::start();
    let prices = tempfile::tempdir().unwrap();
    let table = prices.path().join("prices.csv");
    std::fs::write(&table, "prefix,price\n+49,7\n").unwrap();
    let more = format!(
        r#"
[[service]]
name = "kannel"
method = "POST"
path = "/sms"
ticket = "single-use"
price = {{ table = "{}", per = "segment" }}
upstream = "http://{}"
sms = {{ to = "number", text = "words" }}
backend = {{ preset = "kannel", username = "tester", password = {{ env = "SECRET" }} }}
"#,
        table.display(),
        kannel.sendsms
    );
    let environment = vec![("SECRET", "foobar-of-kannel".to_owned())];
    let world = World::with(Options { more, environment, ..Options::default() });
    world.wait_until_upstream_is("kannel", "ok");
    let payer = world.payer_at("POST", "/sms");
    for (text, segments) in [
        ("Grüße: 5 € [Ñ]".to_owned(), 1),
        ("Привет, мир".to_owned(), 1),
        ("😀 👩‍👩‍👧‍👦 `ok`".to_owned(), 1),
        ("x".repeat(161), 2),
        (format!("{}€", "x".repeat(152)) + &"y".repeat(150), 2),
        ("Ж".repeat(71), 2),
        ("Я".repeat(134) + "!", 3),
    ] {
        let order = order(TO, &text);
        let challenge = payer.asks(&order);
        assert_eq!(challenge.response.json()["priceSats"], 7 * segments, "{text}");
        let before = kannel.sent().len();
        let answered = payer.redeems(&payer.pays(&challenge), &order);
        let expected = json!({ "status": "accepted", "segments": segments });
        assert_eq!(answered.json(), expected, "{text}");
        let parts = before + usize::try_from(segments).unwrap();
        let what = format!("{segments} part(s) at the centre of {text}");
        wait_until(&what, || kannel.sent().len() >= parts);
        let sent = kannel.sent();
        assert_eq!(sent.len(), parts, "{text}");
        let joined: String = sent[before..].iter().map(|line| words(line)).collect();
        assert_eq!(joined, text);
    }
}

/// The text of a message as the centre prints it, behind what says which part it is: as it is, or
/// written as in a URL, and in UTF-16 where it was sent so.
fn words(line: &str) -> String {
    let (_, message) = line.split_once(TO).unwrap();
    let message = message.trim_start().strip_suffix('>').unwrap();
    let message = match message.strip_prefix("udh ") {
        Some(with_part) => with_part.split_once(' ').unwrap().1,
        None => message,
    };
    let (kind, words) = message.split_once(' ').unwrap();
    let decoded = || percent_decoded(&words.replace('+', "%20"));
    match kind {
        "text" => words.to_owned(),
        "data" if !decoded().iter().any(u8::is_ascii_control) => {
            String::from_utf8(decoded()).unwrap()
        }
        "ucs-2" | "data" => {
            let units = decoded();
            let units = units.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16(&units.collect::<Vec<u16>>()).unwrap()
        }
        other => panic!("{other}: {line}"),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}
