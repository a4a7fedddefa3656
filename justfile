# What a developer runs. `just` lists it.

[private]
default:
    @just --list

# The daemon, on its defaults
run *ARGS:
    cargo run -- {{ARGS}}

# The control server, on its defaults
serve *ARGS:
    cargo run --bin lanragectl-server -- {{ARGS}}

# All tests
test *ARGS:
    cargo test --workspace {{ARGS}}

# Figures beside those of the bare system: all, or of `socket`, `store`, `start`, `server` (needs wrk)
bench *ARGS:
    cargo bench --bench main -- {{ARGS}}

# Format, and the checks that must be clean before a commit
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check bans licenses sources

# Write the schemas under ipc-schema/schema anew
schemas:
    cargo run -q -p lanrage-ipc --features schema --example schemas
    cargo run -q --example openapi

# What continuous integration runs
ci:
    .ci/run

# Type-check (`check`) or test on Windows, under Wine
windows *ARGS:
    .ci/windows {{ARGS}}

# Try the units in a booted systemd (as root)
boot:
    cargo build --release
    .ci/systemd
