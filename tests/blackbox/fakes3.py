"""An S3 that fails by script. It checks every signature by itself, from the bytes that came (the rules of "AWS
Signature Version 4" once more, written without looking at the worker's)."""

import hashlib
import hmac
import re
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

ACCESS, SECRET = "AKIDFAKE", "fake/secret+key/0123456789"


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(method, target, fields, names, payload, stamp, scope):
    """The signature of a request; `fields` by small names."""
    path, _, query = target.partition("?")
    pairs = sorted(pair if "=" in pair else pair + "=" for pair in query.split("&") if pair)
    pairs = [pair for pair in pairs if not pair.startswith("X-Amz-Signature=")]
    head = "".join(f"{name}:{' '.join(fields[name].split())}\n" for name in names)
    canonical = "\n".join([method, path, "&".join(pairs), head, ";".join(names), payload])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()


class FakeS3:
    def __init__(self):
        self.script = []  # functions(request) -> True where they have answered; one for each request in turn
        self.seen = []  # "METHOD target" of each request
        self.wrong = []  # what was wrong with signatures
        self.objects = {}
        self.parts = {}
        self.turn = Lock()
        self.waiting = Event()  # a request is being held
        self.go_on = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                outer.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def env(self, **more):
        return {
            "BUCKET_ENDPOINT_URL": self.base,
            "BUCKET_ACCESS_KEY_ID": ACCESS,
            "BUCKET_SECRET_ACCESS_KEY": SECRET,
            **more,
        }

    def stop(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()

    # ---- a request ----

    def serve(self, request):
        with self.turn:  # requests come side by side
            self.seen.append(f"{request.command} {request.path}")
            step = self.script.pop(0) if self.script else None
        if step and getattr(step, "early", False):
            step(request)
            return
        request.content = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.check(request)
        if not (step and step(request)):
            self.do(request)

    def check(self, request):
        fields = {name.lower(): value for name, value in request.headers.items()}
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+),SignedHeaders=([^,]+),Signature=(\w+)",
            fields.get("authorization", ""),
        )
        if not match:
            self.wrong.append(f"{request.path}: {fields}")
            return
        payload = fields["x-amz-content-sha256"]
        if payload != hashlib.sha256(request.content).hexdigest():
            self.wrong.append(f"{request.path}: another body than was signed")
        wanted = signature(
            request.command, request.path, fields, match[3].split(";"), payload, fields["x-amz-date"], match[2]
        )
        if ("content-length" in fields) != (request.command in ("POST", "PUT")) or fields.get("content-type") == "":
            self.wrong.append(f"{request.command} {request.path}: {fields}")
        if match[1] != ACCESS or match[4] != wanted or "host" not in match[3].split(";"):
            self.wrong.append(f"{request.path}: bad signature")

    def do(self, request):
        path, _, query = request.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if request.command == "POST" and "uploads" in query:
            answer(request, 200, b"<R><UploadId>up/load+1&amp;2</UploadId></R>")
        elif request.command == "PUT" and "partNumber" in query:
            assert query["uploadId"] == "up/load+1&2"
            self.parts[int(query["partNumber"])] = request.content
            answer(request, 200, ETag=f'"etag<{query["partNumber"]}>"')
        elif request.command == "POST":
            self.complete(path, request.content.decode())
            answer(request, 200, b"<CompleteMultipartUploadResult/>")
        elif request.command == "PUT":
            self.objects[path] = request.content
            answer(request, 200, ETag='"x"')
        elif request.command == "HEAD" and path in self.objects:
            request.send_response(200)
            request.send_header("Content-Length", str(len(self.objects[path])))
            request.end_headers()
        elif request.command == "DELETE":
            self.parts.clear()
            answer(request, 204)
        else:
            answer(request, 404, error("NoSuchUpload", "It is not there."))

    def complete(self, path, text):
        listed = re.findall(r"<Part><PartNumber>(\d+)</PartNumber><ETag>(.*?)</ETag></Part>", text)
        assert [int(number) for number, _ in listed] == sorted(self.parts)
        assert all(etag == f"&quot;etag&lt;{number}&gt;&quot;" for number, etag in listed), text
        self.objects[path] = b"".join(self.parts[number] for number in sorted(self.parts))


def answer(request, status, content=b"", **fields):
    request.send_response(status)
    for name, value in fields.items():
        request.send_header(name.replace("_", "-"), value)
    if status != 204:
        request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
    return True


def error(code, message):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def fail(status, code="Whatever", message="No."):
    return lambda request: answer(request, status, error(code, message))


def drop(request):
    """Closes the connection instead of an answer."""
    request.close_connection = True
    return True


def drop_early(request):
    """Closes it in the middle of the body."""
    request.rfile.read(1000)
    request.close_connection = True


drop_early.early = True


def go_on(_request):
    return False
