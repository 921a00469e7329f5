//! End to end: a real server, real exporters and a real browser over real sockets.

mod accessibility;
mod all_spans;
mod browser;
mod budgets;
mod check;
mod corpus;
mod critical_path;
mod demo;
mod exporters;
mod heat_map;
mod hostile;
mod ingest;
mod jaeger;
mod limits;
mod load;
mod pages;
mod protection;
mod search;
mod search_page;
mod shapes;
mod shared;
mod shutdown;
mod trace_page;
