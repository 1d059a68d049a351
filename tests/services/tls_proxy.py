"""A proxy that speaks TLS before a server that does not: nginx."""

import contextlib
import grp
import os
import pwd
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.services.artifacts import tool
from tests.services.certificates import Authority
from tests.services.servers import free_port, running

NGINX = """\
daemon off;
worker_processes 1;
user {user} {group};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {authority};
    ssl_verify_client {verify};
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      {further}
    }}
  }}
}}
"""

SAME_HOST = "proxy_set_header Host $http_host;"
"""Further line for a server whose clients sign the name that they asked for: S3."""


def nginx() -> str:
    """Path of nginx: Debian keeps it where only root's shells look."""
    return shutil.which("nginx", path="/usr/sbin") or tool("nginx")


@contextlib.contextmanager
def tls_proxy(
    folder: Path, upstream: str, authority: Authority, further: str = "", *, client_certificates: bool = False
) -> Iterator[int]:
    """Run a proxy before a server, http://HOST:PORT; yields its port.

    Parameters
    ----------
    authority
        It vouches for the proxy, and for the clients if those must show a certificate.
    further
        Lines of nginx's configuration of what it hands on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server, port = authority.certify(folder.name), free_port()
    (folder / "nginx.conf").write_text(
        NGINX.format(
            # Started as root, it would give its rights up, and not see the folder.
            user=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name,
            folder=folder,
            port=port,
            certificate=server.certificate,
            key=server.key,
            authority=authority.certificate,
            verify="on" if client_certificates else "off",
            upstream=upstream,
            further=further,
        )
    )
    trusting = ssl.create_default_context(cafile=str(authority.certificate))

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            return True
        return False

    command = [nginx(), "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"]
    with running(command, folder / "nginx.out", answers):
        yield port
