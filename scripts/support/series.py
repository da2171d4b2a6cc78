"""An image series in two versions and a rebuild: which packages its layers are made of. It builds nothing.

Versions from PyPI and npm are pinned. Debian's archive keeps few: the first version takes the oldest that the
machine's archives have of each package, the second the newest, and both are printed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    name: str
    # The layer below it; a layer that is below no other is the top of an image of its name.
    below: str | None = None
    debian: tuple[str, ...] = ()
    # Name, first version, second version.
    pypi: tuple[tuple[str, str, str], ...] = ()
    npm: tuple[tuple[str, str, str], ...] = ()

    def is_rebuilt(self):
        """Installers of wheels and of npm packages write the time of the installation; dpkg does not."""
        return bool(self.pypi or self.npm)


SCIENCE = (("numpy", "2.2.5", "2.2.6"), ("pandas", "2.2.2", "2.2.3"))

FULL = (
    Layer("base", debian=(
        "apt", "base-files", "bash", "bsdutils", "ca-certificates", "coreutils", "dash", "debconf", "debianutils",
        "diffutils", "dpkg", "findutils", "gcc-12-base", "grep", "gzip", "hostname", "libacl1", "libapt-pkg6.0",
        "libattr1", "libaudit1", "libblkid1", "libbz2-1.0", "libc-bin", "libc6", "libcap2", "libcrypt1", "libdb5.3",
        "libgcc-s1", "libgcrypt20", "libgmp10", "libgnutls30", "libgpg-error0", "libhogweed6", "libidn2-0", "liblz4-1",
        "liblzma5", "libmount1", "libnettle8", "libp11-kit0", "libpam-modules", "libpam-runtime", "libpam0g",
        "libpcre2-8-0", "libseccomp2", "libselinux1", "libsmartcols1", "libssl3", "libstdc++6", "libsystemd0",
        "libtasn1-6", "libtinfo6", "libudev1", "libunistring2", "libuuid1", "libxxhash0", "libzstd1", "login", "mawk",
        "mount", "ncurses-base", "ncurses-bin", "openssl", "passwd", "perl-base", "sed", "tar", "tzdata", "util-linux",
        "zlib1g")),
    Layer("python", "base", debian=(
        "libexpat1", "libffi8", "libncursesw6", "libpython3.11-minimal", "libpython3.11-stdlib", "libreadline8",
        "libsqlite3-0", "python3.11", "python3.11-minimal")),
    Layer("science", "python", pypi=SCIENCE),
    Layer("node", "base", debian=("libc-ares2", "libicu72", "libnghttp2-14", "libnode108", "libuv1", "nodejs")),
    Layer("web", "node", npm=(
        ("typescript", "5.6.2", "5.6.3"), ("webpack", "5.95.0", "5.96.1"), ("eslint", "9.12.0", "9.13.0"))),
    Layer("java", "base", debian=("openjdk-17-jre-headless",)),
    # Programs written in Go.
    Layer("go", "base", debian=("containerd", "runc"), npm=(("@esbuild/linux-x64", "0.24.0", "0.24.2"),)),
)

# Nothing of which Debian's archive decides the version, and nothing that has dependencies.
SMALL = (
    Layer("science", pypi=SCIENCE),
    Layer("web", npm=(("typescript", "5.6.2", "5.6.3"), ("prettier", "3.3.2", "3.3.3"))),
    Layer("go", npm=(("@esbuild/linux-x64", "0.24.0", "0.24.2"),)),
)


def images(series):
    """Of each image its layers' names, the lowest first."""
    layers = {layer.name: layer for layer in series}
    below = {layer.below for layer in series}
    return {layer.name: chain(layers, layer.name) for layer in series if layer.name not in below}


def chain(layers, name):
    return [*chain(layers, layers[name].below), name] if name else []
