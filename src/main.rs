use std::process::ExitCode;

/// A server makes and drops many small pieces on all its threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    convoke::cli::main()
}
