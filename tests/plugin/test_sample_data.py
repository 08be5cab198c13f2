from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from napari_mmsubtype.plugin import sample_data


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (sample_data.synthetic_slide, 4096),
        (sample_data.synthetic_large_slide, 100_000),
    ],
)
def test_sample_is_a_lazy_slide_in_microns(make, size: int) -> None:
    ((data, kwargs, kind),) = make()
    assert kind == "image"
    assert kwargs["multiscale"] is True
    assert data[0].shape == (size, size, 3)
    assert kwargs["units"] == ("um", "um")


def test_manifest_offers_every_sample(repository: Path) -> None:
    manifest = yaml.safe_load((repository / "napari.yaml").read_text("utf-8"))
    contributions = manifest["contributions"]
    commands = {c["id"]: c["python_name"] for c in contributions["commands"]}
    functions = {
        commands[sample["command"]].split(":")[1]
        for sample in contributions["sample_data"]
    }
    assert functions == {"synthetic_slide", "synthetic_large_slide"}
    assert all(hasattr(sample_data, name) for name in functions)
    assert all(
        "synthetic" in s["display_name"].lower() for s in contributions["sample_data"]
    )
