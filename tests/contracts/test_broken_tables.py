"""Every broken table has its own clear message, and none is read silently."""

from __future__ import annotations

import re

import pytest

from builders.omics_broken import TABLES
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.table import read_omics


@pytest.mark.parametrize("name", TABLES)
def test_owner_of_a_broken_table_is_told_what_and_where(tmp_path, name):
    broken = TABLES[name]
    path = broken.make(tmp_path)
    if broken.survives:
        steps = read_omics(path, **broken.options).uns["mmsubtype"]["steps"]
        assert [step for step in steps if re.search(broken.words, step)]
        return
    with pytest.raises(TableReadError, match=broken.words) as caught:
        read_omics(path, **broken.options)
    message = str(caught.value)
    assert repr(path.name) in message
    assert "\n" not in message
    assert len(message) < 400


def test_no_two_tables_share_a_message():
    words = [broken.words for broken in TABLES.values()]
    assert len(set(words)) >= len(words) - 1
    assert len(words) >= 20
