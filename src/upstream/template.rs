//! How a text message is said to a backend: a mapping from the few things that a message has to the
//! fields of the backend's own request. Each value is encoded for where it goes, so that nothing of
//! a client's reaches another field.

use bytes::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Upstream;
use super::request::finish;
use crate::sms::measure::Encoding;

/// One message, as it is sent.
pub struct Message<'a> {
    /// The receiver's number, in E.164 form.
    pub to: &'a str,
    /// The whole text.
    pub text: &'a str,
    /// How the network sends it.
    pub encoding: Encoding,
    /// The name by which payer, operator and backend can speak of it.
    pub reference: &'a str,
    /// Where it is to be reported on.
    pub report: &'a str,
    /// Our name for it where the backend throws repeats away, or is asked by it.
    pub key: &'a str,
}

/// Something of a message that a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variable {
    /// The number, with its plus.
    To,
    /// The number's digits alone.
    Digits,
    /// The text.
    Text,
    /// The text in UTF-16, most significant byte first, in hexadecimal.
    TextInHex,
    /// The reference.
    Reference,
    /// The key.
    Key,
    /// Where the message is to be reported on.
    Report,
}

impl Variable {
    /// All of them, with the words that stand for them in a mapping.
    pub const ALL: [(&'static str, Self); 7] = [
        ("to", Self::To),
        ("to_digits", Self::Digits),
        ("text", Self::Text),
        ("text_utf16_hex", Self::TextInHex),
        ("reference", Self::Reference),
        ("key", Self::Key),
        ("report", Self::Report),
    ];

    fn of(self, message: &Message<'_>) -> String {
        match self {
            Self::To => message.to.to_owned(),
            Self::Digits => message.to.trim_start_matches('+').to_owned(),
            Self::Text => message.text.to_owned(),
            Self::TextInHex => {
                let units = message.text.encode_utf16().flat_map(u16::to_be_bytes);
                hex::encode(units.collect::<Vec<u8>>())
            }
            Self::Reference => message.reference.to_owned(),
            Self::Key => message.key.to_owned(),
            Self::Report => message.report.to_owned(),
        }
    }
}

/// A part of a value.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// The operator's own, which may be a secret.
    Fixed(Zeroizing<String>),
    /// Of the message.
    Of(Variable),
}

/// What a field holds: its parts in a row.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// Whether nothing of a message is in it.
    pub fn is_fixed(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Fixed(_)))
    }

    /// Whether something of a message is in it.
    pub fn has(&self, variable: Variable) -> bool {
        self.0.iter().any(|part| *part == Part::Of(variable))
    }

    /// With a message's own.
    pub fn of(&self, message: &Message<'_>) -> Zeroizing<String> {
        let mut whole = Zeroizing::new(String::new());
        for part in &self.0 {
            match part {
                Part::Fixed(text) => whole.push_str(text),
                Part::Of(variable) => whole.push_str(&variable.of(message)),
            }
        }
        whole
    }
}

/// What a field holds, by how the message is sent; `None` leaves it out.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Slot {
    /// Of a message in the GSM 7-bit alphabet.
    pub gsm7: Option<Text>,
    /// Of a message in UCS-2.
    pub ucs2: Option<Text>,
}

impl Slot {
    /// The same for both.
    pub fn always(text: Text) -> Self {
        Self { gsm7: Some(text.clone()), ucs2: Some(text) }
    }

    fn sign(&self, whole: &mut String) {
        for text in [&self.gsm7, &self.ucs2] {
            whole.push('\0');
            for part in text.iter().flat_map(|text| &text.0) {
                match part {
                    Part::Fixed(fixed) => whole.push_str(fixed),
                    Part::Of(variable) => whole.push_str(&format!("\0{variable:?}")),
                }
            }
        }
    }

    /// Of a message that is sent so.
    pub fn of(&self, encoding: Encoding) -> Option<&Text> {
        match encoding {
            Encoding::Gsm7 => self.gsm7.as_ref(),
            Encoding::Ucs2 => self.ucs2.as_ref(),
        }
    }
}

/// A field by its name.
pub type Field = (String, Slot);

/// A JSON body, or a part of one.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// Always the same: no text.
    Fixed(Value),
    /// A text.
    Text(Slot),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

impl Json {
    fn sign(&self, whole: &mut String) {
        match self {
            Self::Fixed(value) => whole.push_str(&format!("\0{value}")),
            Self::Text(slot) => slot.sign(whole),
            Self::List(items) => items.iter().for_each(|item| item.sign(whole)),
            Self::Object(members) => members.iter().for_each(|(name, member)| {
                whole.push_str(&format!("\0{name}"));
                member.sign(whole);
            }),
        }
    }

    fn add_slots<'a>(&'a self, all: &mut Vec<&'a Slot>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text(slot) => all.push(slot),
            Self::List(items) => items.iter().for_each(|item| item.add_slots(all)),
            Self::Object(members) => members.iter().for_each(|(_, one)| one.add_slots(all)),
        }
    }

    /// `None` where it is left out.
    fn of(&self, message: &Message<'_>) -> Option<Value> {
        Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(slot) => Value::from(slot.of(message.encoding)?.of(message).as_str()),
            Self::List(items) => items.iter().filter_map(|item| item.of(message)).collect(),
            Self::Object(members) => {
                let member =
                    |(name, value): &(String, Self)| Some((name.clone(), value.of(message)?));
                Value::Object(members.iter().filter_map(member).collect::<Map<_, _>>())
            }
        })
    }
}

/// What stands in the body.
#[derive(Clone, PartialEq, Eq)]
pub enum TemplateBody {
    /// Nothing.
    None,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<Field>),
    /// `application/json`.
    Json(Json),
}

/// How a message becomes a request to a backend. What never changes of path, query and header
/// fields is a part of the upstream's settings.
pub struct Template {
    /// The method.
    pub method: Method,
    /// The parameters that depend on the message.
    pub query: Vec<Field>,
    /// The header fields that do.
    pub headers: Vec<(HeaderName, Slot)>,
    /// The body.
    pub body: TemplateBody,
}

impl Template {
    /// All of it in one text, by which it is told from another; not for people, since what is fixed
    /// may be secret.
    pub fn signature(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{}", self.method));
        let mut fields: Vec<(&str, &Slot)> = Vec::new();
        fields.extend(self.query.iter().map(|(name, slot)| (name.as_str(), slot)));
        fields.extend(self.headers.iter().map(|(name, slot)| (name.as_str(), slot)));
        match &self.body {
            TemplateBody::None => {}
            TemplateBody::Form(form) => {
                fields.extend(form.iter().map(|(name, slot)| (name.as_str(), slot)));
            }
            TemplateBody::Json(json) => json.sign(&mut text),
        }
        for (name, slot) in fields {
            text.push_str(&format!("\0{name}"));
            slot.sign(&mut text);
        }
        text
    }

    /// All that is fixed in what changes by the message, or stands in the body.
    pub fn literals(&self) -> Vec<Zeroizing<String>> {
        let parts = self.slots().into_iter().flat_map(|slot| [&slot.gsm7, &slot.ucs2]);
        let parts = parts.flatten().flat_map(|text| &text.0);
        let fixed = parts.filter_map(|part| match part {
            Part::Fixed(text) => Some(text.clone()),
            Part::Of(_) => None,
        });
        fixed.collect()
    }

    /// All values in it.
    pub fn slots(&self) -> Vec<&Slot> {
        let mut all: Vec<&Slot> = self.query.iter().map(|(_, slot)| slot).collect();
        all.extend(self.headers.iter().map(|(_, slot)| slot));
        match &self.body {
            TemplateBody::None => {}
            TemplateBody::Form(fields) => all.extend(fields.iter().map(|(_, slot)| slot)),
            TemplateBody::Json(json) => json.add_slots(&mut all),
        }
        all
    }

    /// The request for a message. `None` if it can't be written.
    pub fn request(&self, upstream: &Upstream, message: &Message<'_>) -> Option<Request<Bytes>> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, slot) in &self.headers {
            if let Some(text) = slot.of(message.encoding) {
                headers.insert(name.clone(), HeaderValue::from_str(&text.of(message)).ok()?);
            }
        }
        let (media, body) = match &self.body {
            TemplateBody::None => (None, Bytes::new()),
            TemplateBody::Form(fields) => {
                (Some("application/x-www-form-urlencoded"), written(fields, message).into())
            }
            TemplateBody::Json(json) => {
                (Some("application/json"), serde_json::to_vec(&json.of(message)?).ok()?.into())
            }
        };
        if let Some(media) = media {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        }
        let query = written(&self.query, message);
        let fixed = upstream.uri.query().filter(|fixed| !fixed.is_empty());
        let pairs: Vec<&str> = fixed
            .into_iter()
            .chain(Some(query.as_str()).filter(|query| !query.is_empty()))
            .collect();
        let path = upstream.uri.path();
        let uri = match pairs.as_slice() {
            [] => path.to_owned(),
            pairs => format!("{path}?{}", pairs.join("&")),
        };
        Some(finish(upstream, &self.method, uri.parse().ok()?, headers, body))
    }
}

/// As forms and queries are written (URL standard).
fn written(fields: &[Field], message: &Message<'_>) -> String {
    let pairs = fields
        .iter()
        .filter_map(|(name, slot)| Some((name, slot.of(message.encoding)?.of(message))));
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        form.append_pair(name, &value);
    }
    form.finish()
}
