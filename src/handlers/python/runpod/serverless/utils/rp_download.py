"""Downloads of URLs that jobs name.

A job's URL is a stranger's: it may lead to public addresses alone, also after a redirect, so that
nobody reads the network that the worker is in. RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS=true allows
others; RUNPOD_MAX_DOWNLOAD_BYTES is the largest file (5 GiB).
"""

import http.client
import ipaddress
import os
import socket
import time
import urllib.parse
import urllib.request
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor

from . import _http

ALLOW_PRIVATE = "RUNPOD_ALLOW_PRIVATE_DOWNLOAD_URLS"
MOST_BYTES = "RUNPOD_MAX_DOWNLOAD_BYTES"
DEFAULT_MOST_BYTES = 5 << 30
MOST_REDIRECTS = 5
CHUNK_BYTES = 1 << 18
LONGEST_S = 600  # of one download


class SSRFError(ValueError):
    """A URL that is refused: where it leads, or what it brings, is not for a job to choose."""


def _shown(url):
    """For errors and the log: without a user, a query or a fragment, which may hold secrets."""
    try:
        parts = urllib.parse.urlsplit(url)
        return "{}://{}{}".format(parts.scheme, parts.netloc.rpartition("@")[2], parts.path)
    except (AttributeError, TypeError, ValueError):
        return "a URL that cannot be read"


def _allows_private():
    return os.environ.get(ALLOW_PRIVATE, "").strip().lower() in ("1", "true", "yes")


def max_download_bytes():
    try:
        most = int(os.environ.get(MOST_BYTES, ""))
    except ValueError:
        most = 0
    return most if most > 0 else DEFAULT_MOST_BYTES


def is_safe_address(text):
    """True for an address that anybody on the Internet can reach."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    shared = address.version == 4 and address in ipaddress.ip_network("100.64.0.0/10")
    return address.is_global and not (shared or address.is_multicast or address.is_reserved)


def _addresses(host, port):
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as problem:
        raise SSRFError("could not resolve host {!r}: {}".format(host, problem)) from problem
    addresses = list(dict.fromkeys(each[4][0] for each in found))
    for address in addresses:
        if not (_allows_private() or is_safe_address(address)):
            raise SSRFError(
                "host {!r} resolves to the non-public address {} ({}=true allows it)".format(
                    host, address, ALLOW_PRIVATE
                )
            )
    return addresses


def _check_url(url):
    """The addresses of its host."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise SSRFError("blocked URL scheme {!r}: {}".format(parts.scheme, _shown(url)))
    if not parts.hostname:
        raise SSRFError("URL has no host: {}".format(_shown(url)))
    proxied = parts.scheme in urllib.request.getproxies()
    if proxied and not urllib.request.proxy_bypass(parts.hostname):
        raise SSRFError(
            "rp_download does not go through a proxy, which is set for {}".format(_shown(url))
        )
    return _addresses(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def _ask(url, timeout_s):
    """The connection and the response of the first address that can be reached."""
    addresses = _check_url(url)
    for address in addresses:
        connection, target = _http.connect(url, address, timeout_s)
        try:
            connection.request("GET", target, headers={"User-Agent": _http.AGENT, "Accept": "*/*"})
            return connection, connection.getresponse()
        except http.client.InvalidURL:  # its text has the URL
            text = "URL with characters that must be escaped: {}".format(_shown(url))
            raise _http.TransferError(text) from None
        except (OSError, http.client.HTTPException):
            connection.close()
            if address == addresses[-1]:
                raise
    raise SSRFError("host of {} has no address".format(_shown(url)))


def _open(url, timeout_s):
    """Through redirects, each of them checked."""
    for _ in range(MOST_REDIRECTS + 1):
        connection, response = _ask(url, timeout_s)
        place = response.getheader("Location")
        if response.status not in (301, 302, 303, 307, 308):
            break
        connection.close()
        if not place:
            raise SSRFError("redirect without Location header: {}".format(_shown(url)))
        url = urllib.parse.urljoin(url, place)
    else:
        raise SSRFError("exceeded maximum redirects ({})".format(MOST_REDIRECTS))
    if response.status >= 400:
        connection.close()
        text = "{} {} for url: {}".format(response.status, response.reason, _shown(url))
        raise _http.TransferError(text, again=response.status >= 500)
    return connection, response


def _write(response, path):
    """The body into the file, up to the limit."""
    most, total = max_download_bytes(), 0
    length = response.length  # at first: not every version's read1 counts it down
    end = time.monotonic() + LONGEST_S
    with open(path, "wb") as file:
        while length is None or total < length:
            chunk = response.read1(CHUNK_BYTES)  # what is there, so that the time is looked at
            if not chunk and length is not None:
                raise http.client.IncompleteRead(b"", length - total)
            if not chunk:
                return
            if time.monotonic() > end:
                raise _http.TransferError("it took over {} s".format(LONGEST_S))
            total += len(chunk)
            if total > most:
                raise SSRFError("the file has over {} bytes ({})".format(most, MOST_BYTES))
            file.write(chunk)


def _disposed_name(response):
    """The filename of Content-Disposition, or an empty text."""
    for part in (response.getheader("Content-Disposition") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "filename":
            return value.strip().strip('"')
    return ""


def _path_of(url):
    return urllib.parse.urlsplit(url).path


def _save(url, timeout_s, name_file):
    """Downloads into the file that name_file(extension) names. Returns it, and its own name."""
    connection, response = _open(url, timeout_s)
    try:
        disposed = _disposed_name(response)
        original = disposed or os.path.basename(_path_of(url))
        extension = os.path.splitext(disposed)[1] or os.path.splitext(_path_of(url))[1]
        path = name_file(extension)
        try:
            _write(response, path)
        except BaseException:
            os.remove(path)
            raise
    finally:
        connection.close()
    return path, original


def download_files_from_urls(job_id, urls):
    """Downloads a URL or a list of them, side by side, into jobs/ID/downloaded_files
    (the ID as one name of a folder, whatever is in it).

    Returns the files' absolute paths, with None in the place of a URL that is None or could not be
    downloaded, which is printed. SSRFError for one that is refused.
    """
    name = urllib.parse.quote(str(job_id), safe="").lstrip(".") or "_"
    folder = os.path.abspath(os.path.join("jobs", name, "downloaded_files"))
    os.makedirs(folder, exist_ok=True)

    def download(url):
        if url is None:
            return None
        base = os.path.join(folder, str(uuid.uuid4()))
        try:
            return _http.tries(lambda: _save(url, 5, lambda extension: base + extension))[0]
        except (OSError, http.client.HTTPException) as problem:
            print("Failed to download {}: {}".format(_shown(url), problem))
            return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(download, [urls] if isinstance(urls, str) else urls))


def _extract(path, folder):
    """Unpacks an archive that stays under the limit of a download."""
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > max_download_bytes():
            raise SSRFError("the archive unpacks to over {} bytes".format(max_download_bytes()))
        archive.extractall(folder)


def file(file_url):
    """Downloads one file into job_files of the working folder, and unpacks it if it is a .zip.

    Returns {"file_path", "type", "original_name", "extracted_path"}: the type is the extension.
    """
    os.makedirs("job_files", exist_ok=True)
    base = os.path.abspath(os.path.join("job_files", str(uuid.uuid4())))
    path, original = _save(file_url, 30, lambda extension: base + (extension or "."))
    kind = os.path.splitext(original)[1].lstrip(".")
    if kind == "zip":
        _extract(path, base)
    return {
        "file_path": path,
        "type": kind,
        "original_name": original,
        "extracted_path": base if kind == "zip" else None,
    }
