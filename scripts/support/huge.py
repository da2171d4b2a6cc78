"""One huge layer in a dense bundle: memory on both sides, and processor time beside taking it apart alone.

The layer is made of the files of the small series over and over, each time with all 256 bytes exchanged for one
another, so that it compresses as files do and nothing repeats. skopeo compresses it.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from random import Random

from . import content
from .delta import EXPORT_MEMORY_MAX, IMPORT_MEMORY_MAX, Row
from .measure import MIB, measure
from .packages import FIRST, Packages, run
from .series import SMALL

REPOSITORY = "huge"
TAR = "application/vnd.oci.image.layer.v1.tar"
EXPORT_CPU_MAX, IMPORT_CPU_MAX = 2.2, 1.5
# Two cores take the time of one, by 1.7.
TWO_CORES_MAX = 1 / 1.7
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse_size(text):
    number, unit = text[:-3], text[-3:]
    if unit not in UNITS or not number.isdigit():
        raise ValueError(text)
    return int(number) * UNITS[unit]


class Huge:
    def __init__(self, airlift, directory, source, target, options, note, check):
        self.airlift, self.directory, self.source, self.target = airlift, directory, source, target
        self.note, self.check, self.size = note, check, options.layer
        self.packages = Packages(Path(options.cache))
        self.rows, self.checks, self.left_out = [], [], []

    def run(self):
        self.note(f"making a layer of {self.size / MIB:.0f} MiB")
        self.tar = self.directory / "huge.tar"
        self.make()
        self.reference = f"{self.source.address}/{REPOSITORY}:1"
        self.push()
        export, bring_in = self.both_ways()
        self.checks += [self.check("export: MiB of memory", export.rss / MIB, EXPORT_MEMORY_MAX / MIB),
                        self.check("import: MiB of memory", bring_in.rss / MIB, IMPORT_MEMORY_MAX / MIB)]
        if "--encoders" in subprocess.run([self.airlift.binary, "inspect", "--help"], capture_output=True, text=True).stdout:
            self.beside_taking_apart(export, bring_in)
        else:
            self.left_out.append("processor time beside re-encoding alone: this airlift has no `inspect --encoders`")

    def make(self):
        files, random = self.files(), Random(1)
        with open(self.tar, "wb") as output:
            left, number = self.size, 0
            while left:
                share = min(left, len(files))
                output.write(header(f"copy-{number}", share - 1024) if share > 1024 else bytes(share))
                if share > 1024:
                    output.write(exchanged(files[:share - 1024], random))
                    output.write(bytes(512))
                left, number = left - share, number + 1

    def files(self):
        """A tar of everything in the small series, in whole blocks."""
        tree, packed = self.directory / "tree", self.directory / "files.tar"
        self.packages.prepare(SMALL)
        tree.mkdir()
        for layer in SMALL:
            self.packages.install(layer, FIRST, tree)
        run(["tar", "--create", "--sort=name", "--file", packed, "--directory", tree, "."])
        shutil.rmtree(tree)
        files = packed.read_bytes()
        packed.unlink()
        return files

    def push(self):
        """As an image whose layer is a plain tar, which skopeo compresses on the way to the registry."""
        layout = self.directory / "layout"
        blobs = layout / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        with open(self.tar, "rb") as tar:
            name = hashlib.file_digest(tar, "sha256").hexdigest()
        (blobs / name).symlink_to(self.tar)
        layer = {"mediaType": TAR, "digest": f"sha256:{name}", "size": self.size}
        settings = content.config([layer["digest"]])
        body = content.manifest(content.descriptor(content.CONFIG, settings), [layer])
        for stored in (settings, body):
            (blobs / content.digest(stored).removeprefix("sha256:")).write_bytes(stored)
        (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        entry = content.descriptor(content.MANIFEST, body)
        (layout / "index.json").write_bytes(content.encode({"schemaVersion": 2, "manifests": [entry]}))
        run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{self.reference}"])
        shutil.rmtree(layout)

    def both_ways(self):
        container = self.directory / "container"
        container.mkdir()
        self.note("export and import")
        export = measure([[*self.airlift.export([self.reference], container), "--profile", "dense"]])
        bring_in = measure([self.airlift.bring_in(container, self.target.address)])
        sent, found = (content.tagged_digest(end.address, REPOSITORY, "1") for end in (self.source, self.target))
        if sent != found:
            raise SystemExit(f"error: the image is {sent} at the source and {found} at the target")
        [layer] = content.layers_of(self.source.address, REPOSITORY, "1")
        self.rows.append(Row("gzip", "the layer, as skopeo compressed it", layer["size"], layer["size"]))
        size = sum(path.stat().st_size for path in container.iterdir())
        self.rows.append(Row("dense", "airlift --profile dense", size, layer["size"], export, bring_in))
        self.whole = layer["size"]
        shutil.rmtree(container)
        return export, bring_in

    def beside_taking_apart(self, export, bring_in):
        """The layer taken apart and made again, and nothing written: what an export and an import cannot do without."""
        self.note("taking apart alone, on all cores and on one, and pigz")
        inspect = [self.airlift.binary, "inspect", "--encoders", self.reference]
        alone, one_core = measure([inspect]), measure([["taskset", "--cpu-list", "0", *inspect]])
        pigz = measure([["sh", "-c", 'pigz -p1 -6 <"$1" >/dev/null', "pigz", self.tar]])
        for name, what, sample in (("alone", "airlift inspect --encoders", alone),
                                   ("alone", "airlift inspect --encoders, on one core", one_core),
                                   ("pigz", "pigz -p1 -6 of the same tar", pigz)):
            self.rows.append(Row(name, what, self.whole, self.whole, sample))
        self.checks += [
            self.check("export: processor time beside `inspect --encoders`", export.cpu / alone.cpu, EXPORT_CPU_MAX),
            self.check("import: processor time beside `inspect --encoders`", bring_in.cpu / alone.cpu, IMPORT_CPU_MAX),
            self.check("`inspect --encoders`: processor time beside pigz", one_core.cpu / pigz.cpu, 1),
        ]
        if os.cpu_count() > 1:
            self.checks.append(self.check("`inspect --encoders`: wall time of all cores beside one",
                                          alone.seconds / one_core.seconds, TWO_CORES_MAX))

    def report(self):
        return {"layer_bytes": self.size, "measurements": [row.report() for row in self.rows],
                "checks": self.checks, "left_out": self.left_out}


def header(name, size):
    """A tar header of a file."""
    fields = [(name, 100), ("0000644", 8), ("0000000", 8), ("0000000", 8), (f"{size:011o}", 12), ("0" * 11, 12),
              (" " * 8, 8), ("0", 1), ("", 100), ("ustar\x0000", 8)]
    block = bytearray(b"".join(text.encode().ljust(width, b"\0") for text, width in fields).ljust(512, b"\0"))
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def exchanged(files, random):
    """The same lengths and distances of what repeats within, and other bytes."""
    return files.translate(bytes(random.sample(range(256), 256)))
