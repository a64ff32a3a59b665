//! The generated dialect pages are those in `docs/dialects/`; `TSPC_BLESS=1` rewrites them.

use std::path::Path;
use tspc_ir::{Dialect, docs::dialect_page};

#[test]
fn dialect_pages_are_fresh() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dialects");
    for dialect in Dialect::ALL {
        let path = dir.join(format!("{}.md", dialect.name()));
        let page = dialect_page(dialect);
        if std::env::var_os("TSPC_BLESS").is_some() {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &page).unwrap();
        }
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            have == page,
            "{} is stale: run with TSPC_BLESS=1",
            path.display()
        );
    }
}
