//! The binary `slipway`, also installed as `kubectl-slipway`.

fn main() -> std::process::ExitCode {
    slipway_operator::cli::main()
}
