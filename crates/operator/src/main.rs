//! The binary `slipway`, also installed as `kubectl-slipway`.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    slipway_operator::cli::main()
}
