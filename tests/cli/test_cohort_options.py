"""The commands on cohorts share their options."""

import pytest
from typer.testing import CliRunner

from napari_mmsubtype.cli.main import app

SHARED = ["--rna", "--methylation", "--clinical", "--set", "--mpp", "--device"]


@pytest.mark.parametrize("command", ["crossval", "train"])
def test_shared_options_are_offered(command):
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for option in [*SHARED, "--preset", "--out", "--embeddings", "--rna-unit"]:
        assert option in text


def test_embedding_needs_no_tables():
    text = CliRunner().invoke(app, ["embed", "--help"], env={"COLUMNS": "200"}).output
    for option in ["--encoder", "--weights", "--bundle", "--preset", "--mpp", "--set"]:
        assert option in text
    assert "--rna" not in text
