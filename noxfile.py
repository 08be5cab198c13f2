"""Every chore as one command: demo, test, lint, demo_bundle, bench, bench_peers, fuzz.

Each does all its own set-up on a machine that has Python and nothing else. All share
one environment, .nox/env, because torch alone is gigabytes.
"""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import nox

nox.needs_version = ">=2024.10.9"
# The sessions bring the shared environment themselves.
nox.options.default_venv_backend = "none"
nox.options.sessions = ["test", "lint"]

PROCESSES = 2
"""That run the whole suite, a file at a time."""

TOP = Path(__file__).resolve().parent
ENVIRONMENT = TOP / ".nox" / "env"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")

# What makes the scripts of benchmarks/ short: about a minute each on two cores.
_SLIDE = "synthetic:seed=0,size=2048"
SHORT = {
    "throughput": (_SLIDE, "--encoder", "resnet50", "--repeats", "1", "--json"),
    "viewing": (_SLIDE, "--count", "8", "--steps", "4", "--json"),
    "window": (_SLIDE, "--rounds", "1", "--json"),
    "tissue_grid": ("synthetic:seed=0,size=8192", "--json"),
    "colors": (_SLIDE, "--json"),
    "quality": ("--rounds", "1", "--synthetic", "1", "--json"),
    "omics": ("--genes", "20000", "--samples", "60"),
    "memory": ("--sides", "4096", "--json"),
    "heads": ("--dim", "1024", "--repeats", "3", "--json"),
    "training": ("--patients", "60", "--patches", "300", "--epochs", "3"),
    "calibration": ("--train", "240", "--fresh", "500", "--epochs", "8", "--json"),
}

# A virtual screen, software OpenGL, and what Qt's xcb platform loads at run time.
SCREEN_PACKAGES = (
    "xvfb",
    "libegl1",
    "libgl1",
    "libglx-mesa0",
    "libgl1-mesa-dri",
    "libxkbcommon-x11-0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-keysyms1",
    "libxcb-shape0",
    "libxcb-xinerama0",
    "libxcb-randr0",
    "libxcb-render-util0",
    "libxcb-image0",
    "libdbus-1-3",
    "libfontconfig1",
    "libglib2.0-0",
)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the main job on a synthetic patient and show it in napari."""
    has_window = has_display() and "--headless" not in session.posargs
    install(session, *(["gui"] if has_window else []))
    run(session, "napari-mmsubtype", "demo", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Run the whole suite, windows included, or what is named: PATH [PATH ...]."""
    install(session, "gui", "test")
    with screen(session) as variables:
        if not session.posargs:
            # Each process takes up to 4 GB, so two on any machine; they share its
            # cores, or both would compute in as many threads as there are.
            threads = max(1, (os.cpu_count() or 2) // PROCESSES)
            variables |= {"OMP_NUM_THREADS": str(threads)}
        # A process that crashes ends the run: pytest-xdist may wait for it forever.
        whole = ["-n", str(PROCESSES), "--dist", "loadfile", "--max-worker-restart=0"]
        words = session.posargs or whole
        run(session, "pytest", *words, env=variables)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, layers and docstrings."""
    install(session, "dev")
    sources = sorted(str(path) for path in (TOP / "src").rglob("*.py"))
    run(session, "ruff", "check")
    run(session, "ruff", "format", "--check")
    run(session, "mypy", "--strict")
    run(session, "lint-imports")
    session.log(f"numpydoc lint over {len(sources)} files")
    run(session, "numpydoc", "lint", *sources, log=False)


@nox.session
def demo_bundle(session: nox.Session) -> None:
    """Train the demo model on synthetic patients and put it into the package."""
    install(session)
    module = "napari_mmsubtype.workflows.demo_bundle"
    run(session, "python", "-m", module, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark briefly; or one, by name, with arguments of your own."""
    install(session, "gui")
    scripts = sorted(path.stem for path in (TOP / "benchmarks").glob("*.py"))
    name, *own = session.posargs or [""]
    if name and name not in scripts:
        session.error(f"no benchmark {name!r}; there are {', '.join(scripts)}")
    kept = TOP / ".nox" / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    for script in [name] if name else [x for x in scripts if x != "against_peers"]:
        arguments = own or SHORT.get(script, ())
        path = kept / f"{script}.json"
        shown = screen(session) if script == "window" else contextlib.nullcontext({})
        with path.open("w", encoding="utf-8") as out, shown as variables:
            command = ["python", f"benchmarks/{script}.py", *arguments]
            run(session, *command, stdout=out, env=variables)
        session.log(path.read_text(encoding="utf-8").strip())
    session.log(f"kept in {kept}")


@nox.session
def bench_peers(session: nox.Session) -> None:
    """Run other programs over the patches of a slide: SLIDE [--rounds 3] [--json]."""
    if not session.posargs:
        session.error("give the path of a slide: nox -s bench_peers -- SLIDE")
    install(session)
    folder = TOP / ".nox" / "peers"
    for listed in sorted((TOP / "benchmarks" / "peers").glob("*.txt")):
        if "-alone" not in listed.stem:
            install_peer(session, folder, listed)
    words = ["benchmarks/against_peers.py", *session.posargs]
    run(session, "python", *words, "--environments", str(folder))


@nox.session
def fuzz(session: nox.Session) -> None:
    """Read many damaged copies of slides of every kind, and of HDF5 tables."""
    install(session, "gui", "test")
    files = ("test_fuzz.py", "test_damaged_hdf5.py")
    words = ["pytest", *(f"tests/end_to_end/{name}" for name in files)]
    words += session.posargs
    run(session, *words, env={"MMSUBTYPE_FUZZ": "full"})


def run(
    session: nox.Session,
    program: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    log: bool = True,
    stdout: IO[str] | None = None,
) -> None:
    """Run a program of the shared environment."""
    path = os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])
    variables = {"VIRTUAL_ENV": str(ENVIRONMENT), "PATH": path, **(env or {})}
    found = shutil.which(program, path=str(SCRIPTS)) or program
    session.run(found, *arguments, env=variables, external=True, log=log, stdout=stdout)


def install(session: nox.Session, *extras: str) -> None:
    """Make the shared environment and install the package, editable, into it."""
    uv = find_uv()
    if not is_usable(PYTHON):
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        maker = [uv, "venv", "--python"] if uv else [sys.executable, "-m", "virtualenv"]
        python = [sys.executable] if uv else ["--no-periodic-update"]
        setup(session, *maker, *python, str(ENVIRONMENT))
    target = "." + (f"[{','.join(extras)}]" if extras else "")
    if uv:
        setup(session, uv, "pip", "install", "--python", str(PYTHON), "-e", target)
    else:
        setup(session, str(PYTHON), "-m", "pip", "install", "-e", target)


def install_peer(session: nox.Session, folder: Path, listed: Path) -> None:
    """Make the environment of another program; keep the reason where that fails."""
    name = listed.stem
    python = folder / name / SCRIPTS.name / PYTHON.name
    note = folder / f"{name}.error"
    if python.exists() and not note.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    alone = listed.with_stem(f"{name}-alone")
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(folder / name)],
        [str(python), "-m", "pip", "install", "-r", str(listed)],
    ]
    if alone.exists():
        steps.append(
            [str(python), "-m", "pip", "install", "--no-deps", "-r", str(alone)]
        )
    for step in steps:
        session.log(" ".join(step))
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-3:]
            note.write_text(" | ".join(last), encoding="utf-8")
            shutil.rmtree(folder / name, ignore_errors=True)
            session.warn(f"{name} cannot be installed: {last[-1:]}")
            return
    note.unlink(missing_ok=True)


def setup(session: nox.Session, *words: str) -> None:
    """Run a step that makes or fills the environment."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    session.run_install(*words, env=quiet, external=True)


def is_usable(python: Path) -> bool:
    """Tell whether the environment works and is of the Python that runs nox."""
    question = "import sys; print(sys.version_info[:2])"
    try:
        found = subprocess.run(
            [str(python), "-c", question], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return found.stdout.strip() == str(sys.version_info[:2])


def find_uv() -> str | None:
    """Find uv, unless pip alone was told where packages come from."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    asked = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    settings += " ".join(name for name in os.environ if name.startswith("PIP_"))
    sources = ("index", "find-links", "INDEX", "FIND_LINKS")
    return None if any(word in settings for word in sources) else uv


def has_display() -> bool:
    """Tell whether a window can be opened."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextlib.contextmanager
def screen(session: nox.Session) -> Iterator[dict[str, str]]:
    """Provide a display: the machine's own, or a virtual one while it is needed."""
    if has_display():
        yield {"MMSUBTYPE_REQUIRE_GUI": "1"}
        return
    require_screen_packages(session)
    with (
        tempfile.TemporaryDirectory(prefix="mmsubtype-run-") as runtime,
        virtual_screen(session) as display,
    ):
        yield {
            "DISPLAY": display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "MMSUBTYPE_REQUIRE_GUI": "1",
            "QT_QPA_PLATFORM": "xcb",
            "XDG_RUNTIME_DIR": runtime,
        }


@contextlib.contextmanager
def virtual_screen(session: nox.Session) -> Iterator[str]:
    """Run Xvfb on a display that it finds free itself, and stop it afterwards."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1200x24"]
    command += ["-nolisten", "tcp", "-noreset", "+extension", "GLX"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, pass_fds=[writing], stdout=log, stderr=subprocess.STDOUT
        )
        os.close(writing)
        try:
            ready, _, _ = select.select([reading], [], [], 30)
            number = os.read(reading, 16).decode().strip() if ready else ""
            if not number:
                log.seek(0)
                said = log.read().decode(errors="replace").strip()
                session.error(f"Xvfb did not start: {said or 'it said nothing'}")
            session.log(f"Xvfb runs on display :{number}")
            yield f":{number}"
        finally:
            os.close(reading)
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def require_screen_packages(session: nox.Session) -> None:
    """Install what a virtual screen needs, or say the one command that does."""
    missing = missing_packages()
    if not missing:
        return
    command = f"apt-get update && apt-get install -y {' '.join(missing)}"
    is_debian = shutil.which("apt-get") is not None
    if not is_debian or os.geteuid() != 0:
        where = f"sudo sh -c '{command}'" if is_debian else "install Xvfb and libEGL"
        session.error(f"the tests need a virtual screen; run once: {where}")
    session.log(f"installing through apt-get: {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            session.error(f"apt-get failed: {done.stderr.strip()}\nrun: {command}")


def missing_packages() -> list[str]:
    """List what a virtual screen needs and this machine lacks."""
    if shutil.which("dpkg-query") is None:
        return [] if shutil.which("Xvfb") else list(SCREEN_PACKAGES)
    return [name for name in SCREEN_PACKAGES if not is_installed(name)]


def is_installed(package: str) -> bool:
    """Tell whether dpkg has a package in working order.

    Newer Debian and Ubuntu gave some libraries the ending t64; apt knows both names.
    """
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Status} ", package, f"{package}t64"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return "installed" in found.stdout.split()
