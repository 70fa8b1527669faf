"""Makes the zips that SAM would upload: `parley_packages.zips BUILD_DIR ZIP_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from parley_packages.built import read_build

_UNIX = 3


def make_zip(folder: Path, into: Path) -> None:
    """Zip what is in a folder, as SAM does: every file dated 1980, readable by all.

    The same files give the same bytes, on any machine, whoever built them and when.
    """
    with ZipFile(into, "w", ZIP_DEFLATED) as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = ZipInfo(path.relative_to(folder).as_posix())  # dated 1980 by itself
                entry.create_system = _UNIX
                entry.external_attr = (0o100755 if path.stat().st_mode & 0o100 else 0o100644) << 16
                made.writestr(entry, path.read_bytes(), compress_type=ZIP_DEFLATED)


def main() -> None:
    """Zip every package of a build, and say how large each became."""
    build, into = Path(sys.argv[1]), Path(sys.argv[2])
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("*.zip"):
        old.unlink()
    for name, folder in read_build(build).folders.items():
        path = into / f"{name}.zip"
        make_zip(folder, path)
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
