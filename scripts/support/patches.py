"""`zstd --patch-from`, layer by layer: what a tool makes of two tars, without the way back to the gzip bytes."""

import subprocess

from .measure import Sample, measure

# Windows of up to 2 GiB: smaller ones do not see the whole old layer.
ZSTD = ["zstd", "--quiet", "--force", "-3", "--long=31"]


def patch(pairs, directory):
    """The bytes of all patches, and what making and applying them took, of pairs of an old and a new gzip file."""
    old, new, made, again = (directory / name for name in ("old.tar", "new.tar", "patch.zst", "again.tar"))
    size, making, applying = 0, [], []
    for before, after in pairs:
        inflate(before, old)
        inflate(after, new)
        making.append(measure([[*ZSTD, f"--patch-from={old}", new, "-o", made]]))
        applying.append(measure([[*ZSTD, "--decompress", f"--patch-from={old}", made, "-o", again]]))
        size += made.stat().st_size
    for path in (old, new, made, again):
        path.unlink(missing_ok=True)
    return size, total(making), total(applying)


def inflate(packed, target):
    with open(target, "wb") as output:
        subprocess.run(["pigz", "--decompress", "--stdout", packed], check=True, stdout=output)


def total(samples):
    return Sample(sum(sample.seconds for sample in samples), max((sample.rss for sample in samples), default=0),
                  sum(sample.loopback for sample in samples), sum(sample.cpu for sample in samples))
