//! The pages themselves, from templates.

use askama::Template;
use hyper::StatusCode;

use super::description::{Description, ForSale, span};
use super::form::{Control, Field, Form};
use crate::answer::html::{Frame, page};
use crate::answer::problem::Problem;
use crate::answer::{Answer, problems};
use crate::code::{Code, Retry};
use crate::order::Takes;
use crate::service::Catalogue;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    frame: &'a Frame<'a>,
    description: &'a Description<'a>,
    sold: Vec<ForSale<'a>>,
}

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage<'a> {
    frame: &'a Frame<'a>,
    sold: ForSale<'a>,
    about: String,
    form: &'a Form,
    /// The example, where the whole body is typed.
    whole: String,
    /// Below our root.
    path: &'a str,
    takes: &'static str,
    detects: bool,
    replay: String,
    invoice_expiry: String,
    lifetime: String,
}

#[derive(Template)]
#[template(path = "tickets.html")]
struct Tickets<'a> {
    frame: &'a Frame<'a>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: &'a Frame<'a>,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    advice: Option<&'a str>,
    may_retry: bool,
}

/// Fields that stand together, each with its number on the page.
struct Group<'a> {
    title: &'a str,
    fields: Vec<(usize, &'a Field)>,
}

fn groups<'a>(fields: &'a [Field]) -> Vec<Group<'a>> {
    let numbered: Vec<(usize, &'a Field)> = (1..).zip(fields).collect();
    let groups = numbered.chunk_by(|(_, one), (_, next)| one.group == next.group);
    let group = |fields: &[(usize, &'a Field)]| Group {
        title: fields.first().map_or("", |(_, first)| first.group.as_str()),
        fields: fields.to_vec(),
    };
    groups.map(group).collect()
}

pub(super) fn index(frame: &Frame<'_>, description: &Description<'_>) -> Result<Answer, Problem> {
    made(&Index { frame, description, sold: description.for_sale().collect() })
}

pub(super) fn service(
    frame: &Frame<'_>,
    sold: ForSale<'_>,
    catalogue: &Catalogue,
) -> Result<Answer, Problem> {
    let (service, offer) = (sold.service, sold.offer);
    let form = Form::of(&offer.rules);
    let whole = match (&form, &offer.example) {
        (Form::Whole { is_json: true, .. }, Some(example)) => format!("{example:#}"),
        _ => String::new(),
    };
    let price = format!("{} for {}. {}", service.title, sold.price(), sold.buys());
    let times = &catalogue.times;
    made(&ServicePage {
        frame,
        sold,
        about: service.about.clone().unwrap_or(price),
        form: &form,
        whole,
        path: service.path.trim_start_matches('/'),
        takes: match offer.rules.takes {
            Takes::Nothing => "nothing",
            Takes::Json(..) => "json",
            Takes::Bytes(_) => "text",
            Takes::Query => "query",
        },
        detects: catalogue.detects_payments,
        replay: span(times.replay),
        invoice_expiry: span(times.invoice_expiry),
        lifetime: span(times.life(offer.kind)),
    })
}

pub(super) fn tickets(frame: &Frame<'_>) -> Result<Answer, Problem> {
    made(&Tickets { frame })
}

fn made(template: &impl Template) -> Result<Answer, Problem> {
    let html = template.render().map_err(|_| problems::internal())?;
    Ok(Answer { response: page(StatusCode::OK, html), code: Code::Page })
}

/// The problem's status, words and header fields, as a page.
pub(super) fn problem(frame: &Frame<'_>, problem: Problem) -> Answer {
    let status = problem.status_code();
    let advice = match problem.retry_advice() {
        Retry::SameTicket => {
            Some("If you have paid, you won't pay again: your ticket stays valid.")
        }
        Retry::ChangedRequest => Some(
            "You won't pay again: your ticket can be used once more, with another request that \
             costs no more.",
        ),
        Retry::NewTicket | Retry::Never => None,
    };
    let template = ProblemPage {
        frame,
        title: title(status),
        status: status.as_u16(),
        code: problem.code().word(),
        detail: problem.detail(),
        advice,
        may_retry: problem.may_be_tried_again(),
    };
    match template.render() {
        Ok(html) => {
            let response = page(status, html);
            problem.into_answer_with(response)
        }
        Err(_) => problem.into_answer(),
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is no such page",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::BAD_REQUEST => "That can't be ordered",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        status => status.canonical_reason().unwrap_or("Something went wrong"),
    }
}
