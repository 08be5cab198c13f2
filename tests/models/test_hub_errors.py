from __future__ import annotations

import pytest
from huggingface_hub import errors

from napari_mmsubtype.errors import BundleError, ConfigurationError
from napari_mmsubtype.models.bundle_address import HubAddress
from napari_mmsubtype.models.hub_errors import hub_errors

ADDRESS = HubAddress("org/name", "v1")


def fail(err, kind=ConfigurationError):
    with hub_errors(ADDRESS, kind, lacking="lacks it", instead="carry it over"):
        raise err


@pytest.mark.parametrize(
    ("err", "message"),
    [
        (errors.EntryNotFoundError("no"), "^hf://org/name@v1 lacks it$"),
        (errors.LocalEntryNotFoundError("off"), r"reached \(off\).*or carry it over$"),
        (errors.HFValidationError("odd"), r"is no name of a repository \(odd\)"),
        (OSError(28, "No space left on device"), "cannot be kept.*HF_HOME"),
        (OSError("timed out\nat line 3"), r"cannot be reached \(timed out\)"),
    ],
)
@pytest.mark.parametrize("kind", [ConfigurationError, BundleError])
def test_each_failure_is_one_sentence_of_the_class_asked_for(err, message, kind):
    with pytest.raises(kind, match=message) as caught:
        fail(err, kind)
    assert caught.value.__cause__ is err
    assert "\n" not in str(caught.value)


def test_other_faults_are_not_dressed_up():
    with pytest.raises(KeyError, match="fault"):
        fail(KeyError("fault"))
