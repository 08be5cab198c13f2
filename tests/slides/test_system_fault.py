import errno
import os

import pytest
from PIL import UnidentifiedImageError

from napari_mmsubtype.slides.system_fault import is_system_fault


@pytest.mark.parametrize("name", ["EIO", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT"])
def test_a_system_is_known_by_number_and_by_words(name):
    code = getattr(errno, name)
    assert is_system_fault(OSError(code, os.strerror(code)))
    assert is_system_fault(RuntimeError(f"cannot read: {os.strerror(code)}"))


@pytest.mark.parametrize(
    "error",
    [
        OSError("broken data stream when reading image file"),
        OSError(errno.EINVAL, "Invalid argument"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        UnidentifiedImageError("cannot identify image file"),
        ValueError("a tile of 3 bytes where 4 are expected"),
        EOFError(),
    ],
    ids=repr,
)
def test_damage_is_not_the_systems(error):
    assert not is_system_fault(error)
