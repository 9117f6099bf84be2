//! Farebox beside nginx: CPU time per request of the proxy's processes, requests per second,
//! latency, memory. Nothing here is a test; an answer that isn't the expected one ends the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod bare;
mod bench;
mod cases;
mod growth;
mod load;
mod postgres;
mod processes;
mod requests;
mod seller;
mod table;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let farebox = arguments.next().expect("bench/run starts this");
    if farebox == "bare" {
        let mut addresses = arguments.map(|address| address.parse().unwrap());
        let (listen, upstream) = (addresses.next().unwrap(), addresses.next().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(bare::forward(listen, upstream));
    }
    if farebox == "seller" {
        let arguments: Vec<String> = arguments.collect();
        let (listen, grpc) = (arguments[0].parse().unwrap(), arguments[1].parse().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(seller::sell(listen, grpc, arguments[2].as_ref()));
    }
    let wanted: Vec<String> = arguments.collect();
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(cases::run(&farebox, &wanted));
}
