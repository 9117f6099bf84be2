//! Promise 9: pages, OpenAPI, manifests and llms.txt say one thing, and it is what the sale does.

use serde_json::Value;

use crate::support::World;
use crate::support::http::{self, Response};
use crate::support::world::{Options, SMS};

const MORE: &str = r#"
[[service]]
name = "weather"
title = "Weather & <wind>"
about = "Tomorrow's weather."
method = "GET"
path = "/weather"
ticket = "single-use"
price_msat = 2500
upstream = "http://UPSTREAM/w"
input = { type = "object", required = ["city"], properties = { city = { type = "string" } } }

[[service]]
name = "day-pass"
title = "A day"
method = "POST"
path = "/day"
ticket = "pass"
pass_time = "24h"
price_sat = 7
upstream = "http://UPSTREAM/d"

[[service]]
name = "secret-one"
method = "GET"
path = "/secret"
hidden = true
ticket = "single-use"
price_sat = 3
upstream = "http://UPSTREAM/s"

[[service]]
name = "other-host-one"
method = "GET"
path = "/elsewhere"
host = "other.example.com"
ticket = "single-use"
price_sat = 1
upstream = "http://UPSTREAM/e"

[pages]
title = "Fjord & SMS"
contact = "mailto:a@example.com"
"#;

const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml");

fn world() -> World {
    World::with(Options { more: MORE.into(), ..Options::default() })
}

/// Name, method, address and price of each service.
type Sold = Vec<(String, String, String, u64)>;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn from_openapi(document: &Value) -> Sold {
    let base = text(&document["servers"][0]["url"]);
    let mut sold = Sold::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Some(name) = operation.get("x-l402-service") else { continue };
            let msat = operation["x-l402-pricing"]["price_msat"].as_u64().unwrap();
            let offer = &operation["x-payment-info"]["offers"][0];
            assert_eq!(offer["amount"], msat.div_ceil(1000).to_string());
            sold.push((text(name), method.to_uppercase(), format!("{base}{path}"), msat));
        }
    }
    sold.sort();
    sold
}

fn from_manifest(manifest: &Value) -> Sold {
    let uri = text(&manifest["provider"]["uri"]);
    let services = manifest["services"].as_array().unwrap().iter().map(|service| {
        let resource = &service["resources"][0];
        let address = format!("{uri}{}", text(&resource["path"]));
        let msat = resource["pricing"]["price_msat"].as_u64().unwrap();
        (text(&service["name"]), text(&resource["method"]), address, msat)
    });
    let mut sold: Sold = services.collect();
    sold.sort();
    sold
}

#[test]
fn none_of_them_says_what_another_denies() {
    let world = world();
    let get = |path: &str| http::get(world.address, path);
    let openapi = get("/openapi.json").json();
    let sold = from_openapi(&openapi);
    let names: Vec<_> = sold.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["day-pass", "send-sms", "weather"]);
    assert_eq!(from_manifest(&get("/.well-known/l402.json").json()), sold);

    let list = get("/.well-known/l402-services").json();
    let (llms, index) = (get("/llms.txt").text(), get("/").text());
    for (name, method, address, msat) in &sold {
        let listed = list["services"].as_array().unwrap().iter();
        let listed = listed.clone().find(|service| service["name"] == **name).unwrap();
        assert_eq!(
            (listed["url"].as_str(), listed["method"].as_str()),
            (Some(address.as_str()), Some(method.as_str()))
        );
        assert_eq!(listed["price_sats"], msat.div_ceil(1000));
        assert!(llms.contains(&format!("- Request: {method} {address}\n")), "{llms}");
        let words = match msat % 1000 {
            0 => format!("{} sat", msat / 1000),
            _ => format!("{msat} msat"),
        };
        assert!(llms.contains(&format!("- Price: {words}.")), "{words} in {llms}");
        assert!(index.contains(&format!("services/{name}\"")), "{index}");
        assert!(index.contains(&format!("<strong>{words}</strong>")), "{index}");
        let page = get(&format!("/services/{name}")).text();
        assert!(page.contains(&format!("<strong>{words}</strong>")), "{page}");
        // What is for sale is sold so.
        let example = openapi["paths"][address.trim_start_matches("http://localhost:8402")]
            [method.to_lowercase()]
        .clone();
        let answer = match method.as_str() {
            "GET" => http::get(world.address, "/weather?city=Oslo"),
            _ if name == "send-sms" => {
                let content = &example["requestBody"]["content"]["application/json"];
                world.payer().tries_to_buy(&content["example"].to_string())
            }
            _ => world.payer_at("POST", "/day").tries_to_buy("{}"),
        };
        assert_eq!(answer.json()["priceMsat"], *msat, "{name}: {answer:?}");
    }
    for secret in ["secret-one", "other-host-one"] {
        for said in [&openapi.to_string(), &list.to_string(), &llms, &index] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    assert_eq!(get("/services/secret-one").status, 200, "for who knows its name");
    assert_eq!(get("/services/other-host-one").status, 404);
    assert!(index.contains("Fjord &#38; SMS") && index.contains("Weather &#38; &#60;wind&#62;"));
}

#[test]
fn every_code_that_a_sale_may_end_with_is_described() {
    let world = World::new();
    let document = http::get(world.address, "/openapi.json").json();
    let responses = &document["paths"]["/api/l402/send-sms"]["post"]["responses"];
    let challenge = world.payer().tries_to_buy(SMS).json();
    let schema = &document["components"]["schemas"]["Challenge"];
    for required in schema["required"].as_array().unwrap() {
        assert!(challenge.get(required.as_str().unwrap()).is_some(), "{required} in {challenge}");
    }
    for (name, _) in challenge.as_object().unwrap() {
        assert!(schema["properties"].get(name).is_some(), "{name} in {schema}");
    }
    for (status, code) in [
        ("400", "invalid-input"),
        ("422", "ticket-for-another-request"),
        ("504", "outcome-unknown"),
    ] {
        let words = text(&responses[status]["description"]);
        assert!(words.contains(code), "{words}");
    }
}

fn tag_of(response: &Response) -> String {
    response.header("etag").unwrap().to_owned()
}

#[test]
fn descriptions_have_tags_and_other_origins_may_read_them() {
    let world = World::new();
    for path in ["/openapi.json", "/llms.txt", "/.well-known/l402.json", "/assets/buy.js"] {
        let first = http::get(world.address, path);
        assert_eq!(first.header("access-control-allow-origin"), Some("*"), "{path}");
        let tag = tag_of(&first);
        let asked =
            |tags: &str| http::send(world.address, "GET", path, &[("If-None-Match", tags)], b"");
        for has_it in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = asked(&has_it);
            assert_eq!((again.status, again.text().len()), (304, 0), "{path} {has_it}");
        }
        assert_eq!(asked("\"other\"").status, 200, "{path}");
        let head = http::send(world.address, "HEAD", path, &[], b"");
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some(first.text().len().to_string().as_str()))
        );
        let posted = http::send(world.address, "POST", path, &[], b"");
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
        let asked_before = http::send(world.address, "OPTIONS", path, &[], b"");
        assert_eq!(asked_before.status, 204, "{path}");
    }
    let gzip = [("Accept-Encoding", "gzip")];
    let short = http::send(world.address, "GET", "/assets/buy.js", &gzip, b"");
    assert_eq!(short.header("content-encoding"), Some("gzip"));
}

#[test]
fn below_a_path_every_address_has_it() {
    let listen = "public_url = \"https://example.com/sms/\"".to_owned();
    let world = World::with(Options { listen, ..Options::default() });
    let base = "https://example.com/sms";
    let get = |path: &str| http::get(world.address, path);
    let document = get("/openapi.json").json();
    assert_eq!(document["servers"][0]["url"], base);
    assert_eq!(document["x-l402-quote-endpoint"], "/sms/l402/quote");
    let manifest = get("/.well-known/l402.json").json();
    let resource = &manifest["services"][0]["resources"][0];
    assert_eq!(resource["path"], "/sms/api/l402/send-sms");
    assert_eq!(resource["quote"], "/sms/l402/quote/send-sms");
    assert_eq!(manifest["quote_endpoint"], "/sms/l402/quote");
    let challenge = world.payer().asks(SMS).response.json();
    assert_eq!(challenge["quoteUrl"], format!("{base}/l402/quote/send-sms"));
    assert!(text(&challenge["next"]).contains(&format!("'{base}/api/l402/send-sms'")));
    for path in ["/", "/services/send-sms", "/l402/tickets"] {
        let page = get(path).text();
        assert!(!page.contains("href=\"/") && !page.contains("src=\"/"), "{page}");
    }
}

#[test]
fn services_at_our_paths_go_first_where_they_may() {
    let more = ["/", "/llms.txt", "/robots.txt"].map(|path| {
        format!(
            "[[service]]\nname = \"own{}\"\nmethod = \"GET\"\npath = \"{path}\"\nticket = \
             \"free\"\nupstream = \"http://UPSTREAM{path}\"\n",
            path.len()
        )
    });
    let world = World::with(Options { more: more.join("\n"), ..Options::default() });
    for path in ["/", "/llms.txt", "/robots.txt"] {
        assert_eq!(http::send(world.address, "GET", path, &[HTML], b"").text(), "Okay", "{path}");
    }
    let page = http::get(world.address, "/services/send-sms").text();
    assert!(!page.contains("class=\"brand\" href"), "there is no index to go back to: {page}");
}

/// Of two at one address, the one that names the host is what is sold there.
#[test]
fn what_another_service_hides_is_not_described() {
    let at = |name: &str, price: u32, host: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nmethod = \"POST\"\npath = \"/h\"\nticket = \
             \"single-use\"\nprice_sat = {price}\nupstream = \"http://UPSTREAM/h\"\n{host}\n"
        )
    };
    let more = at("any-host", 10, "") + &at("hosted", 99, "host = \"localhost\"");
    let world = World::with(Options { more, ..Options::default() });
    let browser = http::send(world.address, "GET", "/h", &[HTML], b"");
    assert_eq!(browser.header("location"), Some("./services/hosted"));
    for (name, status) in [("hosted", 200), ("any-host", 404)] {
        let page = http::get(world.address, &format!("/services/{name}"));
        assert_eq!(page.status, status, "{name}");
        let json = [("Content-Type", "application/json")];
        let path = format!("/l402/quote/{name}");
        let quote = http::send(world.address, "POST", &path, &json, b"{}");
        assert_eq!(quote.status, status, "{name}");
    }
    let sold = from_openapi(&http::get(world.address, "/openapi.json").json());
    assert!(sold.iter().any(|(name, .., msat)| name == "hosted" && *msat == 99_000));
    assert!(!sold.iter().any(|(name, ..)| name == "any-host"), "{sold:?}");
    assert_eq!(world.payer_at("POST", "/h").tries_to_buy("{}").json()["priceSats"], 99);
}

#[test]
fn without_pages_programs_still_read_descriptions() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("robots.txt"), "theirs").unwrap();
    let more = format!("[pages]\nenabled = false\nstatic_dir = \"{}\"\n", folder.path().display());
    let world = World::with(Options { more, ..Options::default() });
    assert_eq!(http::get(world.address, "/robots.txt").text(), "theirs");
    assert_eq!(http::send(world.address, "POST", "/", &[], b"").status, 404);
    for path in ["/", "/services/send-sms", "/assets/buy.js", "/favicon.ico", "/l402/tickets"] {
        let answer = http::send(world.address, "GET", path, &[HTML], b"");
        answer.is(404, "not-found");
    }
    for path in ["/openapi.json", "/llms.txt", "/.well-known/l402-services"] {
        assert_eq!(http::get(world.address, path).status, 200, "{path}");
    }
    let at_paid_path = http::send(world.address, "GET", "/api/l402/send-sms", &[HTML], b"");
    at_paid_path.is(405, "method-not-allowed");
}
