"""Packages of Debian, PyPI and npm: downloaded into a cache, and installed by their own tools into a directory."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
# What the wheels are made for, whatever machine it is.
WHEELS = ["--only-binary", ":all:", "--no-deps", "--platform", "manylinux2014_x86_64", "--python-version", "3.11"]
SITE = "usr/local/lib/python3.11/site-packages"
FIRST, SECOND = 0, 1


def default_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airlift-bench"


class Packages:
    def __init__(self, cache):
        self.archives, self.wheels, self.npm_cache = cache / "debian", cache / "pypi", cache / "npm"
        for directory in (self.archives, self.wheels, self.npm_cache):
            directory.mkdir(parents=True, exist_ok=True)
        self.python = cache / "python"
        self.known = {}

    def prepare(self, series):
        """What the installers of these layers need themselves."""
        debian = sorted({name for layer in series for name in layer.debian})
        if debian:
            run(["apt-get", "update", "--quiet=2"])
            self.known = known_versions(debian)
            self.download_archives((name, self.version(name, which)) for name in debian for which in (FIRST, SECOND))
        if any(layer.pypi for layer in series) and not (self.python / "bin" / "pip").exists():
            if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode:
                run([SCRIPTS / "install", "python3-venv"])
            run([sys.executable, "-m", "venv", self.python])
        if any(layer.npm for layer in series) and not shutil.which("npm"):
            run([SCRIPTS / "install", "npm"])

    def install(self, layer, version, directory):
        """The files of the layer, below the directory, as they lie in an image."""
        for name in layer.debian:
            run(["dpkg-deb", "--extract", self.archive(name, self.version(name, version)), directory])
        pinned = [f"{name}=={versions[version]}" for name, *versions in layer.pypi]
        if pinned:
            self.install_wheels(pinned, directory / SITE)
        pinned = [f"{name}@{versions[version]}" for name, *versions in layer.npm]
        if pinned:
            self.install_modules(pinned, directory / "app")

    def versions(self, layer):
        """Of each package its name and both versions."""
        debian = [(name, self.version(name, FIRST), self.version(name, SECOND)) for name in layer.debian]
        return [*debian, *layer.pypi, *layer.npm]

    def version(self, name, which):
        return self.known[name][0 if which == FIRST else -1]

    def download_archives(self, wanted):
        missing = sorted({f"{name}={version}" for name, version in wanted if not self.archive(name, version)})
        if missing:
            # apt's own sandbox user cannot write to a private directory.
            run(["apt-get", "download", "--quiet=2", "-o", "APT::Sandbox::User=root", *missing], self.archives)

    def archive(self, name, version):
        return next(self.archives.glob(f"{name}_{version.replace(':', '%3a')}_*.deb"), None)

    def install_wheels(self, pinned, directory):
        for wheel in pinned:
            if not list(self.wheels.glob(f"{wheel.replace('==', '-')}-*.whl")):
                self.pip("download", "--dest", self.wheels, wheel)
        self.pip("install", "--no-index", "--find-links", self.wheels, "--target", directory, *pinned)

    def pip(self, command, *arguments):
        run([self.python / "bin" / "pip", command, "--quiet", "--disable-pip-version-check", *WHEELS, *arguments])

    def install_modules(self, pinned, directory):
        directory.mkdir(parents=True, exist_ok=True)
        # Forced, since some are made for one platform, which need not be this machine's.
        run(["npm", "install", "--prefix", directory, "--cache", self.npm_cache, "--prefer-offline", "--force",
             "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", *pinned])


@functools.total_ordering
class DebianVersion:
    """In the order that dpkg defines."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return self.text == other.text

    def __lt__(self, other):
        compared = subprocess.run(["dpkg", "--compare-versions", self.text, "lt", other.text])
        return compared.returncode == 0


def known_versions(names):
    """Of each package the versions that the machine's archives have, the oldest first."""
    known = {name: set() for name in names}
    for line in output(["apt-cache", "madison", *names]).splitlines():
        name, version, origin = (column.strip() for column in line.split("|"))
        if "Packages" in origin:
            known[name].add(version)
    absent = [name for name, versions in known.items() if not versions]
    if absent:
        raise SystemExit(f"error: the machine's Debian archives have no package `{'`, `'.join(absent)}`")
    return {name: sorted(versions, key=DebianVersion) for name, versions in known.items()}


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def run(command, directory=None):
    """Its output is shown only if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        raise SystemExit(f"error: `{' '.join(words)}` ended with {done.returncode}:\n{done.stdout}")
