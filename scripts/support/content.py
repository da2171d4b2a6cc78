"""Content for measurements: images made of Debian packages, one huge layer, thousands of small artifacts."""

import hashlib
import http.client
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

# A layer for each package. The base is shared and small, so that nobody wins by sending it once.
BASE = ["libc6", "perl-base", "libpython3.11-stdlib"]
IMAGES = {
    "java": ["openjdk-17-jre-headless", "openjdk-17-jdk-headless", "openjdk-17-source"],
    "llvm": ["libllvm15", "libclang-cpp15", "llvm-15-dev", "libstd-rust-dev"],
    "kernel": ["linux-source-6.1", "golang-1.19-go"],
    "browser": ["chromium", "firefox-esr"],
    "fonts": ["fonts-noto-cjk-extra", "fonts-noto-extra", "ghc"],
}


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(value):
    return json.dumps(value, separators=(",", ":")).encode()


def descriptor(media_type, content):
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def manifest(config, layers):
    return encode({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})


def config(diff_ids):
    return encode({"architecture": "amd64", "os": "linux", "config": {},
                   "rootfs": {"type": "layers", "diff_ids": diff_ids}})


class PackageImages:
    """An OCI layout with one image for each entry of IMAGES, each tagged with its name."""

    def __init__(self, directory):
        self.layout = directory / "images"
        self.packages = directory / "packages"
        self.blobs = self.layout / "blobs" / "sha256"
        self.layers = {}

    def build(self):
        self.blobs.mkdir(parents=True)
        self.packages.mkdir()
        self.download(BASE + [name for names in IMAGES.values() for name in names])
        entries = [self.image(name, BASE + packages) for name, packages in IMAGES.items()]
        (self.layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.layout / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": entries}))
        return self

    def download(self, names):
        # apt's own sandbox user cannot write to a private directory.
        subprocess.run(["apt-get", "download", "--quiet=2", "-o", "APT::Sandbox::User=root", *names],
                       check=True, cwd=self.packages)

    def image(self, name, packages):
        layers = [self.layer(package) for package in packages]
        settings = self.store(config([diff_id for diff_id, _ in layers]))
        body = manifest(dict(settings, mediaType=CONFIG), [layer for _, layer in layers])
        entry = dict(self.store(body), mediaType=MANIFEST)
        return dict(entry, annotations={"org.opencontainers.image.ref.name": name})

    def store(self, content):
        (self.blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return descriptor("", content)

    def layer(self, package):
        """The package's files as one gzip layer: its diff id and its descriptor."""
        if package not in self.layers:
            [archive] = self.packages.glob(f"{package}_*.deb")
            self.layers[package] = self.pack(archive)
            archive.unlink()
        return self.layers[package]

    def pack(self, archive):
        target = self.blobs / "partial"
        with open(target, "wb") as output:
            unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
            pack = subprocess.Popen(["pigz", "--no-name"], stdin=subprocess.PIPE, stdout=output)
            diff_id = hashlib.sha256()
            while piece := unpack.stdout.read(1 << 20):
                diff_id.update(piece)
                pack.stdin.write(piece)
            pack.stdin.close()
            if unpack.wait() or pack.wait():
                raise RuntimeError(f"cannot make a layer of {archive.name}")
        with open(target, "rb") as packed:
            name = hashlib.file_digest(packed, "sha256").hexdigest()
        size = target.stat().st_size
        target.rename(self.blobs / name)
        return f"sha256:{diff_id.hexdigest()}", {"mediaType": LAYER, "digest": f"sha256:{name}", "size": size}

    def blob_sizes(self, name):
        """Digest and size of everything but the manifest that the image needs."""
        index = json.loads((self.layout / "index.json").read_bytes())
        [entry] = [entry for entry in index["manifests"]
                   if entry["annotations"]["org.opencontainers.image.ref.name"] == name]
        body = json.loads((self.blobs / entry["digest"].removeprefix("sha256:")).read_bytes())
        return {blob["digest"]: blob["size"] for blob in [body["config"], *body["layers"]]}


class Uploader:
    """Puts content straight into a registry, over one kept connection."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def request(self, method, path, body=b"", headers=None):
        self.connection.request(method, path, body=body, headers=headers or {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path.split('?')[0]}: {answer.status} {text[:200]}")
        return answer.headers

    def session(self, repository):
        location = self.request("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        return self.path(location)

    @staticmethod
    def path(location):
        return "/" + location.split("://", 1)[-1].split("/", 1)[1]

    def blob(self, repository, content):
        self.request("PUT", f"{self.session(repository)}&digest={digest(content)}", content,
                     {"Content-Type": "application/octet-stream"})
        return descriptor(LAYER, content)

    def stream(self, repository, pieces, size):
        """A blob that is never held whole."""
        hasher = hashlib.sha256()

        def hashed():
            for piece in pieces:
                hasher.update(piece)
                yield piece

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        location = self.path(self.request("PATCH", self.session(repository), hashed(), headers)["Location"])
        name = f"sha256:{hasher.hexdigest()}"
        self.request("PUT", f"{location}&digest={name}")
        return {"mediaType": LAYER, "digest": name, "size": size}

    def image(self, repository, tag, layers):
        settings = config([layer["digest"] for layer in layers])
        self.blob(repository, settings)
        self.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest(descriptor(CONFIG, settings), layers),
                     {"Content-Type": MANIFEST})


def huge_image(address, repository, size):
    """One layer of `size` bytes that do not compress, whatever its media type says."""
    uploader = Uploader(address)
    layer = uploader.stream(repository, noise(size), size)
    uploader.image(repository, "1", [layer])


def noise(size):
    key = ["-K", os.urandom(16).hex(), "-iv", "0" * 32]
    with open("/dev/zero", "rb") as zero:
        cipher = subprocess.Popen(["openssl", "enc", "-aes-128-ctr", *key], stdin=zero, stdout=subprocess.PIPE)
    left = size
    while left:
        piece = cipher.stdout.read(min(left, 1 << 20))
        left -= len(piece)
        yield piece
    cipher.kill()
    cipher.stdout.close()
    cipher.wait()


def many_images(address, repository, count):
    """`count` tags, each an image with one small layer and one small configuration of its own."""
    def upload(share):
        uploader = Uploader(address)
        for number in share:
            layer = uploader.blob(repository, f"{repository} {number} ".encode() + os.urandom(600))
            uploader.image(repository, f"v{number}", [layer])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, [range(start, count, 4) for start in range(4)]))


def tagged_digest(address, repository, tag):
    """What the registry says the tag is."""
    return Uploader(address).request("HEAD", f"/v2/{repository}/manifests/{tag}",
                                     headers={"Accept": MANIFEST})["Docker-Content-Digest"]


def manifest_of(address, repository, tag):
    """The manifest's bytes, as the registry has them."""
    connection = http.client.HTTPConnection(address)
    connection.request("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": MANIFEST})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{repository}:{tag}: {answer.status} {body[:200]}")
    return body


def layers_of(address, repository, tag):
    return json.loads(manifest_of(address, repository, tag))["layers"]


def blob_size(address, repository, name):
    return int(Uploader(address).request("HEAD", f"/v2/{repository}/blobs/{name}")["Content-Length"])
