"""A server's first boot, on this machine: the user data that Terraform makes is run as it is.

What stands for AWS: the instance's metadata, S3, Secrets Manager and the certificates of Aurora,
each a few lines of shell, and systemctl, which notes what it is told. The rest is real: archive,
checksum, installation from the lock, PostgreSQL over TLS, and the shop as its unit starts it.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pip
import psutil
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra import ROOT
from infra.aws.pack import BOOT, LOAD, SHOP, Contents, pack, sha256
from infra.lab.database.postgres import Postgres
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from tests.infra.aws.configuration.tls_door import tls_door
from tests.infra.aws.configuration.user_data import user_data

pytestmark = pytest.mark.lab

PASSWORD = "correct horse/battery@staple%'"
METADATA = {
    "instance-id": "i-0123456789abcdef0",
    "placement/availability-zone": "us-east-1a",
    "local-ipv4": "127.0.0.1",
}
AWS = """
case "$1 $2" in
  "s3 cp") [ "$3" = --quiet ] && cp "$BUCKET/$(basename "$4")" "$5" ;;
  "s3 sync") echo "sync $*" >> "$CALLS" ;;
  "secretsmanager get-secret-value") [ "$4" = arn:secret ] && cat "$BUCKET/secret.json" ;;
  *) echo "aws $*: not known here" >&2; exit 1 ;;
esac
"""
CURL = """
for word in "$@"; do
  case $word in
    http://169.254.169.254/latest/api/token) printf %s secret-token; exit ;;
    http://169.254.169.254/latest/meta-data/*)
      case "$*" in *"X-aws-ec2-metadata-token: secret-token"*) ;; *) exit 22 ;; esac
      cat "$BUCKET/metadata/${word#http://169.254.169.254/latest/meta-data/}"; exit ;;
    https://truststore.pki.rds.amazonaws.com/*) pem=1 ;;
    --output) next=1; continue ;;
    *) [ -z "${next:-}" ] || out=$word ;;
  esac
  next=
done
[ -n "${pem:-}" ] && cp "$BUCKET/aurora.pem" "$out"
"""
# An environment's own pip takes it long to unpack and to compile: ours is lent to it.
ENVIRONMENT_OF_ITS_OWN = f"""
[ "$1 $2" = "-m venv" ] || exit 1
{shlex.quote(sys.executable)} -m venv --without-pip "$3"
ln -s {shlex.quote(str(Path(pip.__file__).parent))} "$3"/lib/python*/site-packages/
"""
NOTED = 'echo "$(basename "$0") $*" >> "$CALLS"\n'


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A new instance: `root` is where its files go, `bucket` what stands for AWS.

    Where its Python's environment is shared with the tests, nothing is installed in it.
    """

    root: Path
    bucket: Path
    port: int
    is_shared: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.bucket}/bin:{os.environ['PATH']}",
            "HOME": str(self.root),
            "BOOT_ROOT": str(self.root),
            "BUCKET": str(self.bucket),
            "CALLS": str(self.bucket / "calls"),
            **{name: each for name, each in os.environ.items() if name.startswith("PIP_")},
            "PIP_COMPILE": "0",  # what is not imported need not be compiled
            **({"PIP_DRY_RUN": "1"} if self.is_shared else {}),
        }

    @property
    def calls(self) -> list[str]:
        return (self.bucket / "calls").read_text().splitlines()

    def boot(self, contents: Contents, role: str, **settings: object) -> str:
        """Run the user data for `role`; returns what it wrote."""
        data = self.data(pack(contents, folder=self.bucket), role, **settings)
        done = subprocess.run(
            ["bash", data], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def data(self, archive: Path, role: str, **settings: object) -> Path:
        """Write the user data; returns its place."""
        path = self.bucket / "user_data.sh"
        uri, checksum = f"s3://bucket/{archive.name}", sha256(archive)
        text = user_data(archive=uri, sha256=checksum, role=role, settings=settings)
        path.write_text(text)
        return path

    def place(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    @contextmanager
    def service(self, unit: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a unit as systemd would, from its own file."""
        text = self.place(f"/etc/systemd/system/{unit}").read_text()
        told = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        lines = self.place(told["EnvironmentFile"]).read_text().splitlines()
        environment = dict(line.split("=", 1) for line in lines)
        with (self.bucket / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.place(told["ExecStart"])],
                cwd=self.place(told["WorkingDirectory"]),
                env=self.environment | environment | changes,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def certificate() -> tuple[bytes, bytes]:
    """Of a database on 127.0.0.1, by itself; and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "aurora of a test")])
    now, day = datetime.now(UTC), timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM), plain


@pytest.fixture(scope="module")
def aurora(certificate: tuple[bytes, bytes]) -> Iterator[int]:
    """Port of a database that takes role `aurora` with its password, over TLS alone."""
    with tempfile.TemporaryDirectory(prefix="chaos-boot-") as name, Guard() as guard:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres(folder=folder / "postgres", guard=guard)
        server.start()
        with psycopg.connect(server.admin_url, autocommit=True) as connection:
            quoted = PASSWORD.replace("'", "''")
            connection.execute(f"CREATE ROLE aurora LOGIN PASSWORD '{quoted}'".encode())
            connection.execute("CREATE DATABASE orders OWNER aurora")
        (folder / "door.pem").write_bytes(b"".join(certificate))
        with tls_door(server.port, folder / "door.pem") as port:
            yield port
        server.stop()


@pytest.fixture
def machine(certificate: tuple[bytes, bytes], tmp_path: Path) -> Machine:
    return new_machine(tmp_path / "server", certificate[0])


def new_machine(folder: Path, certificate: bytes, *, python: str = "") -> Machine:
    """An instance that was never booted. `python` is what its Python is, in shell."""
    root, bucket = folder / "root", folder / "aws"
    (bucket / "bin").mkdir(parents=True)
    root.mkdir(parents=True)
    programs = {
        "aws": AWS,
        "curl": CURL,
        "systemctl": NOTED,
        "dnf": NOTED,
        "useradd": NOTED,
        "chown": NOTED,
    }
    programs["python3.11"] = python or ENVIRONMENT_OF_ITS_OWN
    for name, text in programs.items():
        path = bucket / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}")
        path.chmod(0o755)
    for name, value in METADATA.items():
        path = bucket / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    (bucket / "aurora.pem").write_bytes(certificate)
    secret = {"username": "aurora", "password": PASSWORD}
    (bucket / "secret.json").write_text(json.dumps(secret))
    return Machine(root=root, bucket=bucket, port=free_port(), is_shared=bool(python))


def settings_of(aurora: int) -> dict[str, object]:
    return {
        "DB_ENDPOINT": "127.0.0.1",
        "DB_PORT": aurora,
        "DB_NAME": "orders",
        "DB_SECRET_ARN": "arn:secret",
    }


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> bytes:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, log.read_text(errors="replace")
            time.sleep(0.1)


def test_server_boots_from_the_archive_and_takes_orders(aurora: int, machine: Machine) -> None:
    shop = settings_of(aurora) | {"SHOP_WORKERS": 2, "SHOP_STOCK_FACTOR": 7}
    machine.boot(SHOP, "shop", **shop)
    assert machine.calls[-2:] == [
        "systemctl daemon-reload",
        "systemctl enable --now chaos-shop.service",
    ]
    venv = machine.place("/opt/chaos-shop/current/venv/bin/python")
    more = subprocess.run([venv, "-c", "import locust"], capture_output=True, check=False)
    assert more.returncode != 0

    base, log = f"http://127.0.0.1:{machine.port}", machine.bucket / "log"
    with machine.service("chaos-shop.service", SHOP_PORT=str(machine.port)) as process:
        assert json.loads(wait_for(f"{base}/health", process, log)) == {"status": "healthy"}
        about = json.loads(wait_for(f"{base}/", process, log))
        assert about["instance_id"] == METADATA["instance-id"]
        assert about["availability_zone"] == "us-east-1a"
        order = urllib.request.Request(
            f"{base}/orders",
            b'{"product_id": 3, "quantity": 2}',
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(order, timeout=10) as answer:
            assert answer.status == 201
        command = psutil.Process(process.pid).cmdline()
    assert command[1:5] == ["-m", "gunicorn", "--config", "python:shop.gunicorn_conf"]
    # The password is in no file, and on no command line.
    assert PASSWORD not in " ".join(command)
    for path in (*machine.root.rglob("*"), log, machine.bucket / "calls"):
        if path.is_file() and "venv" not in path.parts:
            assert PASSWORD.encode() not in path.read_bytes(), path

    # It was Aurora that it spoke to, and it would speak to nobody else.
    other = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody else")])
    now, day = datetime.now(UTC), timedelta(days=1)
    wrong = x509.CertificateBuilder(name, name, other.public_key(), 2, now - day, now + day)
    machine.place("/etc/chaos-shop/aurora.pem").write_bytes(
        wrong.sign(other, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    changes = {"SHOP_PORT": str(machine.port), "SHOP_START_TIMEOUT_MS": "1000"}
    with machine.service("chaos-shop.service", **changes) as process:
        assert process.wait(60) != 0
    assert "certificate verify failed" in log.read_text()


# The load generator's own environment is large: this one stands for it, and pip says whether it has
# all that the lock wants.
THIS_ENVIRONMENT = f'[ "$1 $2" = "-m venv" ] && ln -s {shlex.quote(sys.prefix)} "$3"\n'


def test_fleet_boots_and_its_master_is_on_loopback_alone(
    aurora: int, certificate: tuple[bytes, bytes], tmp_path: Path
) -> None:
    web, wire = free_port(), free_port()
    load = {
        "LOAD_HOST": "http://127.0.0.1:9",
        "LOAD_FIS_TEMPLATE": "EXT1",
        "LOAD_EVIDENCE_URI": "s3://evidence",
        "LOAD_MASTER_PORT": wire,
    }
    log = tmp_path / "master" / "aws" / "log"
    master = new_machine(tmp_path / "master", certificate[0], python=THIS_ENVIRONMENT)
    worker = new_machine(tmp_path / "worker", certificate[0], python=THIS_ENVIRONMENT)
    master.boot(LOAD, "load-master", **load, **settings_of(aurora), LOAD_WEB_PORT=web)
    worker.boot(LOAD, "load-worker", **load, LOAD_MASTER="127.0.0.1", LOAD_PROCESSES=1)
    assert master.calls[-2:] == [
        "systemctl enable --now chaos-evidence.timer",
        "systemctl enable --now chaos-load.service",
    ]
    for each in (master, worker):  # what their user may write
        runs = each.place("/opt/chaos-shop/current").resolve() / "runs"
        assert f"chown chaos {runs}" in each.calls
    assert worker.calls[-1] == "systemctl enable --now chaos-load.service"
    with (
        master.service("chaos-load.service") as process,
        worker.service("chaos-load.service"),
    ):
        deadline = time.monotonic() + 60
        page = f"http://127.0.0.1:{web}/stats/requests"
        while not json.loads(wait_for(page, process, log))["workers"]:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        listening = {
            each.laddr
            for each in psutil.Process(process.pid).net_connections("tcp")
            if each.status == psutil.CONN_LISTEN
        }
        assert {each.ip for each in listening} == {"127.0.0.1"}
        assert {each.port for each in listening} == {web, wire}
        command = " ".join(psutil.Process(process.pid).cmdline())
    assert PASSWORD not in command
    assert PASSWORD not in log.read_text()


def test_lab_and_server_start_the_same_gunicorn() -> None:
    lab = (ROOT / "infra" / "lab" / "supervision" / "supervisor.py").read_text()
    server = (ROOT / BOOT / "serve.sh").read_text()
    for word in ("python:shop.gunicorn_conf",):
        assert word in lab
        assert word in server
    assert re.findall(r"--(\w+)", server.split("gunicorn", 1)[1]) == ["config", "bind"]


def test_archive_that_is_not_the_one_that_was_packed_is_not_run(machine: Machine) -> None:
    archive = pack(SHOP, folder=machine.bucket)
    data = machine.data(archive, "shop")
    archive.write_bytes(pack(LOAD, folder=machine.bucket).read_bytes())
    done = subprocess.run(
        ["bash", data], env=machine.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "WARNING: 1 computed checksum did NOT match" in done.stderr
    assert not machine.place("/opt/chaos-shop/current").exists()


def test_scripts_are_sound() -> None:
    for script in (ROOT / BOOT).glob("*.sh"):
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111 or script.name == "secret.sh"
    assert shutil.which("bash")
