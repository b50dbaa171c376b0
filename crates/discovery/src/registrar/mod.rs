//! Keeps one registration true: at start, on a timer, after every outage.

mod settings;
pub use settings::{InvalidSettings, RegistrarSettings};

mod plan;

mod run;
pub use run::{Registrar, RegistrarHandle, Standing};
