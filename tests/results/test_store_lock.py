import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from napari_mmsubtype.errors import StoreError, StoreInUseError
from napari_mmsubtype.results import store_lock
from napari_mmsubtype.results.store_lock import (
    LockOwner,
    StoreLock,
    break_lock,
    clear_stale_lock,
    lock_path,
    process_birth,
    read_owner,
)

HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from napari_mmsubtype.results.store_lock import StoreLock\n"
    "lock = StoreLock.acquire(Path(sys.argv[1]))\n"
    "print(lock.owner.started, flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "slide.mmsubtype.zarr"


def write_lock(store, **changes):
    """Write a lock like this process's, changed."""
    owner = replace(LockOwner.current(), **changes)
    lock_path(store).write_text(json.dumps(asdict(owner)))
    return owner


def hold_elsewhere(store):
    """Let another process take the lock and keep it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_the_second_process_is_told_the_first_ones_number_and_time(store):
    process, started = hold_elsewhere(store)
    try:
        with pytest.raises(StoreInUseError) as caught:
            StoreLock.acquire(store)
        assert f"process {process.pid}" in str(caught.value)
        assert started in str(caught.value)
        assert "--out" in str(caught.value)
    finally:
        process.kill()
        process.communicate()
    # Killed, it let nothing go itself.
    assert lock_path(store).exists()
    with StoreLock.acquire(store) as lock:
        assert lock.owner.pid == os.getpid()
    assert not lock_path(store).exists()


def test_one_process_does_not_write_twice_at_once(store):
    with (
        StoreLock.acquire(store),
        pytest.raises(StoreInUseError, match="this program itself"),
    ):
        StoreLock.acquire(store)
    StoreLock.acquire(store).release()


def test_the_lock_is_let_go_when_its_work_fails(store):
    with pytest.raises(ValueError, match="boom"), StoreLock.acquire(store):
        raise ValueError("boom")
    assert list(store.parent.iterdir()) == []


def test_a_number_that_was_given_to_another_process_since_is_recognised(store):
    # This very process lives; but the one of the lock was born at another time.
    write_lock(store, birth="another/1")
    with StoreLock.acquire(store):
        pass
    write_lock(store)
    with pytest.raises(StoreInUseError):
        StoreLock.acquire(store)


def test_a_lock_of_another_machine_is_named_and_left(store):
    # A number that is free here says nothing about the other machine.
    write_lock(store, host="lab-7", pid=2**22 + 1)
    with pytest.raises(StoreInUseError, match="'lab-7'") as caught:
        StoreLock.acquire(store)
    assert f"napari-mmsubtype unlock {str(store)!r}" in str(caught.value)
    assert lock_path(store).exists()


def test_a_lock_is_broken_only_if_it_is_still_the_one_that_was_seen(store):
    write_lock(store, host="lab-7", pid=1)
    seen = read_owner(store)
    assert (seen.host, seen.pid) == ("lab-7", 1)
    write_lock(store, host="lab-8", pid=2)
    with pytest.raises(StoreInUseError, match="'lab-8'"):
        break_lock(store, seen)
    assert read_owner(store).host == "lab-8"
    break_lock(store, read_owner(store))
    assert read_owner(store) is None
    # It may be gone already: then there is nothing to do.
    break_lock(store, seen)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', "null", '{"pid": -4, "birth": ""}']
)
def test_a_lock_that_says_nothing_counts_as_new_and_then_as_left_behind(store, text):
    path = lock_path(store)
    path.write_text(text)
    with pytest.raises(StoreInUseError, match="try again"):
        StoreLock.acquire(store)
    old = time.time() - store_lock.UNREADABLE_AFTER_S - 1
    os.utime(path, (old, old))
    StoreLock.acquire(store).release()
    assert list(store.parent.iterdir()) == []


def test_a_lock_made_since_the_old_one_was_read_is_not_deleted(store, monkeypatch):
    stale = write_lock(store, birth="another/1")
    live = replace(LockOwner.current(), pid=os.getppid())
    live = replace(live, birth=process_birth(live.pid))
    read = store_lock._read
    reads = []

    def read_old_then_replace(path):
        found = read(path)
        if not reads:
            # A faster process takes over right after this one has looked.
            path.write_text(json.dumps(asdict(live)))
        reads.append(found)
        return found

    monkeypatch.setattr(store_lock, "_read", read_old_then_replace)
    with pytest.raises(StoreInUseError):
        StoreLock.acquire(store)
    assert reads[0] == stale
    assert read(lock_path(store)) == live


def test_a_lock_that_is_no_longer_ours_is_not_removed(store):
    lock = StoreLock.acquire(store)
    write_lock(store)
    lock.release()
    assert lock_path(store).exists()


def test_of_many_processes_one_gets_the_lock_that_a_killed_one_left(store):
    # All at once, so that some find the old lock while another replaces it.
    write_lock(store, birth="another/1")
    held = [hold_elsewhere(store) for _ in range(3)]
    winners = [started for _, started in held if started]
    for process, _ in held:
        process.kill()
        process.communicate()
    assert len(winners) == 1


def test_a_folder_that_cannot_be_written_to_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write the result.*--out"):
        StoreLock.acquire(tmp_path / "file" / "s.mmsubtype.zarr")


def _waiting_child():
    """Start a process that ends when its input does, hence with the block."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def test_a_process_keeps_its_birth_and_a_dead_one_has_none():
    assert process_birth(os.getpid()) == process_birth(os.getpid())
    with _waiting_child() as process:
        assert process_birth(process.pid) not in {None, process_birth(os.getpid())}
    assert process_birth(process.pid) is None


def test_other_systems_tell_processes_apart_too(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    own = process_birth(os.getpid())
    assert own == process_birth(os.getpid())
    with _waiting_child() as process:
        assert process_birth(process.pid) not in {None, own}
    assert float(own) > 0
    assert process_birth(2**22 + 1) is None


def test_a_lock_lies_beside_its_store(store):
    assert lock_path(store) == Path(store.parent, ".slide.mmsubtype.zarr.lock")


def test_a_stale_lock_is_cleared_and_a_folder_without_one_left_alone(tmp_path):
    store = tmp_path / "a.mmsubtype.zarr"
    clear_stale_lock(store)
    assert list(tmp_path.iterdir()) == []
    lock = StoreLock.acquire(store)
    clear_stale_lock(store)
    assert lock.path.exists()
    gone = replace(lock.owner, birth="another boot/1")
    lock.path.write_text(json.dumps(asdict(gone)))
    clear_stale_lock(store)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_removed_does_not_keep_from_the_store(
    tmp_path, monkeypatch, caplog
):
    lock = StoreLock.acquire(tmp_path / "a.mmsubtype.zarr")
    gone = replace(lock.owner, birth="another boot/1")
    lock.path.write_text(json.dumps(asdict(gone)))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    clear_stale_lock(tmp_path / "a.mmsubtype.zarr")
    assert lock.path.exists()
    assert "cannot remove the lock" in caplog.text
