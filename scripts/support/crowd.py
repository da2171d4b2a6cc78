"""Stands before Azurite and lists many other objects with those of one container, on a free loopback port.

Azurite needs seconds for each page of a listing when a container has some ten thousand objects, and many minutes to
make a hundred thousand: what would be measured is the emulator. Here the names of the others are made up page by page,
after those that are really there; everything else is handed on.
"""

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 5000
MARKER = "others-"

OTHER = ("<Blob><Name>other-{number:06}.bin</Name><Properties><Creation-Time>Fri, 01 Jan 2027 00:00:00 GMT</Creation-Time>"
         "<Last-Modified>Fri, 01 Jan 2027 00:00:00 GMT</Last-Modified><Etag>0x{number:015X}</Etag>"
         "<Content-Length>{number}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
         "<BlobType>BlockBlob</BlobType><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
         "<ServerEncrypted>true</ServerEncrypted></Properties></Blob>")


class Crowd:
    """Use as a context. `address` stands for Azurite's."""

    def __init__(self, address, container, others):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        self.server.daemon_threads = True
        self.server.upstream, self.server.container = address, container
        self.server.pages = [page(start, min(start + PAGE, others)) for start in range(0, others, PAGE)]
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def page(start, end):
    return "".join(OTHER.format(number=number) for number in range(start, end))


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        query = parse_qs(urlsplit(self.path).query)
        is_listing = query.get("comp") == ["list"] and urlsplit(self.path).path.endswith(f"/{self.server.container}")
        marker = query.get("marker", [""])[0]
        if is_listing and marker.startswith(MARKER):
            self.others(int(marker.removeprefix(MARKER)))
            return
        status, headers, content = self.upstream()
        if is_listing and status == 200 and self.server.pages:
            content = re.sub(rb"<NextMarker ?/>|<NextMarker></NextMarker>",
                             f"<NextMarker>{MARKER}0</NextMarker>".encode(), content)
        self.reply(status, headers, content)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer

    def upstream(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    def others(self, number):
        pages = self.server.pages
        after = f"{MARKER}{number + 1}" if number + 1 < len(pages) else ""
        content = ('<?xml version="1.0" encoding="UTF-8"?><EnumerationResults ServiceEndpoint="" ContainerName="crowded">'
                   f"<Blobs>{pages[number]}</Blobs><NextMarker>{after}</NextMarker></EnumerationResults>").encode()
        self.reply(200, [("Content-Type", "application/xml"), ("x-ms-version", "2024-11-04")], content)

    def reply(self, status, headers, content):
        self.send_response_only(status)
        length = None
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in ("transfer-encoding", "connection", "keep-alive"):
                self.send_header(name, value)
        # The answer to HEAD tells a length and has no body.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass
