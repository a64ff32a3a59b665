//! Reading files, with errors that name the file.

use std::fs;
use std::io::Read;
use std::path::Path;

/// What went wrong, ready to print after `error: `.
pub type Message = String;

/// The bytes of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, Message> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|e| format!("standard input: {e}"))?;
        return Ok(bytes);
    }
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The text of a file; invalid UTF-8 is an error with its byte offset.
pub fn read_text(path: &Path) -> Result<String, Message> {
    String::from_utf8(read(path)?).map_err(|e| {
        format!(
            "{}: byte {}: not UTF-8 text",
            path.display(),
            e.utf8_error().valid_up_to()
        )
    })
}
