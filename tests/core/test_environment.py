import pytest

from napari_mmsubtype.core.environment import read_mebibytes
from napari_mmsubtype.errors import ConfigurationError


@pytest.mark.parametrize(("text", "mib"), [("", 256), (" 64 ", 64), ("0", 0)])
def test_mebibytes_become_bytes(monkeypatch, text, mib):
    monkeypatch.setenv("SOME_MIB", text)
    assert read_mebibytes("SOME_MIB", 256 * 1024**2) == mib * 1024**2


def test_what_is_not_set_takes_the_default(monkeypatch):
    monkeypatch.delenv("SOME_MIB", raising=False)
    assert read_mebibytes("SOME_MIB", 5) == 5


@pytest.mark.parametrize("text", ["1.5", "-1", "256 MiB", "²"])
def test_anything_else_is_refused_with_an_example(monkeypatch, text):
    monkeypatch.setenv("SOME_MIB", text)
    with pytest.raises(
        ConfigurationError, match=r"SOME_MIB is .* such as 256; correct"
    ):
        read_mebibytes("SOME_MIB", 256 * 1024**2)
