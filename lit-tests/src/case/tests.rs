//! The runner, with `sh` in the compiler's place.

use super::*;

/// Runs a test file with this text; each test has a directory of its own.
fn run(name: &str, text: &str) -> Result<(), String> {
    let root = std::env::temp_dir().join(format!("tspc-lit-{}-{name}", std::process::id()));
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("sub/a.test"), text).unwrap();
    let setting = Setting {
        tspc: "sh".into(),
        root: root.clone(),
        temp: root.join("out"),
    };
    assert_eq!(discover(&root).unwrap(), ["sub/a.test"]);
    let result = setting.run("sub/a.test");
    fs::remove_dir_all(&root).unwrap();
    result
}

#[test]
fn output_flows_through_the_pipe() {
    run(
        "pipe",
        "// RUN: tspc -c 'echo a; cat %s' | filecheck %s\n// CHECK: a\n// CHECK-NEXT: RUN\n",
    )
    .unwrap();
    let report = run(
        "miss",
        "// RUN: tspc -c 'echo b; echo c >&2' | filecheck %s\n// CHECK: a\n",
    );
    let report = report.unwrap_err();
    assert!(report.starts_with("sub/a.test:1: error: `filecheck %s` ended with exit code 1, expected 0\nsub/a.test:2:11: error: CHECK: expected string"), "{report}");
    assert!(
        report.ends_with("note: standard error of `tspc -c echo b; echo c >&2`:\nc\n"),
        "{report}"
    );
}

#[test]
fn exit_codes_are_exact() {
    run("zero", "// RUN: tspc -c 'exit 0'\n").unwrap();
    run("one", "// RUN: not tspc -c 'exit 1'\n").unwrap();
    for (name, line, ended) in [
        ("a", "tspc -c 'exit 1'", "exit code 1, expected 0"),
        ("b", "not tspc -c 'exit 0'", "exit code 0, expected 1"),
        ("c", "not tspc -c 'exit 101'", "exit code 101, expected 1"),
        ("d", "not tspc -c 'kill -9 $$'", "a signal, expected 1"),
        (
            "e",
            "tspc -c 'exit 3' | filecheck %s --check-prefix=E --input-file=%s",
            "exit code 3, expected 0",
        ),
    ] {
        let report = run(name, &format!("// RUN: {line}\n// E: RUN\n")).unwrap_err();
        assert!(report.contains(ended), "{report}");
    }
}

#[test]
fn standard_error_is_seen_only_if_merged() {
    let text = |merge| {
        format!("// RUN: tspc -c 'echo out; echo err >&2' {merge} | filecheck %s\n// CHECK: err\n")
    };
    run("merged", &text("2>&1")).unwrap();
    run("apart", &text("")).unwrap_err();
}

#[test]
fn files_are_written_compared_and_fresh() {
    let text = "// RUN: tspc -c 'echo a' > %t.1\n// RUN: tspc -c 'echo a; echo b' > %t.2\n\
                // RUN: cmp %t.1 %t.1\n// RUN: not cmp %t.1 %t.2\n\
                // RUN: filecheck %s --input-file=%t.2\n// CHECK: b\n";
    run("files", text).unwrap();
    let report = run("cmp", &text.replace("not ", "")).unwrap_err();
    assert!(
        report.contains("(2 bytes) and") && report.contains("differ at byte 2"),
        "{report}"
    );
    let absent = run("absent", "// RUN: cmp %t %s\n").unwrap_err();
    assert!(absent.contains("/t: "), "{absent}");
}

#[test]
fn a_command_that_does_not_read_its_input_is_no_problem() {
    run(
        "unread",
        "// RUN: tspc -c 'yes | head -c 300000' | tspc -c 'exit 0'\n",
    )
    .unwrap();
}

#[test]
fn diagnostics_are_matched_with_annotations() {
    let text = "// RUN: not tspc -c 'echo %s:2:1: error: bad >&2; exit 1' 2>&1 | verify-diagnostics %s\nx // expected-error {{bad}}\n";
    run("diag", text).unwrap();
    run("diag-miss", &text.replace("{{bad}}", "{{worse}}")).unwrap_err();
}

#[test]
fn checks_that_nobody_looks_at_are_an_error() {
    let report = run("idle", "// RUN: tspc -c true\n// CHECK: a\n").unwrap_err();
    assert!(report.contains("no RUN line runs filecheck"), "{report}");
    let report = run("idle2", "// RUN: tspc -c true\n// expected-error {{a}}\n").unwrap_err();
    assert!(
        report.contains("no RUN line runs verify-diagnostics"),
        "{report}"
    );
}
