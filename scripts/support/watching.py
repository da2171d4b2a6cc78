"""How soon a watch delivers, and in how much memory: in a directory, in a polled container, among many others.

The time is that from the last volume's coming to the tag's being there, beside that of `airlift import` of the same
bundle to another repository. What is between them is the watch's own. Other files are there; other objects of a
container are only listed, see `crowd`.
"""

import http.client
import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from . import content
from .azurite import Azurite
from .crowd import Crowd
from .measure import MIB

RUNS, POLLED_RUNS, CROWDED_RUNS = 20, 12, 5
INTERVAL, CROWDED_INTERVAL = 5, 10
LATENCY_MAX = 1.0
MEMORY_MAX = 100 * MIB
PATIENCE = 120
# Three layers, of which two do not fit into one volume.
LAYER, VOLUME = 200_000, "300kB"
REPOSITORY = "bench/small"


class Watching:
    """One daemon, as a context: it has listed once when it begins, and is stopped at the end."""

    def __init__(self, airlift, directory, container, target, interval):
        self.log = directory / "watch.log"
        self.command = [airlift.binary, "watch", container, "--target", target, "--trust", f"{airlift.key}.pub",
                        "--state", directory / "state", "--interval", f"{interval}s", "--accept-one-off"]
        shutil.rmtree(directory / "state", ignore_errors=True)

    def __enter__(self):
        started = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(word) for word in self.command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        while " watching " not in self.said():
            if self.process.poll() is not None or time.monotonic() > started + PATIENCE:
                self.__exit__()
                raise SystemExit(f"error: the watch did not start:\n{self.said()}")
            time.sleep(0.002)
        self.start_seconds = time.monotonic() - started
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def said(self):
        return self.log.read_text(errors="replace")

    def peak(self):
        """Its peak resident size so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class Watch:
    def __init__(self, airlift, directory, source, target, options, note, check):
        self.airlift, self.directory, self.source, self.target = airlift, directory, source, target
        self.others, self.note, self.check = options.others, note, check
        self.bundles = directory / "bundles"
        self.next = 0
        self.table, self.checks = [], []

    def run(self):
        self.in_directory()
        with Azurite(self.directory / "azurite") as azurite:
            self.in_container(azurite)
            self.in_crowded_directory()
            self.in_crowded_container(azurite)

    def in_directory(self):
        self.note(f"{RUNS} bundles into a directory")
        drop = self.made("drop")
        with self.watching(drop, 30) as watching:
            seen, copied = self.deliver(RUNS, watching, lambda volume: bring(volume, drop))
            self.row("D1", "directory: the tag is there after the last rename", seen, watching.peak())
        self.row("D2", "airlift import of the same bundle", copied)
        self.within(seen, copied, LATENCY_MAX, f"directory, median of {RUNS}: seconds beyond the copy")

    def in_container(self, azurite):
        self.note(f"{POLLED_RUNS} bundles into a container that is listed every {INTERVAL} s")
        url = azurite.make("polled")
        with self.watching(url, INTERVAL) as watching:
            seen, copied = self.deliver(POLLED_RUNS, watching,
                                        lambda volume: azurite.put("polled", volume.name, volume.read_bytes()),
                                        INTERVAL)
            self.row("P1", f"Azurite, every {INTERVAL} s: the tag is there after the last Put Blob", seen, watching.peak())
        self.row("P2", "airlift import of the same bundle", copied)
        self.within(seen, copied, INTERVAL, f"Azurite, median of {POLLED_RUNS}: seconds beyond the copy")

    def in_crowded_directory(self):
        self.note(f"a directory with {self.others} other files")
        drop = self.made("crowded")
        for name in self.other_names():
            (drop / name).touch()
        self.among_others("C", "directory", drop, lambda volume: bring(volume, drop))
        shutil.rmtree(drop)

    def in_crowded_container(self, azurite):
        self.note(f"a container that lists {self.others} other objects")
        url = azurite.make("crowded")
        with Crowd(azurite.address, "crowded", self.others) as crowd:
            self.among_others("A", "Azurite", url.replace(azurite.address, crowd.address),
                              lambda volume: azurite.put("crowded", volume.name, volume.read_bytes()))

    def among_others(self, name, place, container, put):
        crowd = f"{place} with {self.others} others"
        with self.watching(container, CROWDED_INTERVAL) as watching:
            seen, copied = self.deliver(CROWDED_RUNS, watching, put, CROWDED_INTERVAL)
            peak = watching.peak()
            self.row(f"{name}1", f"{crowd}: the watch is ready", [watching.start_seconds], peak)
            self.row(f"{name}2", f"{crowd}, every {CROWDED_INTERVAL} s: the tag is there", seen, peak)
        self.checks.append(self.check(f"{crowd}: peak MiB", peak / MIB, MEMORY_MAX / MIB))
        self.within(seen, copied, CROWDED_INTERVAL, f"{crowd}: seconds beyond the copy")

    def deliver(self, runs, watching, put, interval=0):
        """For each bundle the seconds until its tag is there, and those of a copy."""
        seen, copied = [], []
        for number in range(runs):
            tag, volumes = self.export()
            # The last tag came right after a listing; so bundles come at all times between two of them.
            time.sleep(interval * (number + 0.5) / runs)
            for volume in volumes:
                put(volume)
            started = time.monotonic()
            if not self.await_tag(tag):
                raise SystemExit(f"error: the tag `{tag}` did not come; the watch said:\n{watching.said()}")
            seen.append(time.monotonic() - started)
            command = [self.airlift.binary, "import", *volumes, "--target", f"{self.target.address}/copy",
                       "--trust", f"{self.airlift.key}.pub"]
            started = time.monotonic()
            subprocess.run([str(word) for word in command], check=True, capture_output=True)
            copied.append(time.monotonic() - started)
        return seen, copied

    def export(self):
        """A bundle of a new small image: its tag, and its volumes, the last one last."""
        tag = f"v{self.next}"
        self.next += 1
        uploader = content.Uploader(self.source.address)
        layers = [uploader.blob(REPOSITORY, os.urandom(LAYER)) for _ in range(3)]
        uploader.image(REPOSITORY, tag, layers)
        self.bundles.mkdir(exist_ok=True)
        before = set(self.bundles.iterdir())
        command = self.airlift.export([f"{self.source.address}/{REPOSITORY}:{tag}"], self.bundles)
        command += ["--name", f"small-{tag}", "--volume-size", VOLUME]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        return tag, sorted(set(self.bundles.iterdir()) - before)

    def await_tag(self, tag):
        connection = http.client.HTTPConnection(self.target.address)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            connection.request("HEAD", f"/v2/{REPOSITORY}/manifests/{tag}", headers={"Accept": content.MANIFEST})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return True
            time.sleep(0.002)
        return False

    def watching(self, container, interval):
        return Watching(self.airlift, self.directory, container, self.target.address, interval)

    def made(self, name):
        directory = self.directory / name
        directory.mkdir()
        return directory

    def other_names(self):
        return [f"other-{number:06}.bin" for number in range(self.others)]

    def row(self, name, what, seconds, peak=None):
        self.table.append({"name": name, "what": what, "seconds": round(statistics.median(seconds), 3),
                           "runs": [round(sample, 3) for sample in seconds], "peak_rss_bytes": peak,
                           "loopback_bytes": None})

    def within(self, seen, copied, limit, what):
        beyond = statistics.median(seen) - statistics.median(copied)
        self.checks.append(self.check(what, max(beyond, 0), limit))

    def report(self):
        return {"others": self.others, "measurements": self.table, "checks": self.checks}


def bring(volume, directory):
    """Copied under a hidden name, and renamed: what a careful sender does."""
    hidden = directory / f".{volume.name}"
    shutil.copyfile(volume, hidden)
    hidden.rename(directory / volume.name)
