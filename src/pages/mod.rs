//! What people, programs and directories read: pages, descriptions, files. All of it is made from
//! the catalogue and the codes, so that none of it can say what another denies.

mod assets;
mod description;
mod files;
mod form;
mod html;
mod llms;
mod manifest;
mod object;
mod openapi;
mod openapi_schemas;
mod pricing;
mod respond;

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, LOCATION};

use self::assets::Assets;
use self::description::{Description, ForSale};
use self::respond::{File, respond};
use crate::answer::problem::Problem;
use crate::answer::{Answer, html as answer_html, problems, qr};
use crate::cache::FifoCache;
use crate::code::Code;
use crate::service::{Catalogue, Service};

/// One of our own pages, descriptions or files.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Page {
    /// What is for sale.
    Index,
    /// Where a service is bought.
    Service(String),
    /// What a browser keeps of what was bought in it.
    Tickets,
    /// OpenAPI.
    OpenApi,
    /// How to buy, for agents.
    Llms,
    /// The manifest of the discovery draft.
    Manifest,
    /// The list that directories read.
    Services,
    /// A style, a script, a picture.
    Asset(String),
    /// What crawlers may read.
    Robots,
    /// The picture beside a page's title.
    Favicon,
}

impl Page {
    /// The page at a path.
    pub fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Index,
            "/l402/tickets" => Self::Tickets,
            "/openapi.json" => Self::OpenApi,
            "/llms.txt" => Self::Llms,
            "/.well-known/l402.json" => Self::Manifest,
            "/.well-known/l402-services" => Self::Services,
            "/robots.txt" => Self::Robots,
            "/favicon.ico" => Self::Favicon,
            _ => match path.strip_prefix("/services/") {
                Some(name) => Self::Service(name.to_owned()),
                None => Self::Asset(path.strip_prefix("/assets/")?.to_owned()),
            },
        })
    }

    /// Its path, without what a stranger may have made up.
    pub fn path(&self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Service(_) => "/services/",
            Self::Tickets => "/l402/tickets",
            Self::OpenApi => "/openapi.json",
            Self::Llms => "/llms.txt",
            Self::Manifest => "/.well-known/l402.json",
            Self::Services => "/.well-known/l402-services",
            Self::Asset(_) => "/assets/",
            Self::Robots => "/robots.txt",
            Self::Favicon => "/favicon.ico",
        }
    }

    /// Whether it is for browsers, and so gone where there are no pages.
    pub fn is_for_people(&self) -> bool {
        !matches!(self, Self::OpenApi | Self::Llms | Self::Manifest | Self::Services)
    }
}

/// Who asks for a page, and how.
pub struct Asking<'a> {
    /// The path.
    pub path: &'a str,
    /// The host that is asked for, in lower case.
    pub host: Option<&'a str>,
    /// Where payers reach us, without a slash at the end.
    pub base: &'a str,
    /// The request's header fields.
    pub headers: &'a HeaderMap,
}

/// Makes pages.
pub struct Pages {
    catalogue: Arc<Catalogue>,
    assets: Assets,
    /// Descriptions that were asked for lately, by where and how: they differ by the host alone.
    described: FifoCache<Described, File>,
}

/// A description: which, for which host, at which address.
type Described = (Page, Option<String>, String);

/// Most bytes of descriptions that are kept.
const DESCRIBED_MAX_BYTES: usize = 4 * 1024 * 1024;

impl Pages {
    /// Of these services.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let assets = Assets::new(&catalogue.pages);
        Self { catalogue, assets, described: FifoCache::new(DESCRIBED_MAX_BYTES) }
    }

    /// Whether there are pages for people.
    pub fn are_on(&self) -> bool {
        self.catalogue.pages.is_enabled
    }

    /// A page. One for people is asked for only where there are any.
    pub fn answer(&self, page: &Page, asking: &Asking<'_>) -> Result<Answer, Problem> {
        let (catalogue, frame) = (&*self.catalogue, self.catalogue.frame(asking.path));
        let description = || Description::of(catalogue, asking.host, asking.base);
        let file = match page {
            Page::Index => return html::index(&frame, &description()),
            Page::Service(name) => {
                let found = catalogue.for_sale_by(name, asking.host);
                let sold = found.and_then(|(service, _)| ForSale::of(service, asking.base));
                let sold = sold.ok_or_else(problems::no_such_service)?;
                return html::service(&frame, sold, catalogue);
            }
            Page::Tickets => return html::tickets(&frame),
            Page::OpenApi | Page::Llms | Page::Manifest | Page::Services => {
                self.description(page, asking)?
            }
            Page::Asset(name) => self.assets.get(name).ok_or_else(problems::no_such_service)?,
            Page::Robots => File::text("User-agent: *\nDisallow: /l402/\n".to_owned()),
            Page::Favicon => self.assets.favicon(),
        };
        Ok(respond(file, asking.headers))
    }

    /// What programs read.
    fn description(&self, page: &Page, asking: &Asking<'_>) -> Result<File, Problem> {
        let key = (page.clone(), asking.host.map(ToOwned::to_owned), asking.base.to_owned());
        if let Some(file) = self.described.get(&key) {
            return Ok(file);
        }
        let description = Description::of(&self.catalogue, asking.host, asking.base);
        let file = match page {
            Page::OpenApi => File::json(&openapi::document(&description)),
            Page::Manifest => File::json(&manifest::l402(&description)),
            Page::Services => File::json(&manifest::services(&description)),
            _ => File::text(llms::text(&description)?),
        };
        let weight = file.length() + 2 * asking.base.len();
        self.described.insert(key, file.clone(), weight);
        Ok(file)
    }

    /// The page where a service is bought that a browser has asked for at `path`. The way there is
    /// relative (RFC 9110 section 10.2.2).
    pub fn see_service(&self, service: &Service, path: &str) -> Answer {
        let location = format!("{}services/{}", answer_html::root(path), service.name);
        let mut response = answer_html::page(StatusCode::SEE_OTHER, String::new());
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(LOCATION, location);
        }
        Answer { response, code: Code::SeeOther }
    }

    /// A problem, as people read it.
    pub fn problem(&self, problem: Problem, path: &str) -> Answer {
        html::problem(&self.catalogue.frame(path), problem)
    }

    /// One of the operator's files, if there is one at this path.
    pub async fn static_file(&self, asking: &Asking<'_>) -> Option<Answer> {
        let folder = self.catalogue.pages.static_dir.as_ref()?;
        let file = files::read(folder, asking.path).await?;
        Some(respond(file, asking.headers))
    }

    /// The QR code of an invoice.
    pub fn qr(&self, invoice: &str) -> Result<Answer, Problem> {
        if !self.are_on() {
            return Err(problems::no_such_service());
        }
        let picture = qr::svg(invoice).ok_or_else(|| {
            problems::bad_request("The body should be an invoice, as a 402 has it.")
        })?;
        Ok(respond(File::svg(picture), &HeaderMap::new()))
    }
}
