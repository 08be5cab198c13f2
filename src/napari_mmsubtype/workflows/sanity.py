"""Test the map of a finished analysis: deletion, insertion, randomization."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, StoreError
from napari_mmsubtype.inference.replay import replay_case_job
from napari_mmsubtype.inference.sanity import (
    PatchCurve,
    called,
    curve_job,
    drawn_map,
    randomize_job,
)
from napari_mmsubtype.results.sanity_picture import CURVES, RANDOMIZATION, draw_sanity
from napari_mmsubtype.results.schema import SUFFIX
from napari_mmsubtype.results.store import open_result

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.inference.replay import ReplayedCase

CHECKS = (*CURVES, RANDOMIZATION)


def sanity_job(
    store: str | Path,
    *,
    checks: Collection[str] = CHECKS,
    seed: int = 0,
    out: str | Path | None = None,
) -> Job[dict[str, Any]]:
    """Test the map of a finished analysis, from the embeddings in its store.

    Checks that the files hold already stay there if they are of the same analysis and
    seed.

    Parameters
    ----------
    store : str or Path
        A ``*.mmsubtype.zarr`` folder.
    checks : collection of str, default: all
        Any of ``"deletion"``, ``"insertion"`` and ``"randomization"``.
    seed : int, default: 0
        Of random orders and weights.
    out : str or Path, optional
        Folder for ``<slide>.sanity.json`` and ``.png``; that of the store if left out.

    Yields
    ------
    Progress
        Stages ``open``, ``tables`` and those of the checks.

    Returns
    -------
    dict
        What the JSON file holds, and under ``files`` both paths.

    Raises
    ------
    ConfigurationError
        If a check is unknown, model or tables have changed since the analysis, or the
        map is the same everywhere.
    StoreError
        If the analysis was interrupted or the files cannot be written.
    """
    unknown = sorted(set(checks) - set(CHECKS))
    if unknown or not checks:
        msg = f"unknown checks {unknown}; use any of {', '.join(CHECKS)}"
        raise ConfigurationError(msg)
    if not 0 <= seed < 2**32:
        msg = f"seed must be 0 to {2**32 - 1}, found {seed}"
        raise ConfigurationError(msg)
    result = open_result(store)
    folder = result.path.parent if out is None else Path(out).expanduser()
    # Minutes of work should not end with a folder that cannot be written to.
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    replayed = yield from replay_case_job(result)
    _require_pattern(replayed)
    head: dict[str, Any] = {
        "store": str(result.path.absolute()),
        "slide": result.slide_name,
        "model": result.bundle_name,
        "plan_digest": result.plan_digest,
        "method": result.cam_method,
        "class": result.classes[called(replayed)].name,
        "patches": int(replayed.used.sum()),
        "exact": result.exact,
        "unit": "logits",
        "seed": seed,
    }
    found: dict[str, Any] = {}
    for name in CURVES:
        if name in checks:
            curve = yield from curve_job(replayed, name, seed=seed)
            found[name] = _plain(curve, name)
    if RANDOMIZATION in checks:
        parts = yield from randomize_job(replayed, seed=seed)
        found[RANDOMIZATION] = [
            {
                "layer": part.layer,
                "correlation": part.mean,
                "correlations": list(part.correlations),
            }
            for part in parts
        ]
    name = result.path.name.removesuffix(SUFFIX)
    text, picture = folder / f"{name}.sanity.json", folder / f"{name}.sanity.png"
    found = {**_checks_before(text, head), **found}
    record = {**head, **{check: found[check] for check in CHECKS if check in found}}
    with _writing(folder):
        draw_sanity(record).savefig(picture)
        text.write_text(json.dumps(record, indent=1), encoding="utf-8")
    files = {"json": str(text.absolute()), "png": str(picture.absolute())}
    return {**record, "files": files}


def sanity_lines(record: dict[str, Any]) -> list[str]:
    """Say in words what the checks found.

    Parameters
    ----------
    record : dict
        From `sanity_job`.

    Returns
    -------
    list of str
        One line per check.
    """
    lines = []
    for name, better in (("deletion", "below"), ("insertion", "above")):
        if name in record:
            curve = record[name]
            areas = curve["random_areas"]
            mean = sum(areas) / len(areas)
            lines.append(
                f"{name}: area {curve['area']:.3f} logits by evidence, {mean:.3f} at "
                f"random; {better} {curve['beaten']} of {len(areas)} random orders"
            )
    if RANDOMIZATION in record:
        parts = record[RANDOMIZATION]
        lines.append(
            f"randomization: rank correlation with the trained map "
            f"{parts[0]['correlation']:+.2f} after {parts[0]['layer']}, "
            f"{parts[-1]['correlation']:+.2f} after all {len(parts)} parts, the mean "
            f"of {len(parts[0]['correlations'])} draws (near 0 where a map tells of "
            "the model)"
        )
    return lines


def _require_pattern(replayed: ReplayedCase) -> None:
    """Refuse a map that tells no patch from another: all would pass, and mean nothing.

    Every order of the patches is as good as the next one, and 0 correlation with such a
    map is no sign that it tells of the model.
    """
    values = drawn_map(replayed)
    if np.ptp(values) > 0:
        return
    result = replayed.result
    why = ""
    if Modality.IMAGE not in replayed.case.model.uses:
        why = f"; the model looks at {', '.join(replayed.case.model.uses)} alone"
    msg = (
        f"nothing to test: the map of {result.slide_name!r} is {values[0]:.3g} in all "
        f"{len(values)} patches{why}; give a result whose map differs between patches"
    )
    raise ConfigurationError(msg)


def _plain(curve: PatchCurve, name: str) -> dict[str, Any]:
    """Turn a curve into JSON; evidence shall beat chance, down or up."""
    better = curve.random_areas - curve.area
    if name == "insertion":
        better = -better
    return {
        "share": curve.share.tolist(),
        "by_evidence": curve.by_evidence.tolist(),
        "at_random": curve.at_random.tolist(),
        "area": curve.area,
        "random_areas": curve.random_areas.tolist(),
        "beaten": int((better > 0).sum()),
    }


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn what a folder refuses into one clear error."""
    try:
        yield
    except OSError as err:
        msg = (
            f"cannot write to {str(folder)!r}: {err.strerror or err}; give another "
            "folder with --out, or free some space"
        )
        raise StoreError(msg) from err


def _checks_before(file: Path, head: dict[str, Any]) -> dict[str, Any]:
    """Read the checks of the same analysis and seed that a file holds."""
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    # A store that was moved holds the same analysis.
    same = head.keys() - {"store"}
    if not isinstance(before, dict) or any(before.get(k) != head[k] for k in same):
        return {}
    return {check: before[check] for check in CHECKS if check in before}
