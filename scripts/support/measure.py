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
    # What the processors did for the commands, in user and system mode.
    cpu: float


def measure(commands, durable=False):
    """Runs the commands one after the other, from cold caches. With `durable`, until everything is on disk."""
    cold()
    sent = loopback_bytes()
    started = time.monotonic()
    ran = [run(command) for command in commands]
    if durable:
        os.sync()
    seconds = time.monotonic() - started
    return Sample(seconds, max(rss for rss, _ in ran), loopback_bytes() - sent, sum(cpu for _, cpu in ran))


def run(command):
    """The command's peak resident size in bytes and its processor time; its output is shown only if it fails."""
    words = [str(part) for part in command]
    with tempfile.NamedTemporaryFile("r") as peak:
        # Not by wait4 from here: a child starts with this interpreter's own peak as its floor.
        done = subprocess.run(["/usr/bin/time", "--format", "%M %U %S", "--output", peak.name, *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise SystemExit(f"error: `{' '.join(words)}` ended with {done.returncode}:\n"
                             + done.stdout.decode(errors="replace"))
        kilobytes, user, system = peak.read().split()
        return int(kilobytes) * 1024, float(user) + float(system)


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
        statistics.median(sample.cpu for sample in samples),
    )
