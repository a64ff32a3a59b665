//! Each directive where it holds and where it does not.

use super::filecheck;

fn check(checks: &[&str], input: &str) -> Result<(), String> {
    let file: String = checks.iter().map(|c| format!("// {c}\n")).collect();
    filecheck("t", &file, "CHECK", input)
}

/// The first line of the report.
fn error(checks: &[&str], input: &str) -> String {
    let report = check(checks, input).unwrap_err();
    report.lines().next().unwrap().to_string()
}

#[test]
fn plain_checks_match_in_order_and_behind_one_another() {
    check(&["CHECK: a", "CHECK: b", "CHECK: b"], "x a b\nc\nb\n").unwrap();
    assert_eq!(
        error(&["CHECK: b", "CHECK: a"], "a\nb\n"),
        "t:2:11: error: CHECK: expected string not found in input"
    );
    check(&["CHECK: a", "CHECK: a"], "a\n").unwrap_err();
}

#[test]
fn blanks_and_tabs_count_as_one_blank() {
    check(&["CHECK: a \t b"], "a    b\n").unwrap();
    check(&["CHECK: a b"], "a\tb\n").unwrap();
    check(&["CHECK: a b"], "ab\n").unwrap_err();
    check(&["CHECK: a b"], "a\nb\n").unwrap_err();
}

#[test]
fn next_is_the_line_after() {
    check(&["CHECK: a", "CHECK-NEXT: b"], "a\nb\n").unwrap();
    let wrong = error(&["CHECK: a", "CHECK-NEXT: b"], "a\nx\nb\n");
    assert!(
        wrong.ends_with("CHECK-NEXT: is not on the line after the previous match"),
        "{wrong}"
    );
    let wrong = error(&["CHECK: a", "CHECK-NEXT: b"], "a b\nb\n");
    assert!(
        wrong.ends_with("CHECK-NEXT: is on the same line as the previous match"),
        "{wrong}"
    );
    let wrong = error(&["CHECK: a", "CHECK-NEXT: b"], "a\n");
    assert!(
        wrong.ends_with("CHECK-NEXT: expected string not found in input"),
        "{wrong}"
    );
}

#[test]
fn same_is_the_same_line() {
    check(&["CHECK: a", "CHECK-SAME: b"], "a b\n").unwrap();
    let wrong = error(&["CHECK: a", "CHECK-SAME: b"], "a\nb\n");
    assert!(
        wrong.ends_with("is not on the same line as the previous match"),
        "{wrong}"
    );
    check(&["CHECK: b", "CHECK-SAME: a"], "a b\n").unwrap_err();
}

#[test]
fn empty_is_an_empty_line_right_after() {
    check(&["CHECK: a", "CHECK-EMPTY:", "CHECK-NEXT: b"], "a\n\nb\n").unwrap();
    check(&["CHECK: a", "CHECK-EMPTY:", "CHECK-EMPTY:"], "a\n\n\n").unwrap();
    check(&["CHECK: a", "CHECK-EMPTY:"], "a\nb\n\n").unwrap_err();
    check(&["CHECK: a", "CHECK-EMPTY:"], "a\n").unwrap_err();
}

#[test]
fn not_holds_between_the_matches_around_it() {
    let between = ["CHECK: a", "CHECK-NOT: x", "CHECK: b"];
    check(&between, "x\na\nb\nx\n").unwrap();
    assert_eq!(
        error(&between, "a\nx\nb\n"),
        "t:2:15: error: CHECK-NOT: excluded string found in input"
    );
    check(&between, "a x b\n").unwrap_err();
    check(&["CHECK-NOT: x", "CHECK: a"], "a\nx\n").unwrap();
    check(&["CHECK-NOT: x", "CHECK: a"], "x\na\n").unwrap_err();
    check(&["CHECK: a", "CHECK-NOT: x"], "x\na\n").unwrap();
    check(&["CHECK: a", "CHECK-NOT: x"], "a\nb\nx\n").unwrap_err();
    check(&["CHECK-NOT: x", "CHECK-NOT: y"], "a\ny\n").unwrap_err();
}

#[test]
fn dag_matches_in_any_order_without_overlap() {
    check(&["CHECK-DAG: b", "CHECK-DAG: a", "CHECK: c"], "a\nb\nc\n").unwrap();
    check(&["CHECK-DAG: a", "CHECK-DAG: a"], "a\na\n").unwrap();
    check(&["CHECK-DAG: a", "CHECK-DAG: a"], "a\nb\n").unwrap_err();
    check(&["CHECK-DAG: ab", "CHECK-DAG: b{{.}}"], "abc\nbd\n").unwrap();
    // The check that follows looks behind the last of the group only.
    check(&["CHECK-DAG: b", "CHECK-DAG: a", "CHECK: c"], "a\nc\nb\n").unwrap_err();
    check(&["CHECK: start", "CHECK-DAG: a"], "a\nstart\n").unwrap_err();
}

#[test]
fn not_separates_groups_of_dags() {
    let checks = [
        "CHECK-DAG: a",
        "CHECK-DAG: b",
        "CHECK-NOT: x",
        "CHECK-DAG: c",
        "CHECK: end",
    ];
    check(&checks, "b\na\nc\nend\n").unwrap();
    check(&checks, "b\na\nc\nx\nend\n").unwrap();
    check(&checks, "b\na\nx\nc\nend\n").unwrap_err();
    check(&checks, "b\nc\na\nend\n").unwrap_err();
    check(
        &["CHECK-NOT: x", "CHECK-DAG: b", "CHECK-DAG: a"],
        "a\nx\nb\n",
    )
    .unwrap();
    check(
        &["CHECK-NOT: x", "CHECK-DAG: b", "CHECK-DAG: a"],
        "x\na\nb\n",
    )
    .unwrap_err();
    check(
        &["CHECK-DAG: a", "CHECK-NOT: x", "CHECK-LABEL: f"],
        "a\nx\nf\n",
    )
    .unwrap_err();
}

#[test]
fn labels_cut_the_input() {
    let checks = ["CHECK-LABEL: f", "CHECK: a", "CHECK-LABEL: g", "CHECK: b"];
    check(&checks, "f\na\ng\nb\n").unwrap();
    // Without the cut, `a` would be found in g.
    assert!(error(&checks, "f\ng\na\nb\n").starts_with("t:2:11: error: CHECK: expected"));
    assert!(error(&checks, "f\na\n").starts_with("t:3:17: error: CHECK-LABEL: expected"));
    // A check may be on the label's line, and a section that fails does not hide the next.
    check(&["CHECK-LABEL: f", "CHECK-SAME: (x)"], "f (x)\n").unwrap();
    let both = check(&checks, "f\ng\n").unwrap_err();
    assert!(
        both.contains("t:2:11: error") && both.contains("t:4:11: error"),
        "{both}"
    );
}

#[test]
fn variables_live_on_and_appear_in_the_report() {
    let checks = [
        "CHECK: [[X:%[0-9]+]] = a",
        "CHECK-LABEL: f",
        "CHECK: use [[X]]{{$}}",
    ];
    check(&checks, "%7 = a\nf\nuse %7\n").unwrap();
    let report = check(&checks, "%7 = a\nf\nuse %71\n").unwrap_err();
    assert!(report.contains("note: with `X` equal to `%7`"), "{report}");
    let undefined = error(&["CHECK: [[Y]]"], "a\n");
    assert!(undefined.ends_with("undefined variable `Y`"), "{undefined}");
    check(
        &["CHECK: [[X:.]]", "CHECK: [[X:.]]", "CHECK: ={{ }}[[X]]"],
        "a\nb\n= b\n",
    )
    .unwrap();
}

#[test]
fn line_anchors_are_those_of_the_line() {
    check(&["CHECK: a", "CHECK: {{^}}b"], "a b\nb\n").unwrap();
    check(&["CHECK: a", "CHECK: {{^}}b"], "a b\n").unwrap_err();
    check(&["CHECK: {{^a$}}"], "ab\na\n").unwrap();
    check(&["CHECK: a{{[^x]*}}b"], "a\nb\n").unwrap_err();
}

#[test]
fn nothing_to_check_is_no_success() {
    assert_eq!(
        check(&["CHECK-NOT: a"], "").unwrap_err(),
        "t: error: the input is empty\n"
    );
    assert_eq!(
        check(&["OTHER: a"], "a\n").unwrap_err(),
        "t: error: no check with prefix `CHECK`\n"
    );
    filecheck("t", "// OTHER: a\n// CHECK: b\n", "OTHER", "a\n").unwrap();
}

#[test]
fn the_report_shows_check_scan_start_and_input() {
    let report = check(
        &["CHECK: [[X:%.]] = a", "CHECK: add [[X]]"],
        "%1 = a\n\n  add  %2\n",
    );
    insta::assert_snapshot!(report.unwrap_err(), @r"
    t:2:11: error: CHECK: expected string not found in input
    // CHECK: add [[X]]
              ^
    <input>:1:7: note: scanning from here
    %1 = a
          ^
    note: with `X` equal to `%1`
    the input, lines 1 to 3 of 3:
    >    1: %1 = a
         2: 
         3:  add %2
    ");
}
