"""What every test runs under: fixed seeds, no network, no leaked threads, real data."""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
SEED = 0
# Pools that libraries keep for the life of the process (dask, zarr, asyncio, tqdm).
LIBRARY_THREADS = (
    "ThreadPoolExecutor-",
    "asyncio_",
    "zarr",
    "Dask",
    "pymp-",
    "Profile",
)

# Before any test module is imported: pictures need no display and the user's napari
# settings are neither read nor written.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NAPARI_CONFIG", "")
# Tests that count what is decoded must not depend on what a thread reads ahead.
os.environ["MMSUBTYPE_PREFETCH"] = "0"

# A shared runner may be slow, and a red suite must be red twice in a row.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")


def _has_display() -> bool:
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-network",
        action="store_true",
        help="run the tests marked network, and let them reach the internet",
    )


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip what this machine cannot run, each with a plain reason."""
    reasons: dict[str, str] = {}
    if not config.getoption("--run-network"):
        reasons["network"] = "needs the internet; pass --run-network"
    if any(item.get_closest_marker("gpu") for item in items) and not _has_cuda():
        reasons["gpu"] = "needs a CUDA device"
    # The test session promises a window: there, a missing display is a failure.
    if not _has_display() and not os.environ.get("MMSUBTYPE_REQUIRE_GUI"):
        reasons["gui"] = "needs a display; run 'nox -s test', which brings its own"
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Top folder of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real slides and tables, or a skip that says how to give one."""
    given = os.environ.get("MMSUBTYPE_REAL_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MMSUBTYPE_REAL_DATA to a folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep computed levels and bundles away from the user's folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MMSUBTYPE_BUNDLE_DIR", str(tmp_path_factory.mktemp("bundles")))
        yield


@pytest.fixture(autouse=True)
def _written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write every batch by itself, as a slow network does.

    What is in a store when something ends early must not depend on a clock. Processes
    that tests start write as they always do.
    """
    monkeypatch.setattr("napari_mmsubtype.inference.write_behind.EVERY_S", 0.0)


@pytest.fixture(autouse=True)
def _windows_go_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of closed windows in the thread that made them.

    Python looks for cycles in whichever thread is at it. A drawing context of Qt that
    ends in another thread than its own stays the current one there, and the next window
    that goes takes the process with it.
    """
    yield
    if request.node.get_closest_marker("gui"):
        from qtpy.QtCore import QCoreApplication, QEvent

        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """Give each test the same random numbers, alone or in the whole suite."""
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - libraries still draw from the global state
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(SEED)


def _is_local(sock: socket.socket, address: Any) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0])
    return host in {"localhost", "::1", "0.0.0.0"} or host.startswith("127.")


@pytest.fixture(autouse=True)
def _no_network(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refuse connections to other machines, so that no test depends on one."""
    if request.node.get_closest_marker("network"):
        return
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(sock: socket.socket, address: Any) -> None:
        if not _is_local(sock, address):
            sock.close()
            msg = f"a test tried to reach {address!r}; mark it 'network' or fake it"
            raise RuntimeError(msg)

    def guarded(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        connect(sock, address)

    def guarded_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


def _own_threads() -> set[threading.Thread]:
    return {
        thread
        for thread in threading.enumerate()
        if not thread.daemon and not thread.name.startswith(LIBRARY_THREADS)
    }


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    """Fail a test that leaves a thread running behind it."""
    before = _own_threads()
    yield
    deadline = time.monotonic() + 3.0
    while leaked := _own_threads() - before:
        if time.monotonic() > deadline:
            names = sorted(thread.name for thread in leaked)
            pytest.fail(f"threads still run after the test: {names}")
        time.sleep(0.01)


@pytest.fixture
def plugin_viewer(make_napari_viewer, repository):
    """Open a real window that knows the manifest at the top of the source tree.

    Every test has its own plugin manager, but napari's menus and commands live as long
    as the process: what an earlier test put there is not put there again.
    """
    from napari._app_model import get_app_model
    from napari.plugins import _npe2 as napari_plugins
    from npe2 import PluginManager, PluginManifest

    viewer = make_napari_viewer()
    manager = PluginManager.instance()
    if "napari-mmsubtype" not in manager:
        manifest = PluginManifest.from_file(repository / "napari.yaml")
        commands = get_app_model().commands
        known = any(c.id in commands for c in manifest.contributions.commands)
        # napari listens once more for every window that a test opened before.
        with manager.events.plugins_registered.blocked():
            manager.register(manifest)
        if not known:
            napari_plugins.on_plugins_registered({manifest})
    return viewer
