//! The binary: nothing but a start.

fn main() -> std::process::ExitCode {
    amzctl::cli::main()
}
