"""Builds images of a series layer by layer with buildah, and pushes them: every second one with skopeo.

So each layer is compressed by the encoder that these tools write with. The storage is a directory of its own.
"""

import os
import shutil

from .packages import output, run
from .series import images

REPOSITORY = "series"


class Images:
    """The store of one version. A rebuild is made in the store of the version that it repeats."""

    def __init__(self, directory, packages, series):
        if os.geteuid() != 0:
            raise SystemExit("error: buildah builds layers of other users' files\nhint: run this as root")
        self.packages, self.series = packages, series
        self.root, self.runroot = directory / "storage", directory / "run"
        self.tree = directory / "tree"

    def build(self, version, tag, only=None):
        """Every layer, or only some, on those that are there already."""
        for layer in self.series:
            if only is None or only(layer):
                self.tree.mkdir(parents=True)
                self.packages.install(layer, version, self.tree)
                self.add(layer, tag, self.base(layer, tag, only))
                shutil.rmtree(self.tree)

    def base(self, layer, tag, only):
        if layer.below is None:
            return "scratch"
        [below] = [other for other in self.series if other.name == layer.below]
        return f"localhost/{below.name}:{tag if only is None or only(below) else 'v1'}"

    def add(self, layer, tag, base):
        container = output(self.buildah("from", "--pull-never", base)).strip()
        run(self.buildah("add", "--quiet", container, self.tree, "/"))
        run(self.buildah("commit", "--quiet", "--rm", "--format", "oci", container, f"localhost/{layer.name}:{tag}"))

    def push(self, address, tag):
        """The names of the images pushed."""
        names = [name for name in images(self.series) if self.has(f"{name}:{tag}")]
        for number, name in enumerate(names):
            target = f"docker://{address}/{REPOSITORY}/{name}:{tag}"
            if number % 2 == 0:
                run(self.buildah("push", "--quiet", "--tls-verify=false", f"localhost/{name}:{tag}", target))
            else:
                store = f"[vfs@{self.root}+{self.runroot}]"
                run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false",
                     f"containers-storage:{store}localhost/{name}:{tag}", target])
        return names

    def has(self, image):
        return f"localhost/{image}" in output(self.buildah("images", "--format", "{{.Name}}:{{.Tag}}")).split()

    def buildah(self, *arguments):
        # Plain copies: slower than an overlay, and possible everywhere.
        return ["buildah", "--storage-driver", "vfs", "--root", str(self.root), "--runroot", str(self.runroot),
                *map(str, arguments)]

    def remove(self):
        for directory in (self.root, self.runroot):
            shutil.rmtree(directory, ignore_errors=True)
