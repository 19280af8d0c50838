"""HTTP/1.1 on the byte level, for a server that is stricter than any real one.

Requests are read by hand so that whatever the worker sends is seen as it was sent: every deviation from
RFC 9112 becomes a complaint, and a complaint fails the test. Answers are put together by hand too, because
a good part of the tests needs answers that no HTTP library would let out.
"""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

MAX_HEAD_BYTES = 64 * 1024

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
ORIGIN_TARGET = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

REASONS = {
    100: "Continue",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class Request:
    """One request as it came in, and what became of it."""

    number: int  # order of arrival over all connections, from 1
    connection: int  # number of the connection it came on, from 1
    time_s: float  # monotonic clock at the moment its head was complete
    method: str
    target: str
    version: str
    headers: list  # (name, value) pairs in order
    raw: bytes  # head and body exactly as received
    body: bytes = b""
    route: str = "other"  # take, stop, ping, done, stream, other
    job_id: str | None = None  # from the path of done and stream
    answered: str | None = None  # what it was answered with; None while it is held
    status: int = 0  # the final status of that answer, 0 where there is none in it
    broken: bool = False  # the answer was cut off on purpose: who got it may well ask again
    dropped: bool = False  # the worker closed the connection before an answer went out
    jobs: list = field(default_factory=list)  # the jobs handed out as the answer

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        """The query as a list of pairs: order and repetition are part of what is tested."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    def param(self, name):
        """The one value of a query parameter, None without; twice is an error."""
        values = [value for key, value in self.query if key == name]
        assert len(values) <= 1, f"{name} twice in {self.target}"
        return values[0] if values else None

    def header(self, name):
        """The one value of a header, None without; twice is an error."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"header {name} twice in request {self.number}"
        return values[0] if values else None

    @property
    def settled(self):
        """Answered with a whole 2xx."""
        return 200 <= self.status < 300 and not self.broken

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def __str__(self):
        fate = "DROPPED by the worker" if self.dropped else f"-> {self.answered or 'held'}"
        body = f" body[{len(self.body)}]={self.body[:200]!r}" if self.body else ""
        return f"#{self.number} conn {self.connection} {self.method} {self.target}{body} {fate}"


def split_head(head):
    """Take a head (up to and with the empty line) apart.

    Returns (method, target, version, headers, complaints). Never raises: what cannot be read is guessed
    and complained about, so that the test's failure shows the whole exchange.
    """
    complaints = []
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", head):
        complaints.append("bare CR, bare LF or NUL in the head")
    lines = head.split(b"\r\n")[:-2]
    parts = lines[0].split(b" ")
    if len(parts) != 3:
        complaints.append(f"request line {lines[0]!r}")
        parts = (parts + [b"", b""])[:3]
    method, target, version = parts
    if not TOKEN.fullmatch(method):
        complaints.append(f"method {method!r}")
    if version != b"HTTP/1.1":
        complaints.append(f"version {version!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            complaints.append(f"header line {line!r}")
        headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    complaints += _check_framing(method, headers)
    return method.decode("latin-1"), target.decode("latin-1"), version.decode("latin-1"), headers, complaints


def _check_framing(method, headers):
    """What the contract says about every request: Host, Content-Length on bodies, no Expect."""
    complaints = []
    names = [name.lower() for name, _ in headers]
    if names.count("host") != 1:
        complaints.append(f"{names.count('host')} Host headers")
    for forbidden in ("expect", "transfer-encoding", "te", "trailer", "upgrade"):
        if forbidden in names:
            complaints.append(f"header {forbidden} was sent")
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if len(lengths) > 1 or any(not value.isdigit() for value in lengths):
        complaints.append(f"Content-Length {lengths}")
    if method == b"POST" and not lengths:
        complaints.append("POST without Content-Length")
    for name in ("authorization", "user-agent", "content-type", "connection", "x-request-id"):
        if names.count(name) > 1:
            complaints.append(f"header {name} was sent {names.count(name)} times")
    return complaints


def final_status(sent):
    """The status of the first answer in these bytes that is not an interim one; 0 where there is none (yet)."""
    for found in re.finditer(rb"^HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", sent, re.M):
        if not found[1].startswith(b"1"):
            return int(found[1])
    return 0


def body_length(headers):
    for name, value in headers:
        if name.lower() == "content-length" and value.isdigit():
            return int(value)
    return 0


def classify(path):
    """Route and job id of a path such as /v2/ENDPOINT/job-done/WORKER/JOB."""
    parts = path.split("/")
    names = {
        "job-take": "take",
        "job-take-batch": "take",
        "job-stop": "stop",
        "ping": "ping",
        "job-done": "done",
        "job-stream": "stream",
        "take": "take",
    }
    for index, part in enumerate(parts):
        if part in names:
            route = names[part]
            job = unquote(parts[index + 2]) if route in ("done", "stream") and len(parts) > index + 2 else None
            return route, job
    return "other", None


def encode(status, body=b"", headers=(), reason=None, content_type="application/json", length=True):
    """One answer as bytes. `headers` are pairs; `length` False leaves Content-Length to the caller."""
    if not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode("utf-8")
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever') if reason is None else reason}"]
    if content_type and body:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers]
    if length and status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def encode_chunks(body, size=7, extension="", trailers=()):
    """A body in chunks of `size` bytes, each with the extension, and the trailers behind."""
    out = bytearray()
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        out += f"{len(piece):x}{extension}\r\n".encode() + piece + b"\r\n"
    out += f"0{extension}\r\n".encode()
    for name, value in trailers:
        out += f"{name}: {value}\r\n".encode()
    return bytes(out + b"\r\n")
