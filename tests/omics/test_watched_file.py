from __future__ import annotations

from pathlib import Path

from napari_mmsubtype.omics.watched_file import WatchedFile, open_watched, watch

BLOCK = 2**16


def test_every_part_counts_once(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 1024)
    told = []
    with WatchedFile(path, lambda done, total: told.append((done, total))) as file:
        assert file.read(10) == bytes(range(10))
        for _ in range(50):  # a library in circles
            file.seek(5)
            file.read(1000)
        file.seek(2 * BLOCK)
        file.read(1)
        file.seek(0)
        assert file.read() == path.read_bytes()
    assert told == [(i * BLOCK, 4 * BLOCK) for i in (1, 2, 3, 4)]


def test_a_long_read_tells_of_itself_meanwhile(tmp_path):
    path = tmp_path / "a.bin"
    size = 2**24 + 7
    path.write_bytes(b"x" * size)
    told = []
    buffer = bytearray(size + 100)
    with WatchedFile(path, lambda done, _: told.append(done)) as file:
        assert file.readinto(buffer) == size
        assert file.readinto(buffer) == 0
    assert buffer[:size] == b"x" * size
    assert told == [2**23, 2**24, size]


def test_files_are_watched_only_on_demand(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    with open_watched(path) as source:
        assert source is path
    told = []
    with watch(lambda *parts: told.append(parts)), open_watched(path) as source:
        assert not isinstance(source, Path)
        assert source.read() == b"abc"
    assert told == [(0, 3), (3, 3), (0, 0)]
    with open_watched(path) as source:
        assert source is path
