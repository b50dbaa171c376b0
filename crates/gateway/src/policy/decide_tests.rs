//! What is decided about requests, as a table.
