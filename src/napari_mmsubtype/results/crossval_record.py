"""What a cross-validation left: ``results.json`` and ``predictions.parquet``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import StoreError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

RESULTS_NAME = "results.json"
PREDICTIONS_NAME = "predictions.parquet"
FORMAT, VERSION = "mmsubtype-crossval", 1

_NEEDED = ("classes", "cohort", "validation", "models", "provenance", "request")
_COLUMNS = ("model", "head", "main", "repeat", "fold", "patient_id", "site", "y")


@dataclass(frozen=True, slots=True, eq=False)
class CrossvalRecord:
    """A cross-validation, complete or under way.

    Attributes
    ----------
    path : Path
        Its folder.
    content : dict
        ``results.json``.
    predictions : DataFrame
        ``predictions.parquet``; empty before the first fold is done.
    """

    path: Path
    content: dict[str, Any]
    predictions: pd.DataFrame

    @property
    def classes(self) -> list[str]:
        """Name the classes, in the order of the probabilities."""
        return [str(entry["name"]) for entry in self.content["classes"]]

    @property
    def colors(self) -> list[str]:
        """Give the color of each class."""
        return [str(entry["color"]) for entry in self.content["classes"]]

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """Give what is known of each model by its name."""
        models: dict[str, dict[str, Any]] = self.content["models"]
        return models

    def scored(self, *kinds: str) -> list[str]:
        """Name the models that have metrics.

        Parameters
        ----------
        *kinds : str
            Kinds to name; all if left out.

        Returns
        -------
        list of str
            In the order of the results.
        """
        return [
            name
            for name, model in self.models.items()
            if not model["skipped"] and (not kinds or model["kind"] in kinds)
        ]

    def answers(self, model: str, head: str = "class") -> pd.DataFrame:
        """Give the rows behind the metrics of a model.

        Parameters
        ----------
        model : str
            Its name.
        head : str, default: "class"
            The question.

        Returns
        -------
        DataFrame
            One row per patient and repeat, from all the modalities that the model
            takes; of the classes, only rows whose class is known.
        """
        frame = self.predictions
        if frame.empty:
            return frame
        own = (frame["model"] == model) & (frame["head"] == head) & frame["main"]
        if head == "class":
            own &= frame["y"] >= 0
        return frame[own]

    def probabilities(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Give the probabilities of rows.

        Parameters
        ----------
        rows : DataFrame
            As `answers` gives them.

        Returns
        -------
        ndarray of float64, shape (n, c)
            One column per class.
        """
        names = [f"p{value}" for value in range(len(self.classes))]
        return rows[names].to_numpy(dtype=np.float64)


def is_crossval(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is that of a cross-validation.

    Parameters
    ----------
    folder : path-like
        Any path, also of ``results.json`` itself.

    Returns
    -------
    bool
        Whether it holds ``results.json``.
    """
    return (_folder(folder) / RESULTS_NAME).is_file()


def open_crossval(folder: str | os.PathLike[str]) -> CrossvalRecord:
    """Read what a cross-validation left.

    Parameters
    ----------
    folder : path-like
        Its folder, or the ``results.json`` in it.

    Returns
    -------
    CrossvalRecord
        Complete or under way.

    Raises
    ------
    StoreError
        If a file is missing, damaged, or of another format.
    """
    path = _folder(folder)
    content = _read_content(path / RESULTS_NAME)
    return CrossvalRecord(path, content, _read_predictions(path / PREDICTIONS_NAME))


def _folder(given: str | os.PathLike[str]) -> Path:
    path = Path(given).expanduser()
    return path.parent if path.name == RESULTS_NAME else path


def _read_content(file: Path) -> dict[str, Any]:
    advice = "run 'napari-mmsubtype crossval' again with the same folder"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        msg = (
            f"there is no cross-validation in {str(file.parent)!r}: it holds no "
            f"{file.name}; give the folder that 'crossval' wrote (--out)"
        )
        raise StoreError(msg) from err
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as err:
        msg = f"{str(file)!r} cannot be read: {err}; {advice}"
        raise StoreError(msg) from err
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    kind = found.get("format")
    if kind != FORMAT:
        msg = f"{str(file)!r} is of format {kind!r}, expected {FORMAT!r}; {advice}"
        raise StoreError(msg)
    if found.get("version") != VERSION:
        msg = (
            f"{str(file)!r} is of version {content.get('version')!r}, this program "
            f"reads version {VERSION}; update the program that is older"
        )
        raise StoreError(msg)
    lacking = [key for key in _NEEDED if key not in found]
    if lacking:
        msg = f"{str(file)!r} lacks {', '.join(map(repr, lacking))}; {advice}"
        raise StoreError(msg)
    return found


def _read_predictions(file: Path) -> pd.DataFrame:
    if not file.is_file():
        return pd.DataFrame()
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as err:
        # pyarrow's errors of damaged files are ValueErrors.
        msg = (
            f"{str(file)!r} cannot be read: {err}; remove it and run 'napari-mmsubtype "
            "crossval' again with the same folder: folds that are done are kept"
        )
        raise StoreError(msg) from err
    lacking = [name for name in _COLUMNS if name not in frame]
    if lacking:
        msg = f"{str(file)!r} lacks the columns {', '.join(map(repr, lacking))}"
        raise StoreError(msg)
    return frame
