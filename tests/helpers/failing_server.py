"""A local server of files that fails in the usual ways."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = bytes(range(256)) * 4096  # 1 MiB


class Server(ThreadingHTTPServer):
    """Serves ``files``, with failures.

    Attributes:
        files: Path -> content; a string is a redirect.
        cut_at: Bytes after which a response is cut off, or None.
        ranges: Whether it supports ranges.
        tag: ETag of every file.
        drops: Requests to close without a response.
        statuses: Statuses of the next responses.
        headers: Additional headers of every file.
        kind: Content-Type of every file.
        requests: (path, Range, If-Range) per request.
        credentials: Authorization per request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.cut_at, self.ranges = {}, None, True
        self.tag, self.statuses, self.requests = '"one"', [], []
        self.kind = 'application/octet-stream'
        self.headers, self.credentials, self.drops = {}, [], 0

    def handle_error(self, request, address):
        pass  # in some tests the client closes the connection

    def url(self, path):
        return f'http://127.0.0.1:{self.server_port}{path}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get('Range')
        condition = self.headers.get('If-Range')
        self.server.requests.append((self.path, asked, condition))
        self.server.credentials.append(self.headers.get('Authorization'))
        if self.server.drops:
            self.server.drops -= 1
            self.close_connection = True
            return
        if self.server.statuses:
            self.send_response(self.server.statuses.pop(0))
            self.send_header('Retry-After', '3600')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        data = self.server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        if isinstance(data, str):
            self.send_response(302)
            self.send_header('Location', data)
            return self.end_headers()
        begin = 0
        fits = condition in (None, self.server.tag)
        if asked and self.server.ranges and fits:
            begin = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
        if begin and begin >= len(data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(data)}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        self.send_response(206 if begin else 200)
        if begin:
            span = f'bytes {begin}-{len(data) - 1}/{len(data)}'
            self.send_header('Content-Range', span)
        if self.server.tag:
            self.send_header('ETag', self.server.tag)
        for item in self.server.headers.items():
            self.send_header(*item)
        self.send_header('Content-Type', self.server.kind)
        self.send_header('Content-Length', str(len(data) - begin))
        self.end_headers()
        cut = self.server.cut_at
        end = len(data) if cut is None else begin + cut
        self.wfile.write(data[begin:end])
        self.close_connection = True

    def log_message(self, *words):
        pass
