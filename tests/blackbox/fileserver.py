"""A server of files for the download tests: what it says is scripted by path, what it is asked is recorded."""

import http.server
import socketserver
import threading

import pytest


class FileServer:
    """Serves FileServer.pages: path -> function(request handler), or bytes."""

    def __init__(self, host="127.0.0.1", port=0, tls=None):
        self.pages = {}
        self.requests = []  # (path, headers)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                page = outer.pages.get(self.path.partition("?")[0], not_found)
                if isinstance(page, bytes):
                    page = body(page)
                page(self)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass  # a peer that goes away

        self.server = Server((host, port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.base = f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def paths(self):
        return [path for path, _ in self.requests]


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.stop()


def not_found(request):
    answer(request, 404, b"nothing here")


def answer(request, status, content=b"", **fields):
    request.send_response(status)
    for name, value in fields.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def body(content, **fields):
    return lambda request: answer(request, 200, content, **fields)


def status(code, **fields):
    return lambda request: answer(request, code, b"", **fields)


def redirect(location, code=302):
    return lambda request: answer(request, code, b"over there", Location=location)


def chunked(pieces):
    def page(request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for piece in pieces:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.wfile.write(b"0\r\n\r\n")

    return page


def until_close(content):
    def page(request):
        request.send_response(200)
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(content)
        request.close_connection = True

    return page


def cut_off(content, announced):
    def page(request):
        request.send_response(200)
        request.send_header("Content-Length", str(announced))
        request.end_headers()
        request.wfile.write(content)
        request.close_connection = True

    return page


def hanging(started, goes_on):
    """Sends a first piece, then nothing until goes_on is set."""

    def page(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        request.wfile.write(b"x" * 1000)
        started.set()
        goes_on.wait(60)

    return page


def in_turn(*pages):
    """The first page for the first request, and so on; the last for all after it."""
    left, turn = list(pages), threading.Lock()

    def page(request):
        with turn:  # requests come side by side
            first = left.pop(0) if len(left) > 1 else left[0]
        first(request)

    return page
