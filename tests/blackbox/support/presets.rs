//! What each preset says, and what the answers of its backend mean, by the backends' documents.

use Means::{Accepted, NotSent, Refused, Trouble, Unknown};

/// What the backend's answer comes to.
#[derive(Clone, Copy)]
pub enum Means {
    /// Delivered, with this name for the message, if it has one.
    Accepted(Option<&'static str>),
    NotSent,
    /// Nor will anything be, before the operator has set something right.
    Trouble,
    Refused,
    Unknown,
}

pub struct Preset {
    pub name: &'static str,
    /// What it asks for, beside `SECRET` for its secret.
    pub section: &'static str,
    /// The request line up to what depends on the message, and what has to be in head or query.
    pub asked: &'static str,
    /// Of a message in each alphabet: the body, or the query for one without; in which `TEXT`,
    /// `NUMBER` and `SECRET` stand for these as they are written there.
    pub gsm7: &'static str,
    pub ucs2: &'static str,
    pub answers: &'static [(u16, &'static str, Means)],
}

pub const TO: &str = "+491701234567";

/// A text in one of the alphabets: as it is bought, as it stands in a URL, and in JSON.
pub struct Sample {
    pub text: &'static str,
    pub in_url: &'static str,
    pub in_json: &'static str,
}

pub const GSM7: Sample =
    Sample { text: "a+b &=@é{", in_url: "a%2Bb+%26%3D%40%C3%A9%7B", in_json: "a+b &=@é{" };
pub const UCS2: Sample =
    Sample { text: "Ж😀\"&", in_url: "%D0%96%F0%9F%98%80%22%26", in_json: "Ж😀\\\"&" };

pub const SECRET: &str = "s&cr=t";

/// A service by a preset, named after it, at the world's upstream.
pub fn service(preset: &Preset) -> String {
    let (name, section) = (preset.name, preset.section.replace("SECRET", "{ env = \"SECRET\" }"));
    format!(
        r#"
[[service]]
name = "{name}"
method = "POST"
path = "/{name}"
ticket = "single-use"
price_sat = 10
upstream = "http://UPSTREAM/base/"
sms = {{ to = "number", text = "words" }}
backend = {{ preset = "{name}", {section} }}
"#
    )
}

pub const PRESETS: [Preset; 9] = [
    Preset {
        name: "kannel",
        section: "username = \"u s\", password = SECRET, from = \"me\"",
        asked: "GET /base/cgi-bin/sendsms?",
        gsm7: "charset=UTF-8&from=me&password=SECRET&username=u+s&coding=0&text=TEXT&to=NUMBER",
        ucs2: "charset=UTF-8&from=me&password=SECRET&username=u+s&coding=2&text=TEXT&to=NUMBER",
        answers: &[
            (202, "0: Accepted for delivery", Accepted(None)),
            (202, "3: Queued for later delivery", Unknown),
            (403, "Authorization failed for sendsms", Trouble),
            (403, "Number(s) has/have been denied by white- and/or black-lists.", Refused),
            (403, "Not routable. Do not try again.", Trouble),
            (400, "Empty receiver number not allowed, rejected", NotSent),
            (503, "Temporal failure, try again later.", Unknown),
        ],
    },
    Preset {
        name: "twilio",
        section: "account_sid = \"AC1\", auth_token = SECRET, from = \"+15005550006\"",
        asked: "POST /base/2010-04-01/Accounts/AC1/Messages.json ",
        gsm7: "Body=TEXT&From=%2B15005550006&SmartEncoded=false&To=NUMBER",
        ucs2: "Body=TEXT&From=%2B15005550006&SmartEncoded=false&To=NUMBER",
        answers: &[
            (201, r#"{"sid":"SM1","status":"queued"}"#, Accepted(Some("SM1"))),
            (400, r#"{"code":21606,"message":"not yours"}"#, Trouble),
            (401, r#"{"code":20003}"#, Trouble),
            (400, r#"{"code":21408,"message":"no permission for the region"}"#, Refused),
            (400, r#"{"code":21612,"message":"not reachable"}"#, Refused),
            (400, r#"{"code":21610,"message":"unsubscribed recipient"}"#, Refused),
            (400, r#"{"code":21211,"message":"invalid To"}"#, Refused),
            (400, r#"{"code":21614,"message":"not a mobile number"}"#, Refused),
            (429, r#"{"code":20429}"#, NotSent),
            (500, r#"{"code":20500}"#, Unknown),
        ],
    },
    Preset {
        name: "vonage",
        section: "api_key = \"k\", api_secret = SECRET, from = \"me\"",
        asked: "POST /base/sms/json ",
        gsm7: "api_key=k&api_secret=SECRET&client-ref=REFERENCE&from=me&text=TEXT&to=491701234567\
               &type=text",
        ucs2: "api_key=k&api_secret=SECRET&client-ref=REFERENCE&from=me&text=TEXT&to=491701234567\
               &type=unicode",
        answers: &[
            (
                200,
                r#"{"message-count":"1","messages":[{"status":"0","message-id":"0A"}]}"#,
                Accepted(Some("0A")),
            ),
            (200, r#"{"messages":[{"status":"2","error-text":"Missing to param"}]}"#, NotSent),
            (200, r#"{"messages":[{"status":"4","error-text":"Bad Credentials"}]}"#, Trouble),
            (200, r#"{"messages":[{"status":"0","message-id":"0A"},{"status":"1"}]}"#, Unknown),
            (200, r#"{"messages":[{"status":"7","error-text":"Number barred"}]}"#, Refused),
            (200, r#"{"messages":[{"status":"33"}]}"#, Refused),
            (200, r#"{"messages":[{"status":"0","message-id":"0A"},{"status":"7"}]}"#, Unknown),
            (200, r#"{"messages":[{"status":"5"}]}"#, Unknown),
            (200, r#"{"messages":[]}"#, Unknown),
        ],
    },
    Preset {
        name: "plivo",
        section: "auth_id = \"MA1\", auth_token = SECRET, from = \"me\"",
        asked: "POST /base/v1/Account/MA1/Message/ ",
        gsm7: r#"{"dst":"+491701234567","src":"me","text":"TEXT"}"#,
        ucs2: r#"{"dst":"+491701234567","src":"me","text":"TEXT"}"#,
        answers: &[
            (
                202,
                r#"{"message":"message(s) queued","message_uuid":["u-1"]}"#,
                Accepted(Some("u-1")),
            ),
            (400, r#"{"error":"dst is invalid"}"#, NotSent),
            (200, "{}", Unknown),
        ],
    },
    Preset {
        name: "jasmin",
        section: "username = \"u\", password = SECRET",
        asked: "GET /base/send?",
        gsm7: "password=SECRET&username=u&coding=0&content=TEXT&to=NUMBER",
        ucs2: "password=SECRET&username=u&coding=8&hex-content=0416d83dde0000220026&to=NUMBER",
        answers: &[
            (200, r#"Success "0703-a""#, Accepted(Some("0703-a"))),
            (400, r#"Error "Mandatory argument [to] is not found.""#, NotSent),
            (403, r#"Error "Authentication failure for username:u""#, Trouble),
            (
                400,
                r#"Error "Authorization failed for user [u] (Setting dlr method not authorized).""#,
                Trouble,
            ),
            (412, r#"Error "No route found""#, Refused),
            (500, r#"Error "Cannot send submit_sm, check SMPPClientManagerPB log file""#, Unknown),
            (200, "Error", Unknown),
        ],
    },
    Preset {
        name: "playsms",
        section: "username = \"u\", token = SECRET",
        asked: "GET /base/index.php?",
        gsm7: "app=ws&h=SECRET&nofooter=1&op=pv&u=u&msg=TEXT&to=NUMBER",
        ucs2: "app=ws&h=SECRET&nofooter=1&op=pv&u=u&msg=TEXT&to=NUMBER&unicode=1",
        answers: &[
            (
                200,
                r#"{"data":[{"status":"OK","error":"0","smslog_id":"30"}],"error_string":null}"#,
                Accepted(Some("30")),
            ),
            (200, r#"{"status":"ERR","error":"103"}"#, Trouble),
            (200, r#"{"data":[{"status":"ERR","error":"103"}]}"#, Trouble),
            (200, r#"{"data":[{"status":"OK"},{"status":"ERR"}]}"#, Unknown),
            (200, "<html>", Unknown),
        ],
    },
    Preset {
        name: "android-sms-gateway",
        section: "username = \"u\", password = SECRET",
        asked: "POST /base/messages ",
        gsm7: "{\"id\":\"KEY\",\"phoneNumbers\":[\"NUMBER\"],\
               \"textMessage\":{\"text\":\"TEXT\"},\"withDeliveryReport\":true}",
        ucs2: "{\"id\":\"KEY\",\"phoneNumbers\":[\"NUMBER\"],\
               \"textMessage\":{\"text\":\"TEXT\"},\"withDeliveryReport\":true}",
        answers: &[
            (202, r#"{"id":"abc","state":"Pending"}"#, Accepted(Some("abc"))),
            (409, r#"{"message":"message already exists"}"#, Accepted(None)),
            (400, r#"{"message":"invalid phone number"}"#, NotSent),
            (401, "", Trouble),
        ],
    },
    Preset {
        name: "textbee",
        section: "device_id = \"d1\", api_key = SECRET",
        asked: "POST /base/api/v1/gateway/devices/d1/send-sms ",
        gsm7: r#"{"message":"TEXT","recipients":["+491701234567"]}"#,
        ucs2: r#"{"message":"TEXT","recipients":["+491701234567"]}"#,
        answers: &[
            (201, r#"{"data":{"success":true,"smsBatchId":"b1"}}"#, Accepted(Some("b1"))),
            (200, r#"{"data":{"success":true}}"#, Accepted(None)),
            (400, r#"{"message":"device is not enabled"}"#, Trouble),
            (429, r#"{"message":"limit reached"}"#, Trouble),
            (400, r#"{"success":false,"error":"Failed to send SMS"}"#, Unknown),
        ],
    },
    Preset {
        name: "httpsms",
        section: "from = \"+15005550\", api_key = SECRET",
        asked: "POST /base/v1/messages/send ",
        gsm7: r#"{"content":"TEXT","from":"+15005550","request_id":"REFERENCE","to":"NUMBER"}"#,
        ucs2: r#"{"content":"TEXT","from":"+15005550","request_id":"REFERENCE","to":"NUMBER"}"#,
        answers: &[
            (200, r#"{"data":{"id":"m1","status":"pending"}}"#, Accepted(Some("m1"))),
            (402, r#"{"message":"you have exhausted your plan"}"#, Trouble),
            (422, r#"{"message":"validation errors"}"#, NotSent),
        ],
    },
];
