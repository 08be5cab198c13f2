from __future__ import annotations

import json
import warnings

import pytest

from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.carried_error import (
    pack_error,
    pack_warning,
    repeat_warning,
    unpack_error,
)


def carried(error: Exception) -> Exception:
    try:
        raise error
    except Exception as err:  # noqa: BLE001
        return unpack_error(json.loads(json.dumps(pack_error(err))))


@pytest.mark.parametrize(
    "error",
    [
        TableReadError("'a.csv' is empty"),
        ConfigurationError("samples_in is 'x'"),
        FileNotFoundError(2, "No such file or directory", "a.csv"),
        OSError(28, "No space left on device"),
        MemoryError(),
        KeyError("a"),
        ValueError("many", 1, None),
    ],
    ids=repr,
)
def test_class_message_and_notes_stay(error):
    error.add_note("in the rna table")
    found = carried(error)
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert found.args == error.args
    assert found.__notes__ == ["in the rna table"]
    assert "test_carried_error.py" in str(found.__cause__)
    assert getattr(found, "filename", None) == getattr(error, "filename", None)


def test_what_is_not_known_here_is_named():
    class LocalError(Exception):
        pass

    found = carried(LocalError("text"))
    assert type(found) is RuntimeError
    assert str(found).endswith("LocalError: text")
    odd = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
    assert str(carried(odd)) == f"UnicodeDecodeError: {odd}"


def test_a_name_that_is_no_error_is_not_called():
    facts = pack_error(ValueError("id"))
    found = unpack_error({**facts, "module": "os", "class": "system"})
    assert type(found) is RuntimeError


def test_warnings_are_repeated_under_the_filters_of_this_process():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("old layout", FutureWarning, stacklevel=1)
    facts = json.loads(json.dumps(pack_warning(caught[0])))
    with pytest.warns(FutureWarning, match="old layout") as found:
        repeat_warning(facts)
    assert (found[0].filename, found[0].lineno) == (__file__, caught[0].lineno)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FutureWarning):
            repeat_warning(facts)
