import inspect
import pickle

import pytest

from napari_mmsubtype import errors
from napari_mmsubtype.errors import MMSubtypeError

CLASSES = [
    item
    for item in vars(errors).values()
    if inspect.isclass(item) and item.__module__ == errors.__name__
]


def test_the_tree_in_the_docstring_names_every_class():
    drawn = errors.__doc__
    assert [item.__name__ for item in CLASSES if item.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_caught_as_ours_and_keeps_its_message(kind):
    with pytest.raises(MMSubtypeError) as caught:
        raise kind("found this; expected that; do so")
    assert str(caught.value) == "found this; expected that; do so"
    # Errors cross process borders where slides are read by workers.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.SlideOpenError, OSError),
        (errors.SlideReadError, OSError),
        (errors.MissingPixelSizeError, ValueError),
        (errors.SlideTooSmallError, ValueError),
        (errors.NoTissueError, ValueError),
        (errors.TableReadError, ValueError),
        (errors.UnmatchedSampleError, LookupError),
        (errors.UnmatchedFeaturesError, LookupError),
        (errors.BundleError, ValueError),
        (errors.StoreError, OSError),
        (errors.ConfigurationError, ValueError),
        (errors.MissingDependencyError, ImportError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind, builtin):
    assert issubclass(kind, builtin)
