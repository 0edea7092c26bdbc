//! Tests that need a process of their own: what they count or change belongs to a whole process.
//!
//! Such a test starts the binary that it is in once more, for itself alone.

use std::io::Write as _;
use std::process::{Command, Output};

/// Set in the process that a test has for itself.
const ALONE: &str = "MAILPOOL_TEST_ALONE";

/// Whether this process runs one test alone.
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs a test of this binary in a process of its own, which the shell of `wrapper` starts after
/// `script`. Returns how it ended.
pub(crate) fn output_of(test: &str, wrapper: &[&str], script: &str) -> Output {
    let [program, arguments @ ..] = wrapper else {
        panic!("no program")
    };
    Command::new(program)
        .args(arguments)
        .arg("-c")
        .arg(format!("{script} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap()
}

/// Checks that the test was run, and passed.
#[track_caller]
pub(crate) fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a test of this binary in a process of its own, after the commands of `script`.
#[track_caller]
pub(crate) fn alone(test: &str, script: &str) {
    assert_passed(&output_of(test, &["sh"], script));
}

/// Says that a test cannot be carried out here. `tests/run` lists these lines at its end.
///
/// The line is written past the capture of test output, because nobody looks at the captured
/// output of a test that passes.
pub(crate) fn left_out(test: &str, why: &str) {
    let line = format!("left out on this machine: {test}: {why}\n");
    // A test binary whose stderr is gone has nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
