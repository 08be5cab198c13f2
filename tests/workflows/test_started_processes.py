"""Processes are joined where torchrun started them here; others are told what to do."""

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.started_processes import join_work, process_rank


def test_only_torchrun_on_one_machine_shares(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "3")
    assert (join_work().size, process_rank()) == (1, 0)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert process_rank() == 3
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    with pytest.raises(ConfigurationError, match=r"4 processes .* not by torchrun"):
        join_work()
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="several machines, 2 of them here"):
        join_work()
