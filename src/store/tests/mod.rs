mod actor;
mod backups;
mod columns;
mod damage;
#[cfg(target_os = "linux")]
mod faults;
mod model;
#[cfg(target_os = "linux")]
mod privacy;
mod recovery;
mod refusals;
mod round_trip;
mod schema;
#[cfg(target_os = "linux")]
mod seccomp;
mod support;
mod upstream;
