"""The way to a scheduler: encrypted, or not off this machine; and why it is closed, in words."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from napari_radcnn.cohort.cluster.certificates import AUTHORITY, default_folder, security_of
from napari_radcnn.cohort.cluster.needed import needed
from napari_radcnn.errors import OptionError, ResourceError

if TYPE_CHECKING:
    from distributed import Client

_TIMEOUT = 10.0
#: X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL (x509_vfy.h).
_EXPIRED = 10


def connect(address: str, certificates: Path | None = None) -> Client:
    """Return a client of a scheduler.

    Parameters
    ----------
    address : str
        ``tls://HOST:PORT``; ``tcp://`` on this computer alone.
    certificates : path, optional
        The folder with the certificates.

    Raises
    ------
    OptionError
        If it is plain TCP to another computer, no address, or there are no certificates.
    ResourceError
        If nobody answers, or the certificate is refused.
    """
    needed("distributed")
    host, port, is_encrypted = parsed(address)
    security = None
    if is_encrypted:
        folder = certificates or default_folder()
        security = security_of(folder, "client")
    refused = why_refused(host, port, (certificates or default_folder()) if is_encrypted else None)
    if refused:
        raise ResourceError(f"{address}: {refused}")
    import dask
    from distributed import Client

    # Scans that are sent are part of a task, and are meant to be.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "100 GiB"})
    try:
        return Client(address, security=security, timeout=_TIMEOUT, set_as_default=False)
    except OSError as error:
        raise ResourceError(
            f"{address}: the scheduler does not answer: {' '.join(str(error).split())[:200]}"
        ) from error


def parsed(address: str) -> tuple[str, int, bool]:
    """Return host, port, and whether the way there is encrypted.

    Raises
    ------
    OptionError
        If it is no address, or plain TCP to another computer.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("tls", "tcp") or not host or not port:
        raise OptionError(f"'{address}' is not the address of a scheduler, such as tls://cluster:8786.")
    if parts.scheme == "tcp" and not is_this_computer(host):
        raise OptionError(
            f"{address}: plain TCP would send scans and results to another computer unencrypted, and let anybody run "
            "code on it: start the scheduler with `radcnn cohort scheduler --certificates ...` and use tls://."
        )
    return host, port, parts.scheme == "tls"


def is_this_computer(host: str) -> bool:
    """Return whether a name or an address never leaves this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def why_refused(host: str, port: int, certificates: Path | None) -> str:
    """Return why a scheduler would not talk to us; empty where it does.

    It is asked once, before dask.distributed asks again and again and says only that it took too long.
    """
    try:
        with closing(socket.create_connection((host, port), _TIMEOUT)) as plain:
            if certificates is None:
                plain.recv(1)
                return ""
            context = ssl.create_default_context(cafile=str(certificates / f"{AUTHORITY}.pem"))
            context.check_hostname = False  # as dask.distributed: the authority signs nobody else
            context.load_cert_chain(certificates / "client.pem", certificates / "client-key.pem")
            with closing(context.wrap_socket(plain)) as wrapped:
                # In TLS 1.3 the other side judges our certificate after the handshake: its first word tells.
                return "" if wrapped.recv(1) else "the scheduler closed the connection."
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return "its certificate has expired; make new ones with `radcnn cohort certificates`, and copy them again."
        return f"its certificate was not signed by our authority ({error.verify_message}); is it the right scheduler?"
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "HTTP_REQUEST"):
            return "it does not speak TLS; start it with `radcnn cohort scheduler --certificates ...`."
        return f"it refuses our certificate ({(error.reason or str(error)).replace('_', ' ').lower()})."
    except TimeoutError:
        hint = "does a firewall let us through" if certificates else "does its address begin with tls://"
        return f"no answer within {_TIMEOUT:g} s; is the scheduler running, and {hint}?"
    except OSError as error:
        return f"{error.strerror or error}; is the scheduler running?"
