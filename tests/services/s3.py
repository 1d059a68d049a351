"""A real S3 server, versitygw, that keeps its objects in a folder; where it comes from: `tests.services.artifacts`."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pyarrow.fs import FileSelector, S3FileSystem

from tests.services.artifacts import S3_SERVER, go_program
from tests.services.certificates import Authority
from tests.services.servers import free_port, running

REGION = "us-east-1"


@dataclass(frozen=True)
class S3:
    """A server, or a way to it."""

    port: int
    access_key_id: str = "k2-lake"
    secret_access_key: str = "s3-53cret/with+signs="  # noqa: S105 - of a server that lives for a test
    ca_file: Path | None = None
    """Authority that vouches for it; None: nothing is encrypted."""

    @property
    def endpoint(self) -> str:
        return f"{'http' if self.ca_file is None else 'https'}://127.0.0.1:{self.port}"

    def at(self, port: int) -> "S3":
        """The same server behind a relay's port."""
        return replace(self, port=port)

    @property
    def environment(self) -> dict[str, str]:
        """K2's variables for it, without the warehouse."""
        found = {} if self.ca_file is None else {"K2_S3_CA_FILE": str(self.ca_file)}
        return found | {
            "K2_S3_ENDPOINT": self.endpoint,
            "K2_S3_REGION": REGION,
            "K2_S3_ACCESS_KEY_ID": self.access_key_id,
            "K2_S3_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    @property
    def java_properties(self) -> dict[str, str]:
        """Properties of Iceberg's Java library for it."""
        return {
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": self.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": self.access_key_id,
            "s3.secret-access-key": self.secret_access_key,
            "client.region": REGION,
        }

    def files(self) -> S3FileSystem:
        return S3FileSystem(
            endpoint_override=self.endpoint,
            access_key=self.access_key_id,
            secret_key=self.secret_access_key,
            region=REGION,
            allow_bucket_creation=True,
            tls_ca_file_path=None if self.ca_file is None else str(self.ca_file),
        )

    def new_bucket(self) -> str:
        """Make a bucket that nobody has."""
        name = f"b{uuid.uuid4().hex[:12]}"
        self.files().create_dir(name)
        return name

    def keys(self, prefix: str) -> list[str]:
        """Every object below BUCKET or BUCKET/PREFIX."""
        found = self.files().get_file_info(FileSelector(prefix, recursive=True))
        return sorted(file.path for file in found if file.is_file)


@contextlib.contextmanager
def server(folder: Path, authority: Authority | None = None) -> Iterator[S3]:
    """Run an S3 server without buckets until the end of the block; encrypted, if an authority vouches for it."""
    objects, about = folder / "objects", folder / "about"
    for made in (objects, about):
        made.mkdir(parents=True)
    found = S3(free_port(), ca_file=authority and authority.certificate)
    shown = authority and authority.certify("s3")
    command = [
        *(go_program(S3_SERVER), "--port", f"127.0.0.1:{found.port}", "--region", REGION),
        # Without --keep-alive: with it, the end of an upload in pieces is now and then taken for a request.
        "--quiet",
        *(("--cert", shown.certificate, "--key", shown.key) if shown else ()),
        # What S3 knows of an object beside its bytes: not in extended attributes, which not every folder takes.
        *("posix", "--sidecar", about, objects),
    ]
    account = {"ROOT_ACCESS_KEY": found.access_key_id, "ROOT_SECRET_KEY": found.secret_access_key}

    def answers() -> bool:
        with contextlib.suppress(OSError):
            found.files().get_file_info(FileSelector(""))
            return True
        return False

    with running(command, folder / "s3.out", answers, **account):
        yield found
