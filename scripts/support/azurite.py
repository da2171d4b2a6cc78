"""Azurite, Azure's own emulator of Blob Storage, on free loopback ports, for scripts: one account, in memory."""

import base64
import hashlib
import hmac
import http.client
import os
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path

from .registry import free_port

START_SECONDS = 30
ACCOUNT = "bench"
KEY = b"the key of bench"
VERSION = "2024-11-04"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "airlift-tools"


def find_program():
    """On the PATH, else where scripts/check has installed it."""
    found = shutil.which("azurite") or TOOLS / "node_modules" / ".bin" / "azurite"
    if not Path(found).exists():
        raise SystemExit(f"error: there is no `azurite`\nhint: npm install --prefix {TOOLS} azurite@3.37.0")
    return str(found)


def signature():
    """An account SAS that may do everything."""
    expiry = "2100-01-01T00:00:00Z"
    fields = [ACCOUNT, "rwdlac", "b", "sco", "", expiry, "", "", VERSION, "", ""]
    tag = hmac.new(KEY, "\n".join(fields).encode(), hashlib.sha256).digest()
    return urllib.parse.urlencode({"sv": VERSION, "ss": "b", "srt": "sco", "sp": "rwdlac", "se": expiry,
                                   "sig": base64.b64encode(tag).decode()})


class Azurite:
    """Use as a context: it runs inside, and its own process is ended at the end."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.address = f"127.0.0.1:{free_port()}"
        self.signature = signature()
        self.process = None

    def __enter__(self):
        self.directory.mkdir(parents=True)
        command = [find_program(), "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent",
                   "--blobPort", self.address.split(":")[1], "--queuePort", str(free_port()),
                   "--tablePort", str(free_port())]
        accounts = f"{ACCOUNT}:{base64.b64encode(KEY).decode()}"
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, AZURITE_ACCOUNTS=accounts))
        self.wait_until_ready()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.request(self.connect(), "GET", "", "comp=list")
                return
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"azurite did not start: {(self.directory / 'log').read_text()}")

    def connect(self):
        return http.client.HTTPConnection(self.address)

    def request(self, connection, method, path, query="", content=b"", headers=None):
        target = f"/{ACCOUNT}{path}?{query}{'&' if query else ''}{self.signature}"
        connection.request(method, target, body=content, headers={"x-ms-version": VERSION, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]}")

    def make(self, container):
        """The URL of a new container."""
        self.request(self.connect(), "PUT", f"/{container}", "restype=container")
        return f"http://{self.address}/{ACCOUNT}/{container}?{self.signature}"

    def put(self, container, name, content):
        self.request(self.connect(), "PUT", f"/{container}/{name}", content=content,
                     headers={"x-ms-blob-type": "BlockBlob"})
