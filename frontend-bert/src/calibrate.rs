//! Texts to calibrate on: the built-in ones, or a file with one text a line.

use crate::Error;
use std::path::Path;

const BUILT_IN: &str = include_str!("../data/calibration.txt");

/// The built-in texts: short and long, of many kinds, disjoint from the golden sentences.
pub fn built_in() -> Vec<String> {
    lines(BUILT_IN)
}

/// The texts of a file; empty lines are skipped. A file without any text is an error.
pub fn from_file(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let texts = lines(&text);
    if texts.is_empty() {
        return Err(Error::file(
            path,
            "no text to calibrate on; one is expected per line",
        ));
    }
    Ok(texts)
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_texts_are_many_varied_and_not_golden() {
        let texts = built_in();
        assert!(texts.len() >= 40);
        let words = |text: &String| text.split_whitespace().count();
        assert!(texts.iter().filter(|t| words(t) <= 4).count() >= 8);
        assert!(texts.iter().filter(|t| words(t) >= 80).count() >= 4);
        let golden = lines(include_str!("../golden/sentences.txt"));
        for (i, text) in texts.iter().enumerate() {
            assert!(
                !golden.contains(text) && !texts[..i].contains(text),
                "{text}"
            );
        }
    }

    #[test]
    fn files_without_text_are_refused() {
        let path = std::env::temp_dir().join(format!("tspc-calibrate-{}", std::process::id()));
        std::fs::write(&path, "one \n\n two\r\n").unwrap();
        assert_eq!(from_file(&path).unwrap(), ["one", "two"]);
        std::fs::write(&path, "\n \n").unwrap();
        assert!(
            from_file(&path)
                .unwrap_err()
                .to_string()
                .contains("no text")
        );
        std::fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(from_file(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(from_file(&path).is_err());
    }
}
