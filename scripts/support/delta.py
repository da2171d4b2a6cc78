"""What dense bundles and deltas save, and what they cost, beside layer-level deduplication and `zstd --patch-from`.

An image series is built in two versions and a rebuild, see `series`. The first version is delivered; from there on
each step begins with the target, and with both ledgers, as they were then.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import content, patches
from .images import REPOSITORY, Images
from .measure import MIB, measure
from .packages import FIRST, SECOND, Packages
from .series import FULL, SMALL, images

UPDATE_MAX, REBUILD_MAX, FULL_MAX = 0.20, 0.005, 0.75
EXPORT_MEMORY_MAX, IMPORT_MEMORY_MAX = 256 * MIB, 160 * MIB
ORDER = ["--pipeline", "series", "--audience", "far"]
ASSUMED = ["--assume-delivered"]


@dataclass
class Row:
    name: str
    what: str
    size: int
    # What it is a share of.
    whole: int
    export: object = None
    bring_in: object = None

    def report(self):
        return {"name": self.name, "what": self.what, "bytes": self.size, "share": round(self.size / self.whole, 5),
                "export": spent(self.export), "import": spent(self.bring_in)}


class Delta:
    def __init__(self, airlift, directory, source, target, options, note, check):
        self.airlift, self.directory, self.source, self.target = airlift, directory, source, target
        self.note, self.check = note, check
        self.series = SMALL if options.small else FULL
        self.packages = Packages(Path(options.cache))
        self.rows, self.checks = [], []
        self.arrived = 0

    def run(self):
        self.build()
        self.recognise()
        self.full()
        self.incremental("rebuild", "rebuild", REBUILD_MAX)
        self.incremental("update", "v2", UPDATE_MAX)
        self.patch()

    def build(self):
        self.note("downloading packages")
        self.packages.prepare(self.series)
        self.versions = {layer.name: self.packages.versions(layer) for layer in self.series}
        store = Images(self.directory / "first", self.packages, self.series)
        self.manifests = {}
        for tag, version, only in (("v1", FIRST, None), ("rebuild", FIRST, lambda layer: layer.is_rebuilt()),
                                   ("v2", SECOND, None)):
            self.note(f"building and pushing {tag}")
            if version == SECOND:
                store.remove()
                store = Images(self.directory / "second", self.packages, self.series)
            store.build(version, tag, only)
            names = store.push(self.source.address, tag)
            self.manifests[tag] = {name: self.manifest(name, tag) for name in names}
        store.remove()

    def manifest(self, name, tag):
        return json.loads(content.manifest_of(self.source.address, f"{REPOSITORY}/{name}", tag))

    def layers(self, tag):
        """Of each layer, by its name in the series, its descriptor; in order."""
        stacks = images(self.series)
        return {layer: described for name, manifest in self.manifests[tag].items()
                for layer, described in zip(stacks[name], manifest["layers"], strict=True)}

    def changed(self, tag):
        old = {layer["digest"] for layer in self.layers("v1").values()}
        return {name: layer for name, layer in self.layers(tag).items() if layer["digest"] not in old}

    def recognise(self):
        """Who wrote the layers, and what taking them apart takes by itself."""
        self.note("which encoder wrote each layer")
        out = self.directory / "encoders.json"
        inspect = [self.airlift.binary, "inspect", "--output", "json", "--encoders", *self.references("v1")]
        # `measure` shows no output.
        self.alone = measure([["sh", "-c", 'path=$1; shift; exec "$@" >"$path"', "inspect", out, *inspect]])
        self.encoders = {}
        for layer in json.loads(out.read_text())["layers"]:
            names = " + ".join(encoder["name"] for encoder in layer["encoders"]) or layer["method"]
            self.encoders[names] = self.encoders.get(names, 0) + layer["sizeBytes"]

    def references(self, tag):
        return [f"{self.source.address}/{REPOSITORY}/{name}:{tag}" for name in self.manifests[tag]]

    def full(self):
        layers = self.layers("v1").values()
        whole = sum(layer["size"] for layer in layers)
        self.rows.append(Row("full", f"gzip bytes of {len(layers)} layers; airlift inspect --encoders of them", whole, whole,
                             self.alone))
        self.rows.append(self.step("full", "a plain bundle, tar.zst of them", "v1", whole, "plain", []))
        self.target.wipe()
        dense = self.step("full", "airlift --profile dense", "v1", whole, "v1", ["--profile", "dense"])
        self.rows.append(dense)
        self.limits(dense, FULL_MAX)
        self.target.stop()
        shutil.copytree(self.target.storage, self.directory / "delivered")
        self.target.start()

    def incremental(self, name, tag, limit):
        changed = self.changed(tag)
        whole = sum(layer["size"] for layer in changed.values())
        self.rows.append(Row(name, f"gzip bytes of the {len(changed)} layers that changed", whole, whole))
        for what, flag in (("airlift --incremental, whole layers", "--incremental"), ("airlift --delta", "--delta")):
            self.rewind(tag + flag)
            row = self.step(name, what, tag, whole, tag + flag, [flag, *ASSUMED])
            self.rows.append(row)
        self.limits(row, limit)

    def rewind(self, name):
        """As it was when the first version had arrived."""
        self.target.stop()
        shutil.rmtree(self.target.storage)
        shutil.copytree(self.directory / "delivered", self.target.storage)
        self.target.start()
        for side in ("near", "far"):
            shutil.copytree(self.directory / f"{side}-v1", self.directory / f"{side}-{name}")

    def step(self, name, what, tag, whole, state, flags):
        self.note(f"{name}: {what}")
        container = self.directory / f"bundle-{state}"
        container.mkdir()
        export = measure([[*self.airlift.export(self.references(tag), container), *ORDER, *flags, *self.places("near", state)]])
        size = sum(path.stat().st_size for path in container.iterdir())
        bring_in = measure([[*self.airlift.bring_in(container, self.target.address), "--lane", "far",
                             *(self.places("far", state))]])
        shutil.rmtree(container)
        self.must_have_arrived(tag)
        return Row(name, what, size, whole, export, bring_in)

    def places(self, side, state):
        return ["--state", self.directory / f"{side}-{state}"]

    def must_have_arrived(self, tag):
        """Every manifest and every layer, under its digest: the registry at the target has hashed what it took."""
        for image in self.manifests[tag]:
            repository = f"{REPOSITORY}/{image}"
            sent, found = (content.manifest_of(end.address, repository, tag) for end in (self.source, self.target))
            if sent != found:
                raise SystemExit(f"error: {repository}:{tag} is another manifest at the target")
            for layer in json.loads(sent)["layers"]:
                size = content.blob_size(self.target.address, repository, layer["digest"])
                if size != layer["size"]:
                    raise SystemExit(f"error: {layer['digest']} has {size} bytes at the target, not {layer['size']}")
                self.arrived += 1

    def limits(self, row, share):
        self.checks += [
            self.check(f"{row.name}: percent", 100 * row.size / row.whole, 100 * share),
            self.check(f"{row.name}, export: MiB of memory", row.export.rss / MIB, EXPORT_MEMORY_MAX / MIB),
            self.check(f"{row.name}, import: MiB of memory", row.bring_in.rss / MIB, IMPORT_MEMORY_MAX / MIB),
        ]

    def patch(self):
        self.note("update: zstd --patch-from")
        old, changed = self.layers("v1"), self.changed("v2")
        pairs = [(self.source.blob(old[name]["digest"]), self.source.blob(layer["digest"]))
                 for name, layer in changed.items()]
        size, export, bring_in = patches.patch(pairs, self.directory)
        whole = sum(layer["size"] for layer in changed.values())
        what = "zstd -3 --patch-from, each tar; the gzip bytes are lost"
        self.rows.append(Row("update", what, size, whole, export, bring_in))

    def report(self):
        return {"packages": {layer: {name: versions for name, *versions in listed}
                             for layer, listed in self.versions.items()},
                "encoders": self.encoders, "layers_arrived": self.arrived,
                "measurements": [row.report() for row in self.rows], "checks": self.checks}


def spent(sample):
    return sample and {"seconds": round(sample.seconds, 2), "cpu_seconds": round(sample.cpu, 2),
                       "peak_rss_bytes": sample.rss}


def show(report):
    for layer, packages in report.get("packages", {}).items():
        print(f"{layer}: " + ", ".join(f"{name} {change(*versions)}" for name, versions in packages.items()))
    print(f"\n{'':8} {'MB':>8} {'%':>6} │ {'export s':>8} {'cpu s':>7} {'MiB':>6} │ {'import s':>8} {'cpu s':>7} {'MiB':>6}  what")
    for row in report["measurements"]:
        sides = " │ ".join(shown(row[side]) for side in ("export", "import"))
        print(f"{row['name']:8} {row['bytes'] / 1e6:8.2f} {100 * row['share']:6.2f} │ {sides}  {row['what']}")
    for names, size in report.get("encoders", {}).items():
        print(f"\n{size / 1e6:.1f} MB of the layers were written by: {names}", end="")
    if "layers_arrived" in report:
        print(f"\n\n{report['layers_arrived']} times a layer arrived with its digest")
    for row in report.get("left_out", []):
        print(f"\nnot measured: {row}")
    print()


def change(first, second):
    return first if first == second else f"{first} → {second}"


def shown(side):
    if side is None:
        return f"{'':8} {'':7} {'':6}"
    return f"{side['seconds']:8.1f} {side['cpu_seconds']:7.1f} {side['peak_rss_bytes'] / MIB:6.0f}"
