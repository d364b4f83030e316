"""Fetch the engine of the playground, onnxruntime-web, into camkit/atlas/engine/ and verify it.

    python data/make/engine.py

The two files are those of the npm package, unchanged; the WebAssembly is compressed. LICENSE and
ThirdPartyNotices.txt are those of the Python package onnxruntime of the same project.

Files with other sums than those in SHA256SUMS are not written. To take another version, change
VERSION and run this, which prints the new sums; write these to SHA256SUMS, run this again, and then
the tests in tests/browser/test_playground_page.py.
"""

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.30.0"

FOLDER = Path(__file__).parents[2] / "camkit" / "atlas" / "engine"

MODULE = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"


def published() -> dict[str, bytes]:
    """Return the files of the npm package {name: content}; npm itself verifies the package."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"onnxruntime-web@{VERSION}"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        with tarfile.open(Path(folder) / done.stdout.strip()) as package:
            return {name: _member(package, name) for name in (MODULE, WASM)}


def _member(package: tarfile.TarFile, name: str) -> bytes:
    """Return the content of a file in the folder `dist` of a package."""
    stream = package.extractfile(f"package/dist/{name}")
    assert stream is not None
    return stream.read()


def stored() -> dict[str, bytes]:
    """Return the files in camkit/atlas/engine/ {name: content}, the WebAssembly expanded."""
    compressed = (FOLDER / f"{WASM}.gz").read_bytes()
    return {MODULE: (FOLDER / MODULE).read_bytes(), WASM: gzip.decompress(compressed)}


def sums(files: dict[str, bytes]) -> str:
    """Return the SHA-256 sums of files in the format of `sha256sum`."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    return "".join(lines)


def main() -> None:
    """Write the files, or exit with their sums if these are not those in SHA256SUMS."""
    files = published()
    if sums(files) != (FOLDER / "SHA256SUMS").read_text():
        sys.exit(f"nothing is written, since SHA256SUMS has other sums than these:\n{sums(files)}")
    (FOLDER / MODULE).write_bytes(files[MODULE])
    compressed = gzip.compress(files[WASM], compresslevel=9, mtime=0)
    (FOLDER / f"{WASM}.gz").write_bytes(compressed)


if __name__ == "__main__":
    main()
