//! Promise 6: what browsers are shown keeps what they keep: pages with a strict policy, upstreams'
//! documents as strangers'; programs get what they got.

use crate::support::World;
use crate::support::http::{self, Response};
use crate::support::upstream::Behaviour;
use crate::support::world::{Options, PATH, SMS};

const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

const QUERY: &str = r#"
[[service]]
name = "by-query"
method = "GET"
path = "/by-query"
ticket = "single-use"
price_sat = 5
upstream = "http://UPSTREAM/q"
input = { type = "object", required = ["q"], properties = { q = { type = "string" } } }

[[service]]
name = "own-site"
method = "GET"
path = "/site"
ticket = "free"
trusted_html = true
upstream = "http://UPSTREAM/site"
"#;

fn world() -> World {
    World::with(Options { more: QUERY.into(), ..Options::default() })
}

fn open(world: &World, target: &str) -> Response {
    http::send(world.address, "GET", target, &[HTML], b"")
}

fn is_page(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn a_navigation_to_a_paid_path_is_shown_a_page() {
    let world = world();
    let sent_on = open(&world, PATH);
    assert_eq!(
        (sent_on.status, sent_on.header("location")),
        (303, Some("../../services/send-sms"))
    );
    is_page(&open(&world, "/services/send-sms"), 200);
    let challenge = open(&world, "/by-query?q=%22%3E%3Cscript%3E");
    is_page(&challenge, 402);
    assert!(challenge.header("www-authenticate").unwrap().starts_with("L402 macaroon="));
    assert!(challenge.header("link").is_some());
    let page = challenge.text();
    assert!(page.contains("<svg ") && page.contains("lightning:lnbcrt"), "{page}");
    assert!(!page.contains("\"><script>"), "{page}");
    is_page(&open(&world, "/by-query"), 400);
    is_page(&open(&world, "/nowhere"), 404);
    is_page(&open(&world, "/services/nothing"), 404);
    is_page(&open(&world, "/free"), 405);
}

#[test]
fn a_program_gets_what_it_got() {
    let world = world();
    let get =
        |headers: &[(&str, &str)], path: &str| http::send(world.address, "GET", path, headers, b"");
    for accept in ["*/*", "application/json", "text/html;q=0, */*"] {
        let accept = [("Accept", accept)];
        get(&accept, PATH).is(405, "method-not-allowed");
        get(&accept, "/nowhere").is(404, "not-found");
        let challenge = get(&accept, "/by-query?q=1");
        assert_eq!(challenge.header("content-type"), Some("application/json"));
        challenge.asks_to_pay("payment-required");
    }
    let with_ticket = [HTML, ("Authorization", "L402 nonsense")];
    get(&with_ticket, "/by-query?q=1").asks_to_pay("ticket-unreadable");
    let posted = http::send(world.address, "POST", PATH, &[HTML], b"");
    posted.is(415, "unsupported-media-type");
    // At the gate's own paths too.
    http::send(world.address, "POST", "/", &[HTML], b"").is(405, "method-not-allowed");
}

#[test]
fn an_upstream_s_documents_are_sandboxed() {
    let world = world();
    let document = |headers| Behaviour::Answer { status: 200, headers, body: b"<p>x</p>".to_vec() };
    let policies = |answer: &Response| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let all = answer.headers.iter().filter(|(name, value)| {
            name.eq_ignore_ascii_case("content-security-policy") && value == "sandbox"
        });
        all.count()
    };
    world.upstream.behave(document("Content-Type: text/html\r\nContent-Security-Policy: x\r\n"));
    let free = http::get(world.address, "/status");
    assert_eq!((policies(&free), free.header("x-content-type-options")), (1, Some("nosniff")));
    assert_eq!(policies(&http::get(world.address, "/site")), 0, "the operator's own");
    let (payer, ticket) = (world.payer(), world.payer().buys(SMS));
    assert_eq!(policies(&payer.redeems(&ticket, SMS)), 1);
    assert_eq!(policies(&payer.redeems(&ticket, SMS)), 1, "the stored answer");
    world.upstream.behave(document("Clear-Site-Data: \"storage\"\r\nContent-Type: text/html\r\n"));
    assert_eq!(http::get(world.address, "/status").header("clear-site-data"), None);
    assert!(http::get(world.address, "/site").header("clear-site-data").is_some());
    world.upstream.behave(document(""));
    assert_eq!(policies(&http::get(world.address, "/status")), 1, "of no type");
    world.upstream.behave(document("Content-Type: text/plain\r\n"));
    let plain = http::get(world.address, "/status");
    assert_eq!((policies(&plain), plain.header("x-content-type-options")), (0, Some("nosniff")));
    let off =
        World::with(Options { more: "[pages]\nenabled = false\n".into(), ..Options::default() });
    off.upstream.behave(document("Content-Type: text/html\r\n"));
    assert_eq!(policies(&http::get(off.address, "/status")), 0, "nothing to keep");
}

#[test]
fn the_operator_s_files_are_served_and_nothing_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("static");
    std::fs::create_dir_all(files.join(".well-known")).unwrap();
    std::fs::create_dir_all(files.join("below")).unwrap();
    std::fs::write(folder.path().join("outside.txt"), "secret").unwrap();
    std::fs::write(files.join("below/page.html"), "<p>page</p>").unwrap();
    std::fs::write(files.join(".env"), "secret").unwrap();
    std::fs::write(files.join("robots.txt"), "theirs").unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside.txt"), files.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("below/page.html", files.join("inside.html")).unwrap();
    let more = format!("[pages]\nstatic_dir = \"{}\"\n", files.display());
    let world = World::with(Options { more, ..Options::default() });
    let get = |path: &str| http::get(world.address, path);
    assert_eq!(get("/.well-known/402index-verify.txt").status, 404);
    std::fs::write(files.join(".well-known/402index-verify.txt"), "proof").unwrap();
    let proof = get("/.well-known/402index-verify.txt");
    assert_eq!(
        (proof.text().as_str(), proof.header("content-type")),
        ("proof", Some("text/plain; charset=utf-8"))
    );
    let page = get("/below/page.html");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(get("/inside.html").text(), "<p>page</p>");
    assert_ne!(get("/robots.txt").text(), "theirs", "ours goes first");
    for hidden in
        ["/link.txt", "/.env", "/../outside.txt", "/below/../.env", "/below", "/%2eenv", "//.env"]
    {
        let answer = get(hidden);
        assert!(!answer.text().contains("secret") && answer.status >= 400, "{hidden}: {answer:?}");
    }
    http::send(world.address, "POST", "/below/page.html", &[], b"").is(404, "not-found");
}

#[test]
fn only_invoices_become_pictures() {
    let world = World::new();
    let draw = |body: &str| http::send(world.address, "POST", "/l402/qr", &[], body.as_bytes());
    let challenge = world.payer().asks(SMS);
    let picture = draw(&challenge.invoice);
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));
    assert!(picture.header("content-security-policy").unwrap().contains("sandbox"));
    for bad in ["<script>", "", &"l".repeat(3000), "lnbc é"] {
        assert_eq!(draw(bad).status, 400, "{bad}");
    }
}
