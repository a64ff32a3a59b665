//! `docs/machine.md` is what the machine files say; `TSPC_BLESS=1` rewrites it.

#[test]
fn documentation_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/machine.md");
    let want = tspc_machine::documentation();
    if std::env::var_os("TSPC_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, &want).unwrap();
    }
    let have = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        have == want,
        "docs/machine.md is stale; TSPC_BLESS=1 rewrites it"
    );
}
