"""A docker-registry (Debian's) on a free loopback port, for scripts: started, wiped and ended by them alone."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 20

CONFIGURATION = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  delete:
    enabled: true
  filesystem:
    rootdirectory: {storage}
http:
  addr: {address}
"""


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Registry:
    """Use as a context: it runs inside, and its own process is ended at the end."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.storage = self.directory / "storage"
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.process = None

    def __enter__(self):
        self.storage.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        configuration = self.directory / "config.yml"
        configuration.write_text(CONFIGURATION.format(storage=self.storage, address=self.address))
        # Nothing of the caller's environment may change the configuration.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(configuration)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            )
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/v2/", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"docker-registry did not start: {(self.directory / 'log').read_text()}")

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def wipe(self):
        """Empties the registry, its memory included."""
        self.stop()
        shutil.rmtree(self.storage)
        self.storage.mkdir()
        self.start()

    def blob(self, digest):
        """The file that has this content."""
        algorithm, _, name = digest.partition(":")
        return self.storage / "docker" / "registry" / "v2" / "blobs" / algorithm / name[:2] / name / "data"
