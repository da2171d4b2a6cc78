"""Runs commands and says what they took: time, memory, bytes over loopback."""

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass
class Sample:
    seconds: float
    # Peak resident size of the largest process.
    rss: int
    # Everything that was sent over loopback, the answers and headers included.
    loopback: int


def measure(commands, durable=False):
    """Runs the commands one after the other, from cold caches. With `durable`, until everything is on disk."""
    cold()
    sent = loopback_bytes()
    started = time.monotonic()
    rss = max(run(command) for command in commands)
    if durable:
        os.sync()
    return Sample(time.monotonic() - started, rss, loopback_bytes() - sent)


def run(command):
    """The command's peak resident size in bytes; its output is shown only if it fails."""
    words = [str(part) for part in command]
    with tempfile.NamedTemporaryFile("r") as peak:
        # Not by wait4 from here: a child starts with this interpreter's own peak as its floor.
        done = subprocess.run(["/usr/bin/time", "--format", "%M", "--output", peak.name, *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise SystemExit(f"error: `{' '.join(words)}` ended with {done.returncode}:\n"
                             + done.stdout.decode(errors="replace"))
        return int(peak.read()) * 1024


def cold():
    os.sync()
    if os.geteuid() == 0 and os.access(DROP_CACHES, os.W_OK):
        DROP_CACHES.write_text("3")


def loopback_bytes():
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[8])
    return 0


def median(samples):
    return Sample(
        statistics.median(sample.seconds for sample in samples),
        max(sample.rss for sample in samples),
        int(statistics.median(sample.loopback for sample in samples)),
    )
