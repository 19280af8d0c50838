"""Uploads to S3-compatible storage (AWS Signature Version 4), without boto3.

The storage is BUCKET_ENDPOINT_URL with BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY, or what a
call's bucket_creds say ({"endpointUrl", "accessId", "accessSecret"}). Where none is set a file is
copied into a folder of the working folder.
"""

import datetime
import hashlib
import hmac
import os
import shutil
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

from ... import _missing
from ..modules.rp_logger import RunPodLogger
from . import _http

LINK_LIFE_S = 7 * 24 * 3600
TIMEOUT_S = 60
VARIABLES = ("BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY")
# What boto3 calls the headers of an upload.
EXTRA_HEADERS = {
    "ACL": "x-amz-acl",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "StorageClass": "x-amz-storage-class",
}

_log = RunPodLogger()
__getattr__ = _missing.getter(__name__, "get_boto_client")


def extract_region_from_url(endpoint_url):
    """The region in the URL of AWS, Backblaze or DigitalOcean, else None."""
    if ".s3." in endpoint_url:
        return endpoint_url.split(".s3.")[1].split(".")[0]
    host = urllib.parse.urlsplit(endpoint_url).netloc
    if host.endswith(".digitaloceanspaces.com"):
        return host.split(".")[-3]
    return None


class _Bucket:
    """Signs requests for the objects of one bucket."""

    def __init__(self, endpoint, key_id, secret, bucket):
        self.endpoint = endpoint.rstrip("/")
        self.key_id = key_id
        self.secret = secret
        self.bucket = bucket
        usual = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self.region = extract_region_from_url(endpoint) or usual

    def url(self, key):
        return "{}/{}/{}".format(self.endpoint, self.bucket, urllib.parse.quote(key, safe="/-_.~"))

    def _scope(self, now):
        return "{}/{}/s3/aws4_request".format(now[:8], self.region)

    def _signature(self, now, canonical):
        key = ("AWS4" + self.secret).encode()
        for part in (now[:8], self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(("AWS4-HMAC-SHA256", now, self._scope(now), digest))
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    def link(self, key):
        """A URL by which anybody can read the object for LINK_LIFE_S."""
        now, parts = _now(), urllib.parse.urlsplit(self.url(key))
        query = urllib.parse.urlencode(
            {
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": "{}/{}".format(self.key_id, self._scope(now)),
                "X-Amz-Date": now,
                "X-Amz-Expires": LINK_LIFE_S,
                "X-Amz-SignedHeaders": "host",
            },
            quote_via=urllib.parse.quote,
            safe="-_.~",
        )
        head = "host:{}\n".format(parts.netloc)
        canonical = "\n".join(("GET", parts.path, query, head, "host", "UNSIGNED-PAYLOAD"))
        signature = self._signature(now, canonical)
        return "{}?{}&X-Amz-Signature={}".format(self.url(key), query, signature)

    def put(self, key, source, extra=None):
        """Uploads bytes, or the file of that path."""
        headers = {EXTRA_HEADERS[name]: value for name, value in (extra or {}).items()}
        _http.tries(lambda: self._put(key, source, headers))

    def _put(self, key, source, more):
        now, parts = _now(), urllib.parse.urlsplit(self.url(key))
        body = source if isinstance(source, bytes) else open(source, "rb")
        try:
            size = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
            digest = "UNSIGNED-PAYLOAD" if parts.scheme == "https" else _digest(body)
            headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": now}
            headers.update((name.lower(), value) for name, value in more.items())
            headers["authorization"] = self._authorization(now, parts.path, headers, digest)
            headers["content-length"] = str(size)
            self._send(parts.geturl(), body, headers)
        finally:
            if not isinstance(body, bytes):
                body.close()

    def _authorization(self, now, path, headers, digest):
        names = ";".join(sorted(headers))
        head = "".join("{}:{}\n".format(name, headers[name].strip()) for name in sorted(headers))
        canonical = "\n".join(("PUT", path, "", head, names, digest))
        return "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}".format(
            self.key_id, self._scope(now), names, self._signature(now, canonical)
        )

    @staticmethod
    def _send(url, body, headers):
        connection, target = _http.connect(url, timeout_s=TIMEOUT_S)
        try:
            connection.request("PUT", target, body, headers)
            response = connection.getresponse()
            said = response.read(1000).decode("utf-8", "replace")
        finally:
            connection.close()
        if response.status >= 300:
            text = "the storage answered {} {}: {}".format(response.status, response.reason, said)
            raise _http.TransferError(text, again=response.status >= 500)


def _now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def _digest(body):
    if isinstance(body, bytes):
        return hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256()
    for chunk in iter(lambda: body.read(1 << 20), b""):
        digest.update(chunk)
    body.seek(0)
    return digest.hexdigest()


def _bucket(creds, name):
    """The bucket, or None where no storage is set."""
    if creds:
        found = creds["endpointUrl"], creds["accessId"], creds["accessSecret"]
    else:
        found = [os.environ.get(each) for each in VARIABLES]
    return _Bucket(*found, name or time.strftime("%m-%y")) if all(found) else None


def _keep(name, source, folder):
    """In place of an upload. Returns the path."""
    _log.warn(
        "No storage is set ({}): {} is kept in the folder {}".format(
            ", ".join(VARIABLES), name, folder
        )
    )
    os.makedirs(folder, exist_ok=True)
    path = "{}/{}".format(folder, name)
    if isinstance(source, bytes):
        with open(path, "wb") as file:
            file.write(source)
    else:
        shutil.copyfile(source, path)
    return path


def _upload(name, source, creds, bucket_name, prefix, extra=None):
    bucket = _bucket(creds, bucket_name)
    if bucket is None:
        return _keep(name, source, "local_upload")
    key = "{}/{}".format(prefix, name) if prefix else name
    bucket.put(key, source, extra)
    return bucket.link(key)


def upload_file_to_bucket(
    file_name, file_location, bucket_creds=None, bucket_name=None, prefix=None, extra_args=None
):
    """Uploads a file and returns a link to it that is good for a week."""
    return _upload(file_name, file_location, bucket_creds, bucket_name, prefix, extra_args)


def upload_in_memory_object(file_name, file_data, bucket_creds=None, bucket_name=None, prefix=None):
    """Uploads bytes and returns a link to them that is good for a week."""
    return _upload(file_name, bytes(file_data), bucket_creds, bucket_name, prefix)


def upload_image(job_id, image_location, result_index=0, results_list=None, bucket_name=None):
    """Uploads an image as JOB/RANDOM.EXTENSION and returns a link to it, also in results_list."""
    extension = os.path.splitext(image_location)[1]
    name = str(uuid.uuid4())[:8] + extension
    bucket = _bucket(None, bucket_name)
    if bucket is None:
        link = _keep(name, image_location, "simulated_uploaded")
    else:
        key = "{}/{}".format(job_id, name)
        bucket.put(key, image_location, {"ContentType": "image/" + extension.lstrip(".")})
        link = bucket.link(key)
    if results_list is not None:
        results_list[result_index] = link
    return link


def files(job_id, file_list):
    """upload_image for each of the files, side by side; the links in their order."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda each: upload_image(job_id, each), file_list))


def bucket_upload(job_id, file_list, bucket_creds):
    """Uploads files as JOB/PATH to bucket_creds["bucketName"]. Returns their URLs, unsigned."""
    bucket = _bucket(bucket_creds, str(bucket_creds["bucketName"]))
    for each in file_list:
        bucket.put("{}/{}".format(job_id, each), each)
    return [
        "{}/{}/{}/{}".format(bucket_creds["endpointUrl"], bucket_creds["bucketName"], job_id, each)
        for each in file_list
    ]
