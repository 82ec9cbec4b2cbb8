# Recipes for people; they call the same scripts that CI calls. `just --list` shows them.

default:
    @just --list

# Formatting, lints, documentation, and the tests on the embedded store.
check:
    cargo fmt --check
    cargo clippy --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
    cargo test

# Everything CI runs, installing what it needs.
test:
    tests/run

# The whole chain on bundled data, offline.
demo:
    cargo run --release -- demo

# The long sweeps: kills and large files.
soak:
    tests/soak

# Stage times, rows per second, memory and disk on generated data.
bench:
    cargo bench --bench pipeline

# How right the alert rule sets are on markets whose true events are known: seeds, --sets, --explain.
noise *arguments:
    cargo bench --bench alert_noise -- {{arguments}}

# Against DuckDB, polars, day-by-day PostgreSQL and the limit; sizes such as 1000x365, or full (hours).
bench-peers *sizes:
    benches/peers/run {{sizes}}

# Licences and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check

fmt:
    cargo fmt
