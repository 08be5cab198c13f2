"""What is done of a cross-validation: one pair of files per model and fold."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_mmsubtype.core.recipe import digest
from napari_mmsubtype.workflows.folder_files import finite, write_json, write_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDS = "folds"
_CHECKPOINT = ".checkpoint.safetensors"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class FoldStore:
    """Keeps what each model said on each fold, so that a kill loses little.

    Parameters
    ----------
    folder : Path
        Of the cross-validation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / _FOLDS

    def find(
        self, model: str, repeat: int, fold: int, request: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Look up what is known of a fold.

        Parameters
        ----------
        model : str
            Its name.
        repeat, fold : int
            Which.
        request : mapping
            Everything that decides the numbers; plain JSON types.

        Returns
        -------
        dict or None
            Its facts; None where it was not done, or done for another request.
        """
        facts = self.read(model, repeat, fold)
        if facts is None or facts.get("request") != digest(finite(request)):
            return None
        return facts

    def read(self, model: str, repeat: int, fold: int) -> dict[str, Any] | None:
        """Read what is known of a fold, whatever request it was done for.

        Parameters
        ----------
        model : str
            Its name.
        repeat, fold : int
            Which.

        Returns
        -------
        dict or None
            Its facts; None where it was not done.
        """
        path = self._path(model, repeat, fold).with_suffix(".json")
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = facts.get("skipped") or path.with_suffix(".parquet").is_file()
        return facts if whole else None

    def keep(
        self,
        model: str,
        repeat: int,
        fold: int,
        request: Mapping[str, Any],
        facts: Mapping[str, Any],
        predictions: pd.DataFrame | None,
    ) -> dict[str, Any]:
        """Keep what was done; predictions first, so that facts promise them.

        Parameters
        ----------
        model : str
            Its name.
        repeat, fold : int
            Which.
        request : mapping
            As `find`.
        facts : mapping
            Plain JSON types.
        predictions : DataFrame or None
            None where the fold was skipped.

        Returns
        -------
        dict
            The facts as they were kept.
        """
        path = self._path(model, repeat, fold)
        if predictions is not None:
            write_parquet(path.with_suffix(".parquet"), predictions)
        kept = {
            **finite(dict(facts)),
            "model": model,
            "repeat": repeat,
            "fold": fold,
            "request": digest(finite(request)),
        }
        write_json(path.with_suffix(".json"), kept)
        for begun in path.parent.glob(f"{path.name}-*{_CHECKPOINT}"):
            begun.unlink()
        return kept

    def checkpoint(
        self, model: str, repeat: int, fold: int, request: Mapping[str, Any]
    ) -> Path:
        """Say where a training under way is kept until its fold is.

        Parameters
        ----------
        model : str
            Its name.
        repeat, fold : int
            Which.
        request : mapping
            As `find`; another request has another file.

        Returns
        -------
        Path
            Its folder is there.
        """
        path = self._path(model, repeat, fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        mark = digest(finite(request))[:12]
        return path.with_name(f"{path.name}-{mark}{_CHECKPOINT}")

    def predictions(self, model: str, repeat: int, fold: int) -> pd.DataFrame:
        """Read what a model said on a fold.

        Parameters
        ----------
        model : str
            Its name.
        repeat, fold : int
            A fold that `find` knows and that was not skipped.

        Returns
        -------
        DataFrame
            Rows of ``predictions.parquet``.
        """
        return pd.read_parquet(self._path(model, repeat, fold).with_suffix(".parquet"))

    def _path(self, model: str, repeat: int, fold: int) -> Path:
        # Two names that differ in what file systems refuse must not share a file.
        mark = hashlib.sha256(model.encode()).hexdigest()[:6]
        name = f"{_UNSAFE.sub('-', model)}-{mark}"
        return self.folder / name / f"r{repeat}-f{fold}"
