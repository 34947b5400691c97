"""The MLflow store: a server that answers, or a folder for the SQLite file. Nothing is created."""

import os
import socket
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from nnexafs.campaign.doctor.finding import Finding, missing, not_checked, ok
from nnexafs.campaign.doctor.machine import existing, unwritable
from nnexafs.config import Tracking

TIMEOUT_SECONDS = 10.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
SERVER = "start it (mlflow server --host 127.0.0.1), correct tracking.uri, or set it to null for SQLite"


def mlflow(tracking: Tracking, *, results: Path) -> Finding:
    """Whether the campaign's runs can be written to the store of `tracking`."""
    uri = tracking.uri
    if uri is None:
        return sqlite_file(Path(results) / "mlflow" / "mlflow.db")
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        return server(uri)
    if scheme == "sqlite":
        return sqlite_file(Path(uri.removeprefix("sqlite:///")))
    if scheme in PORTS:
        return database(uri, port=PORTS[scheme])
    return not_checked("MLflow", f"{uri}: only servers, databases and SQLite are checked")


def server(uri: str) -> Finding:
    """A tracking server: any answer counts, one that asks for a password too."""
    place = urlsplit(uri)
    # Neither asked with the name and password of the address nor shown.
    uri = place._replace(netloc=place.netloc.rpartition("@")[2]).geturl().rstrip("/")
    address = f"{uri}/health"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
            return ok("MLflow", f"{uri} answers {answer.status}")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return ok(
                "MLflow", f"{uri} answers {error.code}: it asks for MLFLOW_TRACKING_USERNAME and _PASSWORD"
            )
        return missing("MLflow", f"{address} answers {error.code}: no MLflow server", SERVER)
    except (OSError, ValueError) as error:
        return missing("MLflow", f"{uri}: {getattr(error, 'reason', error)}", SERVER)


def database(uri: str, *, port: int) -> Finding:
    """A database: whether something listens there. The password is neither used nor shown."""
    place = urlsplit(uri)
    shown = f"{place.scheme}://{place.hostname}:{place.port or port}"
    try:
        with socket.create_connection((place.hostname or "", place.port or port), timeout=TIMEOUT_SECONDS):
            return ok("MLflow", f"{shown} listens (not logged in)")
    except OSError as error:
        return missing("MLflow", f"{shown}: {error}", "start the database, or correct tracking.uri")


def sqlite_file(path: Path) -> Finding:
    """A SQLite file that MLflow wrote, or room for one."""
    if not path.exists():
        folder = existing(path.parent)
        if trouble := unwritable(folder):
            return missing("MLflow", f"{folder}: {trouble}", "set tracking.uri, or make the folder writable")
        return ok("MLflow", f"SQLite, will be made at {path}")
    if not os.access(path, os.W_OK) or unwritable(path.parent):
        return missing(
            "MLflow", f"{path}: not writable", "give yourself the right to write there, or set tracking.uri"
        )
    try:
        count = runs_in(path)
    except sqlite3.Error as error:
        remedy = "not a store of MLflow: move the file away (its runs are lost), or set tracking.uri"
        return missing("MLflow", f"{path}: {error}", remedy)
    return ok("MLflow", f"SQLite, {count} runs in {path}")


def runs_in(path: Path) -> int:
    """Number of runs in a store, read without changing it."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=TIMEOUT_SECONDS)
    try:
        return connection.execute("select count(*) from runs").fetchone()[0]
    finally:
        connection.close()
