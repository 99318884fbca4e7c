#!/usr/bin/env python3
"""Runs a database or a Prometheus on loopback for as long as somebody holds our standard input open.

  server.py postgres [--tls] [--replica-of PORT]
  server.py mariadb  [--tls] [--replica-of PORT] [--port PORT]
  server.py prometheus TARGET          scrapes http://TARGET/metrics every second

Prints one line of JSON when it can be used, or `missing` where this machine has no such server: `port`, `folder`, `client` (a command that takes SQL as its last argument) and, with
`--tls`, `ca`, the file with the certificate of the CA. Everybody on loopback is trusted as `root`; `belay` has the password `s3cret`.
"""

import argparse
import datetime
import glob
import ipaddress
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import postgres

# Tries of POLL_SECONDS each.
READY_TRIES = 600
POLL_SECONDS = 0.05
PASSWORD = "s3cret"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def debian():
    """Where the packages of Debian are unpacked: see `install`."""
    return os.path.join(postgres.testbed(), "debian")


def environment():
    libraries = glob.glob(os.path.join(debian(), "usr/lib/*-linux-gnu"))
    # Last: what the system has fits it better.
    found = [os.environ.get("LD_LIBRARY_PATH", ""), *libraries]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(part for part in found if part)}


def program(*names):
    """A program of the test bed, or one of the system."""
    for name in names:
        for place in ("usr/bin", "usr/sbin"):
            path = os.path.join(debian(), place, name)
            if os.path.exists(path):
                return path
        if found := shutil.which(name):
            return found
    give_up(f"{names[0]}: run tests/testbed/install, or put it into PATH")


def give_up(missing):
    print(json.dumps({"missing": missing}), flush=True)
    raise SystemExit(0)


def certificates(folder):
    """A CA, and a certificate of its for localhost."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject, key, issuer, signer, extension):
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
        return builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints)).sign(signer, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("Belay's tests", ca_key, "Belay's tests", ca_key, x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    own = certificate("localhost", key, "Belay's tests", ca_key, names)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content in (("ca.pem", ca.public_bytes(pem)), ("server.pem", own.public_bytes(pem)), ("server.key", private)):
        with open(os.path.join(folder, file), "wb") as out:
            out.write(content)
    os.chmod(os.path.join(folder, "server.key"), 0o600)


def wait_until(what, process, check):
    for _ in range(READY_TRIES):
        if process.poll() is not None:
            raise SystemExit(f"{what} has ended with {process.returncode}")
        if check():
            return
        time.sleep(POLL_SECONDS)
    raise SystemExit(f"{what} does not get ready")


def start(folder, command, **options):
    with open(os.path.join(folder, "log"), "w") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)


def start_postgres(folder, arguments):
    if arguments.tls:
        # The wheel was built without TLS.
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not found:
            give_up("a PostgreSQL of the system: the wheel has no TLS")
        postgres.programs = lambda: found[-1]
    own = {}
    if os.getuid() == 0:
        user = postgres.server_user()
        own = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        shutil.chown(folder, user.pw_uid, user.pw_gid)
    data, port = os.path.join(folder, "data"), free_port()
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    if arguments.replica_of:
        source = f"host=127.0.0.1 port={arguments.replica_of} user=root"
        postgres.run("pg_basebackup", "-D", data, "-R", "-X", "stream", "-d", source, **quiet)
    else:
        postgres.run("initdb", "-D", data, "-U", "root", "-A", "trust", "--no-sync", **quiet)
        with open(os.path.join(data, "pg_hba.conf"), "w") as rules:
            secure = "hostssl" if arguments.tls else "host"
            rules.write(f"host all,replication root 127.0.0.1/32 trust\nhost replication root 127.0.0.1/32 trust\n")
            rules.write(f"{secure} all belay 127.0.0.1/32 scram-sha-256\n")
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    if arguments.tls:
        certificates(data)
        for file in ("ca.pem", "server.pem", "server.key"):
            shutil.copy(os.path.join(data, file), folder) if file == "ca.pem" else None
            if own:
                os.chown(os.path.join(data, file), own["user"], own["group"])
        os.chmod(folder, 0o755)
        settings.update(ssl="on", ssl_cert_file="server.pem", ssl_key_file="server.key")
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = start(folder, [os.path.join(postgres.programs(), "postgres"), "-D", data, *options], cwd="/", **own)
    client = [os.path.join(postgres.programs(), "psql"), "-qXAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port)]
    client += ["-U", "root", "-d", "postgres", "-c"]
    wait_until("PostgreSQL", process, lambda: answers([*client, "select 1"]))
    if not arguments.replica_of:
        subprocess.run([*client, f"create user belay password '{PASSWORD}'"], check=True)
    return process, signal.SIGINT, {"port": port, "client": client}


def start_mariadb(folder, arguments):
    data, port = os.path.join(folder, "data"), arguments.port or free_port()
    server, base = program("mariadbd", "mysqld"), None
    if server.startswith(debian()):
        base = os.path.join(debian(), "usr")
    user = pwd.getpwuid(os.getuid()).pw_name
    # A server that starts removes the temporary tables of all others from a folder that they share.
    os.mkdir(os.path.join(folder, "tmp"))
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}/tmp", f"--user={user}"]
    common += [f"--basedir={base}"] if base else []
    install = [program("mariadb-install-db", "mysql_install_db"), *common, "--auth-root-authentication-method=normal"]
    subprocess.run([*install, "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, env=environment())
    settings = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
    settings += [f"--server-id={port}", "--log-bin=log-bin", "--binlog-format=ROW", "--skip-name-resolve"]
    if base:
        settings += [f"--lc-messages-dir={base}/share/mysql", f"--character-sets-dir={base}/share/mysql/charsets"]
    if arguments.tls:
        certificates(folder)
        settings += [f"--ssl-ca={folder}/ca.pem", f"--ssl-cert={folder}/server.pem", f"--ssl-key={folder}/server.key"]
    process = start(folder, [server, *common, *settings], env=environment())
    client = [program("mariadb", "mysql"), "--no-defaults", "-N", "-B", f"--socket={folder}/socket", "-u", "root", "-e"]
    wait_until("MariaDB", process, lambda: answers([*client, "select 1"]))
    if arguments.replica_of:
        source = f"master_host='127.0.0.1', master_port={arguments.replica_of}, master_user='belay', master_password='{PASSWORD}'"
        sql = f"change master to {source}, master_use_gtid=slave_pos; start slave"
    else:
        sql = f"create user belay@'%' identified by '{PASSWORD}'; grant select, process, slave monitor, replication slave on *.* to belay@'%'"
        sql += "; create database shop"
    subprocess.run([*client, sql], check=True, env=environment())
    return process, signal.SIGTERM, {"port": port, "client": client}


def start_prometheus(folder, arguments):
    port = free_port()
    with open(os.path.join(folder, "prometheus.yml"), "w") as config:
        jobs = [{"job_name": "shop", "static_configs": [{"targets": [arguments.target]}]}]
        json.dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}, config)
    command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    process = start(folder, [*command, f"--web.listen-address=127.0.0.1:{port}"])

    def ready():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1).status == 200
        except OSError:
            return False

    wait_until("Prometheus", process, ready)
    return process, signal.SIGTERM, {"port": port, "client": []}


def answers(command):
    return subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("postgres", "mariadb"):
        database = kinds.add_parser(kind)
        database.add_argument("--tls", action="store_true")
        database.add_argument("--replica-of", type=int)
        database.add_argument("--port", type=int)
    kinds.add_parser("prometheus").add_argument("target")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="belay-server-")
    process = None
    try:
        run = {"postgres": start_postgres, "mariadb": start_mariadb, "prometheus": start_prometheus}[arguments.kind]
        process, goodbye, found = run(folder, arguments)
        found.update(folder=folder, ca=os.path.join(folder, "ca.pem"), pid=process.pid)
        print(json.dumps(found), flush=True)
        sys.stdin.read()
        process.send_signal(goodbye)
        process.wait(10)
    finally:
        if process and process.poll() is None:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


main()
