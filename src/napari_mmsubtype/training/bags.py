"""Cases as a fusion model trains on them: bags of embeddings, omics, labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch

from napari_mmsubtype.core.cases import Modality, ordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.stored_bags import StoredBag


Bag: TypeAlias = "NDArray[np.floating] | StoredBag"
"""Embeddings of one case, shape (patches, d)."""


class ReadsPatches(Protocol):
    """Anything that hands out patches by number, such as a `PatchSource`."""

    def __len__(self) -> int: ...

    def read(self, index: int, /) -> NDArray[np.uint8]:
        """Read one patch.

        Parameters
        ----------
        index : int
            0 to ``len(self) - 1``.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            The patch.
        """


@dataclass(frozen=True, slots=True, eq=False)
class BagSet:
    """Cases of a cohort, one row each.

    Attributes
    ----------
    patients : tuple of str
        Patient of each case; one patient may have several.
    labels : ndarray of int64, shape (n,)
        Class of each case; -1 where it is not known.
    bags : sequence of ndarray or StoredBag, each of shape (patches, d)
        Embeddings of each case, in memory or on disk; without rows where the case has
        no slide.
    omics : mapping of Modality to ndarray of float32, shape (n, g)
        Standardized features; rows of cases without the modality are ignored.
    present : ndarray of bool, shape (n, m)
        What each case has, in the order of `modalities`.
    modalities : tuple of Modality
        Image first.
    targets : mapping of str to ndarray of float, shape (n,) or (n, 2)
        What is known for heads other than the first, by name: the number of a class
        or level, or time and event (1) or censoring (0); NaN where it is not known.
    """

    patients: tuple[str, ...]
    labels: NDArray[np.int64]
    bags: Sequence[Bag]
    omics: Mapping[Modality, NDArray[np.float32]]
    present: NDArray[np.bool_]
    modalities: tuple[Modality, ...]
    targets: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.patients)
        lengths = {
            "labels": len(self.labels),
            "bags": len(self.bags),
            "present": len(self.present),
            **{str(m): len(v) for m, v in self.omics.items()},
            **{name: len(v) for name, v in self.targets.items()},
        }
        wrong = {name: length for name, length in lengths.items() if length != n}
        if wrong:
            msg = f"{n} patients need as many rows of everything, found {wrong}"
            raise ValueError(msg)
        expected = ordered({Modality.IMAGE, *self.omics})
        if tuple(self.modalities) != expected:
            msg = f"modalities must be {expected}, found {self.modalities}"
            raise ValueError(msg)
        if not self.present.any(axis=1).all():
            empty = [self.patients[i] for i in np.flatnonzero(~self.present.any(1))]
            msg = f"every case needs a modality; these have none: {empty[:5]}"
            raise ValueError(msg)
        hollow = [
            self.patients[i]
            for i, bag in enumerate(self.bags)
            if self.present[i, 0] and len(bag) == 0
        ]
        if hollow:
            msg = f"cases said to have an image have an empty bag: {hollow[:5]}"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.bags[0].shape[1])

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> BagSet:
        """Pick cases.

        Parameters
        ----------
        rows : sequence of int
            Which, in the new order.

        Returns
        -------
        BagSet
            Of those cases; bags are shared, not copied.
        """
        index = np.asarray(rows, dtype=np.int64)
        return BagSet(
            patients=tuple(self.patients[i] for i in index),
            labels=self.labels[index],
            bags=[self.bags[i] for i in index],
            omics={m: v[index] for m, v in self.omics.items()},
            present=self.present[index],
            modalities=self.modalities,
            targets={name: values[index] for name, values in self.targets.items()},
        )

    def restricted(self, modalities: Sequence[Modality]) -> BagSet:
        """Hide every modality but some.

        Parameters
        ----------
        modalities : sequence of Modality
            Those that stay, where a case has them.

        Returns
        -------
        BagSet
            The same cases with less `present`.

        Raises
        ------
        ValueError
            If a case has none of them.
        """
        keep = np.array([m in modalities for m in self.modalities])
        return replace(self, present=self.present & keep)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Cases as tensors, ready for a fusion model.

    Attributes
    ----------
    bag : Tensor of float32, shape (b, n, d)
        Embeddings, padded with zeros.
    mask : Tensor of bool, shape (b, n)
        True where there is a patch.
    omics : dict of Modality to Tensor of float32, shape (b, g)
        Zero where absent.
    present : Tensor of bool, shape (b, m)
        Image first.
    labels : Tensor of int64, shape (b,)
        True classes; -1 where not known.
    targets : dict of str to Tensor of float32, shape (b,) or (b, 2)
        Of the other heads; NaN where not known.
    """

    bag: Tensor
    mask: Tensor
    omics: dict[Modality, Tensor]
    present: Tensor
    labels: Tensor
    targets: dict[str, Tensor] = field(default_factory=dict)


def collate(
    cases: BagSet,
    rows: Sequence[int] | NDArray[np.integer],
    *,
    patches: int | None = None,
    rng: np.random.Generator | Callable[[int], np.random.Generator] | None = None,
    image: bool = True,
    device: torch.device | str = "cpu",
) -> Batch:
    """Pack cases into one batch.

    Parameters
    ----------
    cases : BagSet
        Where they come from.
    rows : sequence of int
        Which cases.
    patches : int or None, default: None
        At most so many patches of each bag; None takes all.
    rng : numpy.random.Generator or function, optional
        Draws the patches without replacement; needed where ``patches`` is given. A
        function of a row gives each case a generator of its own.
    image : bool, default: True
        Whether patches are read at all; those of cases whose image is hidden never are.
    device : torch.device or str, default: "cpu"
        Where the tensors go.

    Returns
    -------
    Batch
        As long as its longest bag (at least 1).
    """
    if patches is not None and rng is None:
        msg = "drawing patches needs a random generator; give rng"
        raise ValueError(msg)
    index = np.asarray(rows, dtype=np.int64)
    taken = []
    for i in index:
        bag = cases.bags[i]
        if not (image and cases.present[i, 0]):
            taken.append(torch.empty((0, cases.dim)))
            continue
        if patches is not None and rng is not None and len(bag) > patches:
            own = rng if isinstance(rng, np.random.Generator) else rng(int(i))
            # Sorted, because reading a file forwards is faster.
            chosen = bag[np.sort(own.choice(len(bag), size=patches, replace=False))]
        else:
            chosen = np.array(bag)
        taken.append(torch.from_numpy(chosen))
    longest = max(1, *(len(bag) for bag in taken))
    packed = torch.empty((len(index), longest, cases.dim))
    mask = torch.zeros((len(index), longest), dtype=torch.bool)
    for row, values in enumerate(taken):
        packed[row, : len(values)] = values
        packed[row, len(values) :] = 0
        mask[row, : len(values)] = True
    return Batch(
        bag=packed.to(device),
        mask=mask.to(device),
        omics={
            m: torch.from_numpy(_zero_absent(cases, m, index)).to(device)
            for m in cases.omics
        },
        present=torch.from_numpy(cases.present[index]).to(device),
        labels=torch.from_numpy(cases.labels[index].astype(np.int64)).to(device),
        targets={
            name: torch.from_numpy(values[index].astype(np.float32)).to(device)
            for name, values in cases.targets.items()
        },
    )


def _zero_absent(
    cases: BagSet, modality: Modality, index: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Blank the rows that lack a modality: whatever they hold, nothing may leak."""
    has = cases.present[index, cases.modalities.index(modality)]
    rows = cases.omics[modality][index].astype(np.float32)
    return np.where(has[:, None], rows, np.float32(0))


def read_patches(
    source: ReadsPatches, indices: Sequence[int] | NDArray[np.integer]
) -> NDArray[np.uint8]:
    """Read patches into one array.

    Parameters
    ----------
    source : ReadsPatches
        Where patches come from.
    indices : sequence of int
        Which patches; at least one.

    Returns
    -------
    ndarray of uint8, shape (n, y, x, 3)
        The patches in the order asked for.
    """
    return np.stack([source.read(int(i)) for i in indices])


@torch.inference_mode()
def embed_patches(
    encoder: Encoder, patches: NDArray[np.uint8], *, batch_size: int = 64
) -> NDArray[np.float16]:
    """Run the encoder over patches in memory.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on any device.
    patches : ndarray of uint8, shape (n, y, x, 3)
        At the pixel size that the encoder expects.
    batch_size : int, default: 64
        Patches per forward pass.

    Returns
    -------
    ndarray of float16, shape (n, d)
        Embeddings, as precise as a result store keeps them.
    """
    parts = [
        encoder(encoder.normalize(torch.from_numpy(patches[rows.start : rows.stop])))
        for rows in _batches(len(patches), batch_size)
    ]
    return np.concatenate([part.cpu().numpy().astype(np.float16) for part in parts])


def embed_slide(
    encoder: Encoder, source: ReadsPatches, *, batch_size: int = 64
) -> NDArray[np.float16]:
    """Run the encoder over every patch of a slide.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode, on any device.
    source : ReadsPatches
        Patches of the slide.
    batch_size : int, default: 64
        Patches in memory at a time.

    Returns
    -------
    ndarray of float16, shape (n, d)
        Embeddings in the order of the source; n may be 0.
    """
    parts = [
        embed_patches(encoder, read_patches(source, rows), batch_size=batch_size)
        for rows in _batches(len(source), batch_size)
    ]
    return np.concatenate([np.empty((0, encoder.dim), np.float16), *parts])


def _batches(count: int, size: int) -> Iterator[range]:
    return (range(s, min(s + size, count)) for s in range(0, count, size))
