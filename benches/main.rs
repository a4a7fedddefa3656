//! Figures of the daemon and the control server, each beside its limit: what the bare system does in the same run, asked
//! by the same client. Nothing here passes or fails. `cargo bench --bench main -- socket` runs a part
//! of it, and `--save` keeps the figures in `benches/RESULTS.md`.
#![expect(clippy::print_stdout, reason = "it is what it is for")]

#[cfg(unix)]
mod attacks;
#[cfg(unix)]
mod remote;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod socket;
#[cfg(unix)]
mod start;
#[cfg(unix)]
mod store;
#[cfg(unix)]
mod support;

#[cfg(unix)]
type Part = fn() -> anyhow::Result<()>;

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, place] = args.as_slice() {
        match role.as_str() {
            support::echo::ROLE => return Ok(support::echo::serve(place.as_ref())?),
            support::site::ROLE => return Ok(support::site::serve(place)?),
            _ => {}
        }
    }
    // `cargo test --all-targets` runs it too, without this.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let names: Vec<&str> =
        args.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    let parts: [(&str, Part); 6] = [
        ("socket", socket::run),
        ("store", store::run),
        ("start", start::run),
        ("server", server::run),
        ("remote", remote::run),
        ("attacks", attacks::run),
    ];
    for (name, run) in parts {
        if names.is_empty() || names.contains(&name) {
            support::report::part(name);
            run()?;
        }
    }
    if args.iter().any(|arg| arg == "--save") {
        support::report::save()?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    println!("The figures are taken over Unix sockets: there are none here.");
}
