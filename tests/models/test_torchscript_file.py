from __future__ import annotations

import pickle
import warnings
import zipfile

import pytest
import torch
from torch import Tensor, nn

from builders.wsinfer import make_network, save_torchscript, to_torchscript
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models import torchscript_file
from napari_mmsubtype.models.torchscript_file import is_torchscript, load_torchscript


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "torchscript_model.pt"
    return save_torchscript(to_torchscript(make_network(), "script", 64), path)


def rewritten(source, target, change):
    """Copy an archive, entry by entry; ``change`` may rename or alter each."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            for name, content in change(entry.filename, old.read(entry)):
                new.writestr(name, content)
    return target


def test_a_network_is_loaded_and_works(saved):
    assert is_torchscript(saved)
    module = load_torchscript(saved)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(module(images), make_network()(images))
    assert not module.training


def test_a_state_dict_is_told_apart(tmp_path):
    path = tmp_path / "state.pt"
    torch.save(make_network().state_dict(), path)
    assert not is_torchscript(path)
    with pytest.raises(ConfigurationError, match=r"no TorchScript code .*a state dict"):
        load_torchscript(path)


def test_pickles_never_run(tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    assert not is_torchscript(path)
    with pytest.raises(ConfigurationError, match="not a zip archive"):
        load_torchscript(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/code/a.py", "x")
        archive.writestr("m/data.pkl", pickle.dumps(Bomb()))
        archive.writestr("m/constants.pkl", pickle.dumps(Bomb()))
        archive.writestr("m/version", "3")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_torchscript(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, c: [(n, c), ("../out", b"x")], "holds paths out of it"),
        (lambda n, c: [(n, c), ("/out", b"x")], "holds paths out of it"),
        (lambda n, c: [(n, c), ("other/x", b"x")], "has more than one folder"),
        (lambda n, c: [] if "code/" in n else [(n, c)], "no TorchScript code"),
    ],
)
def test_archives_that_hold_more_or_less_than_a_network(
    saved, tmp_path, change, message
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name twice
        path = rewritten(saved, tmp_path / "m.pt", change)
    with pytest.raises(ConfigurationError, match=f"was not loaded: it .*{message}"):
        load_torchscript(path)


@pytest.mark.parametrize("limit", ["_MAX_BYTES", "_MAX_CODE_BYTES", "_MAX_ENTRIES"])
def test_archives_that_are_too_large(saved, monkeypatch, limit):
    monkeypatch.setattr(torchscript_file, limit, 3)
    with pytest.raises(ConfigurationError, match="far larger than a network"):
        load_torchscript(saved)


@pytest.mark.parametrize("cut", [0, 100, -30])
def test_damaged_files_are_one_message(saved, tmp_path, cut):
    path = tmp_path / "m.pt"
    path.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(ConfigurationError, match=r"not a zip archive|cannot be read"):
        load_torchscript(path)
    with pytest.raises(ConfigurationError, match="no such file"):
        load_torchscript(tmp_path / "gone.pt")
    assert not is_torchscript(tmp_path / "gone.pt")


class ReadsFiles(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images + torch.from_file("/etc/hostname", size=1, dtype=torch.uint8)


class WritesFiles(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        torch.save(images, "written")
        return images


@pytest.mark.parametrize("network", [ReadsFiles(), WritesFiles()])
def test_code_that_touches_files_is_not_loaded(tmp_path, network):
    module = to_torchscript(network, "script", 8)
    path = save_torchscript(module, tmp_path / "m.pt")
    with pytest.raises(ConfigurationError, match=r"such as torch\.(from_file|save)"):
        load_torchscript(path)


def test_code_that_calls_foreign_libraries_is_not_loaded(saved, tmp_path):
    def change(name, content):
        if name.endswith(".py"):
            content += b"\n  y = ops.evil.run(x)\n"
        return [(name, content)]

    path = rewritten(saved, tmp_path / "m.pt", change)
    with pytest.raises(ConfigurationError, match=r"such as ops\.evil;"):
        load_torchscript(path)
