"""Find, or fetch once from npm, the `libchdb.so` that carries a real ClickHouse server.

`python -m tests.libchdb` prints the path; without one it prints a single line with the reason and exits 1.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "26.7.3-stable.1"
CACHE = Path(__file__).resolve().parents[1] / ".cache" / f"libchdb-{VERSION}"
LIBRARY = "libchdb.so"

# By the machine's name. Whether npm has the package at VERSION is npm's to say, at download time.
PACKAGES = {"x86_64": "@chdb/lib-linux-x64-gnu", "aarch64": "@chdb/lib-linux-arm64-gnu"}

# 178 MB compressed: ten minutes let a line of 2.4 Mbit/s through and still end a hung download.
DOWNLOAD_SECONDS = 600


class LibchdbUnavailable(Exception):
    """There is no libchdb on this machine; the message is one line that says why."""


def find_libchdb() -> Path:
    """The path of `libchdb.so`, downloaded when the cache does not have it.

    Raises LibchdbUnavailable on another platform, without npm, or when the download fails.
    """
    package = _package()
    library = CACHE / LIBRARY
    if not library.is_file():
        _download(f"{package}@{VERSION}", library)
    return library


def _package() -> str:
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in PACKAGES:
        raise LibchdbUnavailable(f"libchdb {VERSION} has no npm package for {system} {machine}")
    return PACKAGES[machine]


def _download(spec: str, library: Path) -> None:
    """Put the library of an npm package at `library`: the whole file or nothing.

    Everything happens in a folder beside it, on the same file system, and os.replace is one step: of two
    processes that download at once the later one replaces the file with an equal one.
    """
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=library.parent) as folder:
            tarball = _npm_pack(spec, Path(folder))
            os.replace(_extract(tarball, Path(folder)), library)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise LibchdbUnavailable(f"{spec} could not be unpacked into {library.parent}: {error}") from error


def _npm_pack(spec: str, folder: Path) -> Path:
    """Download a package's tarball into `folder`. npm checks it against the registry's sha512."""
    npm = shutil.which("npm")
    if npm is None:
        raise LibchdbUnavailable(f"npm is not on the PATH, and {spec} is fetched with `npm pack`")
    command = [npm, "pack", spec, "--ignore-scripts", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LibchdbUnavailable(f"npm pack {spec} took longer than {DOWNLOAD_SECONDS} s") from error
    tarball = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or tarball is None:
        raise LibchdbUnavailable(f"npm pack {spec} failed: {_npm_reason(done)}")
    return tarball


def _npm_reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line of npm's output that says what went wrong: the first error that is not a bare code."""
    lines = (line.replace("npm ERR! ", "npm error ") for line in done.stderr.splitlines())  # npm before 10
    errors = [line.removeprefix("npm error ") for line in lines if line.startswith("npm error ")]
    said = [error for error in errors if not error.startswith(("code ", "errno ", "syscall "))]
    return next(iter(said or errors), f"exit status {done.returncode}").strip()


def _extract(tarball: Path, folder: Path) -> Path:
    """Write the library out of the tarball into `folder`, and nothing else of the package."""
    target = folder / LIBRARY
    with tarfile.open(tarball) as archive:
        try:
            source = archive.extractfile(f"package/{LIBRARY}")
        except KeyError:
            source = None
        if source is None:
            raise LibchdbUnavailable(f"{tarball.name} holds no package/{LIBRARY}")
        with source, target.open("wb") as out:
            shutil.copyfileobj(source, out, 1024 * 1024)
    return target


def main() -> int:
    """Print the path and answer 0, or print the one reason to stderr and answer 1."""
    try:
        sys.stdout.write(f"{find_libchdb()}\n")
    except LibchdbUnavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
